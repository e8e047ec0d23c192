# SPDX-License-Identifier: GPL-2.0
# Sourced by scripts in a guest: real SMB servers with all state on tmpfs, and
# the client's mounts.
#
#   ksmbd_start               the kernel's server
#   samba_start [MINPROTO]    Samba's smbd; NT1 unless told otherwise
#   samba_kill, samba_run     smbd dies (-9), smbd comes back over the same state
#   ksmbd_kill, ksmbd_run     the same for ksmbd: hard shutdown, start
#   rdma_start                ksmbd over SMB Direct, on a software RDMA device; SRV_IP has
#                             to be set, to an address that is not local yet
#   interfaces_up             before it starts, a server gets addresses for multichannel
#   server_stop
#   smb_mount VERS [OPTS] [DIR]
#
# $SRV is the share's directory as the server sees it, $MNT the mount point.
# SRV_IP may be set to something else than 127.0.0.1.

REPO=${REPO:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
BUILD=${BUILD:-$REPO/build}
SRV=/mnt/srv/s
MNT=/mnt/c
SRV_STATE=/mnt/state
SRV_IP=${SRV_IP:-127.0.0.1}
SRV_KIND=
export SRV MNT

_srv_die() { echo "servers: $*" >&2; return 1; }

_srv_dirs() {
	# virtme-ng's own shell has not been through our init.
	[ -w /mnt ] || mount -t tmpfs mnt /mnt
	mkdir -p "$SRV_STATE" "${SRV%/*}" "$MNT"
	# The share is not the mount point itself: ksmbd lists that as empty.
	mountpoint -q "${SRV%/*}" || mount -t tmpfs -o size=75% srv "${SRV%/*}"
	mkdir -p "$SRV"
	chmod 1777 "$SRV"
}

_port_busy() { (exec 9<> "/dev/tcp/$SRV_IP/445") 2> /dev/null; }

_port_free() {
	_port_busy || return 0
	_srv_die "port 445 on $SRV_IP is taken by another server: $(ss -Hltnp 'sport = 445' 2> /dev/null)"
}

_port_wait() {
	local i
	for i in $(seq 100); do
		_port_busy && return 0
		sleep 0.1
	done
	_srv_die "$SRV_KIND does not answer on port 445 after 10 s"
}

# Debian's ksmbd-tools conflicts with samba, so the harness unpacks it for itself.
_ksmbd_tool() {
	local tool=$1 dir
	shift
	for dir in "${KSMBD_TOOLS:-}" "$BUILD/tools/ksmbd/usr/sbin" /usr/sbin; do
		if [ -n "$dir" ] && [ -x "$dir/$tool" ]; then
			"$dir/$tool" "$@"
			return
		fi
	done
	_srv_die "$tool is missing: run harness/install"
}

# Addresses for multichannel, which servers offer that are started later.  Dummies
# will do: the server tells the client of any but lo.
interfaces_up() {
	local i
	for i in 1 2; do
		ip link add mc$i type dummy && ip link set mc$i addrgenmode none &&
			ip addr add 10.9.1.$i/32 dev mc$i &&
			ip addr add fd09::$i/128 dev mc$i nodad && ip link set mc$i up || return
	done
	SRV_INTERFACES=1
}

ksmbd_run() {
	_ksmbd_tool ksmbd.mountd -c "$SRV_STATE/ksmbd.conf" -u "$SRV_STATE/ksmbdpwd.db" \
		> "$SRV_STATE/mountd.log" 2>&1 || { cat "$SRV_STATE/mountd.log" >&2; return 1; }
	_port_wait
}

ksmbd_start() {
	_port_free || return
	SRV_KIND=ksmbd
	_srv_dirs
	# Not "smb3 encryption = yes": that would seal every SMB3 session.
	cat > "$SRV_STATE/ksmbd.conf" <<-END
	[global]
		server min protocol = SMB2_10
		server max protocol = SMB3_11
		server signing = auto
		smb2 leases = yes
		smb2 max read = 4MB
		smb2 max write = 4MB
		${SRV_MAX_TRANS:+smb2 max trans = $SRV_MAX_TRANS}
		tcp port = 445
		${SRV_INTERFACES:+server multi channel support = yes}
	[s]
		path = $SRV
		read only = no
		create mask = 0777
		directory mask = 0777
		vfs objects = streams_xattr acl_xattr
	END
	: > "$SRV_STATE/ksmbdpwd.db"
	_ksmbd_tool ksmbd.adduser -a root -p pw -i "$SRV_STATE/ksmbdpwd.db" \
		-c "$SRV_STATE/ksmbd.conf" > "$SRV_STATE/adduser.log" 2>&1 ||
		{ cat "$SRV_STATE/adduser.log" >&2; return 1; }
	ksmbd_run
}

# The client is in a namespace of its own, behind a veth: over lo there is no RDMA.
rdma_start() {
	ip netns add client &&
		ip link add srv0 type veth peer name cli0 netns client &&
		ip addr add "$SRV_IP/24" dev srv0 && ip link set srv0 up &&
		ip -n client addr add "${SRV_IP%.*}.254/24" dev cli0 &&
		ip -n client link set cli0 up && ip -n client link set lo up &&
		rdma link add rxe_srv type rxe netdev srv0 &&
		nsenter --net=/run/netns/client rdma link add rxe_cli type rxe netdev cli0 ||
		return
	ksmbd_start
	SRV_KIND=rdma
}

# A hard reset drops every connection and open file.
ksmbd_kill() {
	pkill -KILL -x ksmbd.mountd
	echo hard > /sys/class/ksmbd-control/kill_server 2> /dev/null
	local i
	for i in $(seq 100); do
		_port_busy || return 0
		sleep 0.1
	done
	_srv_die "ksmbd still answers after its shutdown"
}

samba_run() {
	rm -f "$SRV_STATE"/samba/pid/*
	setsid smbd --foreground --no-process-group --debug-stdout -d 1 \
		-s "$SRV_STATE/smb.conf" > "$SRV_STATE/smbd.log" 2>&1 < /dev/null &
	SMBD_PID=$!
	disown $SMBD_PID		# no "Killed" message from the shell
	_port_wait || { tail -n 20 "$SRV_STATE/smbd.log" >&2; return 1; }
}

samba_start() {
	_port_free || return
	SRV_KIND=samba
	_srv_dirs
	local d
	for d in lock state cache pid private ncalrpc usershares; do
		mkdir -p "$SRV_STATE/samba/$d"
	done
	chmod 700 "$SRV_STATE/samba/private"
	cat > "$SRV_STATE/smb.conf" <<-END
	[global]
		server min protocol = ${1:-NT1}
		server signing = auto
		ntlm auth = yes
		security = user
		map to guest = never
		lock directory = $SRV_STATE/samba/lock
		state directory = $SRV_STATE/samba/state
		cache directory = $SRV_STATE/samba/cache
		pid directory = $SRV_STATE/samba/pid
		private dir = $SRV_STATE/samba/private
		ncalrpc dir = $SRV_STATE/samba/ncalrpc
		usershare path = $SRV_STATE/samba/usershares
		log level = 1
		load printers = no
		printcap name = /dev/null
		disable spoolss = yes
		unix extensions = yes
		min receivefile size = 0
		ea support = yes
		store dos attributes = yes
		server multi channel support = yes
		${SRV_INTERFACES:+interfaces = 10.9.1.1 10.9.1.2 fd09::1 fd09::2}
	[s]
		path = $SRV
		read only = no
		create mask = 0777
		directory mask = 0777
	END
	printf 'pw\npw\n' | smbpasswd -c "$SRV_STATE/smb.conf" -s -a root \
		> "$SRV_STATE/smbpasswd.log" 2>&1 ||
		{ cat "$SRV_STATE/smbpasswd.log" >&2; return 1; }
	samba_run
}

samba_kill() {
	pkill -KILL -x smbd
	local i
	for i in $(seq 100); do
		pgrep -x smbd > /dev/null || return 0
		sleep 0.05
	done
	_srv_die "smbd does not die"
}

server_stop() {
	case $SRV_KIND in
	ksmbd | rdma) ksmbd_kill ;;
	samba) samba_kill ;;
	esac
	SRV_KIND=
}

smb_mount() {
	local in=() opts=username=root,password=pw,ip=$SRV_IP,vers=$1${2:+,$2}
	if [ "$SRV_KIND" = rdma ]; then
		in=(nsenter --net=/run/netns/client)
		opts+=,rdma
	fi
	"${in[@]}" mount -t cifs "//$SRV_IP/s" "${3:-$MNT}" -o "$opts"
}
