#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel sender, the page cache of a file, and TCP and UDP without page references.
#
# Whatever is between the two ends, over lo and over veth: what arrives is what was
# sent, or what has been made of it on the way; and the file stays what it was.
# Whatever happens to packets and to the connection, each segment of a message is
# done once, and in order.
#
# An argument is a pattern of the cases to run.
#
# shellcheck disable=SC2086,SC2154,SC2317

source "$(dirname "$(readlink -e "${BASH_SOURCE[0]}")")/lib.sh"

SEND="$(dirname "$(readlink -e "${BASH_SOURCE[0]}")")/skb_bvecq"
PATTERN=${1:-*}
PROTO=tcp
RET=0
UNABLE=0
WANTED=0

cleanup()
{
	[ -z "$FLAPPER" ] || kill "$FLAPPER" 2>/dev/null
	cleanup_all_ns
	rm -f "$FILE" "$TAP"
}
trap cleanup EXIT

FILE=$(mktemp)
TAP=$FILE.tap
setup_ns tx rx || exit "$ksft_skip"
ip link add veth0 netns "$tx" type veth peer name veth1 netns "$rx"
ip -n "$tx" addr add 10.0.0.1/24 dev veth0
ip -n "$rx" addr add 10.0.0.2/24 dev veth1
ip -n "$tx" addr add fd00::1/64 dev veth0 nodad
ip -n "$rx" addr add fd00::2/64 dev veth1 nodad
ip -n "$tx" link set veth0 up
ip -n "$rx" link set veth1 up
ip -n "$tx" route add 239.0.0.0/8 dev veth0
ip -n "$rx" route add 239.0.0.0/8 dev veth1

# shellcheck disable=SC2053
wanted() { [[ "$1" == $PATTERN ]] && WANTED=1; }

# run NAME ARGS...: skipped where UNABLE says that the path could not be made.
run()
{
	local name=$1 out rc

	shift
	RET=$UNABLE
	if [ "$RET" = 0 ]; then
		out=$("$SEND" "$@" "$FILE" 2>&1)
		rc=$?
		[ $rc != "$ksft_skip" ] || RET=$ksft_skip
		[ $rc = 0 ] || [ $rc = "$ksft_skip" ] || check_err $rc "$out"
	fi
	log_test "$name"
	echo "    $out"
	RET=0
}

#
# What is between. Each of these is told where packets leave, and where they arrive:
# NAMESPACE DEVICE ADDRESS, twice; and sets ARGS for the program.
#
between_nothing() { :; }

between_sendfile() { ARGS=(-f); }

between_small_pieces() { ARGS=(-m 70001 -s 1003); }

between_tls_receiver() { ARGS=(-k); }

between_packet_socket() { ARGS=(-c "$2"); }

# It has a copy of what comes from that address, and keeps it until it is read.
between_macvtap()
{
	local n

	ip -n "$4" link add link "$5" name macvtap0 type macvtap mode source &&
	ip -n "$4" link set macvtap0 type macvtap macaddr add \
		"$(ip netns exec "$1" cat "/sys/class/net/$2/address")" &&
	ip -n "$4" link set macvtap0 up txqueuelen 5000 || return
	n=$(ip netns exec "$4" sh -c 'cat /sys/class/net/macvtap0/tap*/dev')
	mknod "$TAP" c "${n%:*}" "${n#*:}" || return
	ARGS=(-c "$TAP")
}

# esp SOURCE DESTINATION ALGORITHM...
esp()
{
	local src=$1 dst=$2 ns

	shift 2
	for ns in "$tx" "$rx"; do
		ip netns exec "$ns" sysctl -q -w net.ipv4.conf.lo.disable_xfrm=0 \
			net.ipv4.conf.lo.disable_policy=0
		ip -n "$ns" xfrm state add src "$src" dst "$dst" proto esp spi 1 \
			mode transport replay-window 1024 flag esn "$@" || return
	done
	ip -n "$tx" xfrm policy add src "$src" dst "$dst" proto "$PROTO" dir out \
		tmpl src "$src" dst "$dst" proto esp mode transport
}

between_esp_gcm()
{
	esp "$3" "$6" aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128
}

between_esp_cbc()
{
	esp "$3" "$6" enc 'cbc(aes)' 0x0102030405060708090a0b0c0d0e0f10 \
		auth-trunc 'hmac(sha256)' 0x0102030405060708090a0b0c0d0e0f10 128
}

# A tunnel that is a device: sockets do not know what it does.
# tunnel PROTOCOL ALGORITHM...
tunnel()
{
	local proto=$1 way ns dev from to dir level

	shift
	ARGS=(-a 10.0.2.2)
	for way in "$tx veth0 1 2" "$rx veth1 2 1"; do
		read -r ns dev from to <<< "$way"
		ip -n "$ns" link add xfrmi0 type xfrm dev "$dev" if_id 7 &&
		ip -n "$ns" addr add "10.0.2.$from/24" dev xfrmi0 &&
		ip -n "$ns" link set xfrmi0 mtu 1400 up || return
		for dir in out in; do
			level=required
			# What is short is not compressed.
			[ $dir = out ] || { read -r ns dev to from <<< "$way"; level=use; }
			ip -n "$ns" xfrm state add src "10.0.0.$from" dst "10.0.0.$to" \
				proto "$proto" spi "$from" mode tunnel if_id 7 "$@" &&
			ip -n "$ns" xfrm policy add src "10.0.2.$from" dst "10.0.2.$to" \
				dir $dir if_id 7 tmpl src "10.0.0.$from" dst "10.0.0.$to" \
				proto "$proto" mode tunnel level $level || return
		done
	done
}

between_esp_tunnel()
{
	tunnel esp aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128
}

between_ipcomp_tunnel() { tunnel comp 'comp' deflate; }

# A byte of each packet that is long enough becomes 0xee.
pedit()
{
	ARGS=(-u 0xee)
	tc -n "$1" qdisc add dev "$2" clsact &&
	tc -n "$1" filter add dev "$2" "$3" matchall action pedit munge offset 1000 u8 set 0xee
}

between_pedit_egress() { pedit "$1" "$2" egress; }

between_pedit_ingress() { pedit "$4" "$5" ingress; }

# nft NAMESPACE HOOK
mangle()
{
	ARGS=(-u 0xee)
	ip netns exec "$1" nft "table inet t {
		chain c {
			type filter hook $2 priority mangle;
			meta l4proto tcp meta length > 1000 @th,1600,8 set 0xee
		}
	}"
}

between_nft_output() { mangle "$1" output; }

between_nft_postrouting() { mangle "$1" postrouting; }

between_nft_prerouting() { mangle "$4" prerouting; }

between_nft_input() { mangle "$4" input; }

# bpf PROGRAM WHERE...: one that skb_bvecq.c attaches
bpf()
{
	local dev=$3

	case $1 in
	*ingress* | xdp*) dev=$6 ;;
	esac
	ARGS=(-u 0xee -x "${1//_/-}" -w "$dev")
}

nothing_between()
{
	local ns

	for ns in "$tx" "$rx"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
		[ -z "$(command -v nft)" ] || ip netns exec "$ns" nft flush ruleset
		tc -n "$ns" qdisc del dev lo clsact
		ip -n "$ns" link del xfrmi0
	done 2>/dev/null
	tc -n "$tx" qdisc del dev veth0 clsact 2>/dev/null
	tc -n "$rx" qdisc del dev veth1 clsact 2>/dev/null
	ip -n "$rx" link del macvtap0 2>/dev/null
	rm -f "$TAP"
}

# xfrm_used NAME: did encryption, or compression, take place?
xfrm_used()
{
	[ "$UNABLE" = 0 ] && wanted "$1" || return
	ip -n "$tx" -s xfrm state | grep -q '[1-9][0-9]*(packets)'
	check_err $? "nothing was transformed"
	log_test "$1:transformed"
}

read_only()
{
	local path UNABLE

	for path in nothing sendfile small_pieces tls_receiver packet_socket macvtap \
		    esp_gcm esp_cbc esp_tunnel ipcomp_tunnel \
		    pedit_egress pedit_ingress \
		    nft_output nft_postrouting nft_prerouting nft_input \
		    tc_egress tc_egress_direct tc_ingress tc_ingress_direct \
		    xdp_generic xdp_generic_direct xdp_native xdp_native_direct; do
		# There is no such thing on lo.
		[[ "$2:$path" != lo:@(xdp_native*|macvtap|*_tunnel) ]] || continue
		wanted "read-only:$2:$path" || continue
		ARGS=()
		UNABLE=0
		case $path in
		tc_* | xdp_*) bpf "$path" "$@" ;;
		*) "between_$path" "$@" || UNABLE=$ksft_skip ;;
		esac
		run "read-only:$2:$path" -t "$1" -r "$4" -a "$6" -n $((1 << 20)) "${ARGS[@]}"
		[[ "$path" != @(esp|ipcomp)_* ]] || xfrm_used "read-only:$2:$path"
		nothing_between
	done
}

read_only "$tx" lo 127.0.0.1 "$tx" lo 127.0.0.1
read_only "$tx" veth0 10.0.0.1 "$rx" veth1 10.0.0.2

#
# Datagrams: in one packet, in two, and in many, with room for ESP; and where the
# device cannot sum, or not gather, or all is encrypted; and where both ends put
# fragments together to track connections. The sender is told before they are read.
#
# udp NAME COPIED WHERE...: WHERE is as for read_only(), and COPIED -y if so
udp()
{
	local name=$1 copied=$2 size

	shift 2
	for size in $SIZES; do
		wanted "udp:$name:$size" || continue
		run "udp:$name:$size" -p -t "$1" -r "$4" -a "$6" -n $((size * 10)) -m "$size" \
			-s 7001 $copied
	done
}

udp_veth()
{
	udp "$1" "$2" "$tx" veth0 10.0.0.1 "$rx" veth1 "${3-10.0.0.2}"
}

udp_without()
{
	local UNABLE=0

	command -v ethtool >/dev/null || UNABLE=$ksft_skip
	ip netns exec "$tx" ethtool -K veth0 "$1" off >/dev/null
	udp_veth "no-$1" "$2"
	ip netns exec "$tx" ethtool -K veth0 "$1" on >/dev/null
}

udp_xfrm()
{
	local PROTO=udp UNABLE=0

	"between_$1" "$tx" veth0 10.0.0.1 "$rx" veth1 10.0.0.2 || UNABLE=$ksft_skip
	udp_veth "$1" "$2" ${3-}
	xfrm_used "udp:$1"
	nothing_between
}

udp_tracked()
{
	local ns UNABLE=0

	for ns in "$tx" "$rx"; do
		ip netns exec "$ns" nft "table inet t {
			chain out {
				type filter hook output priority 0;
				ct state new,established accept
			}
			chain in {
				type filter hook input priority 0;
				ct state new,established accept
			}
		}" || UNABLE=$ksft_skip
	done
	udp_veth tracked ''
	udp_veth tracked-v6 '' fd00::2
	nothing_between
}

SIZES="1000 1473 65000"
udp lo '' "$tx" lo 127.0.0.1 "$tx" lo 127.0.0.1
udp lo-v6 '' "$tx" lo ::1 "$tx" lo ::1
udp_veth veth ''
udp_veth veth-v6 '' fd00::2
udp_veth multicast -y 239.1.1.1
udp_veth multicast-v6 '' ff15::1
udp_tracked
udp_without tx ''
udp_without sg -y
udp_xfrm esp_gcm -y
udp_xfrm esp_cbc -y
# What is not in fragments is summed before it enters, which takes a copy.
SIZES=65000
udp_xfrm esp_tunnel '' 10.0.2.2
udp_xfrm ipcomp_tunnel '' 10.0.2.2

#
# Sockets that refuse
#
ip netns exec "$tx" sysctl -q -w net.ipv4.ping_group_range="0 0"
for other in tls espintcp sockmap mptcp ping raw unix packet rds rxrpc alg vsock kcm; do
	wanted "refuse:$other" || continue
	run "refuse:$other" -t "$tx" -r "$tx" -o $other
done

#
# Through user space
#
if wanted read-only:tun; then
	for ns in "$tx 1" "$rx 2"; do
		ip -n "${ns% *}" tuntap add dev tun0 mode tun vnet_hdr &&
		ip -n "${ns% *}" addr add "10.0.1.${ns#* }/24" dev tun0 &&
		ip -n "${ns% *}" link set tun0 up || UNABLE=$ksft_skip
	done
	run "read-only:tun" -t "$tx" -r "$rx" -a 10.0.1.2 -d tun0 -n $((1 << 20))
	UNABLE=0
fi

#
# What happens to packets
#
veth=(-t "$tx" -r "$rx" -a 10.0.0.2)

# netem NAME BYTES OPTIONS...
netem()
{
	local name=netem:$1 bytes=$2 UNABLE=0

	shift 2
	wanted "$name" || return
	tc -n "$tx" qdisc add dev veth0 root netem limit 10000 "$@" || UNABLE=$ksft_skip
	run "$name" "${veth[@]}" -n "$bytes" -m 300001 -s 7001 -b 262144
	tc -n "$tx" qdisc del dev veth0 root
}

netem loss		$((4 << 20)) loss 1%
netem reorder		$((2 << 20)) delay 2ms reorder 25% 50%
netem duplicate		$((4 << 20)) duplicate 5%
netem corrupt		$((4 << 20)) corrupt 1%
netem all		$((2 << 20)) delay 1ms loss 1% duplicate 1% corrupt 1% reorder 10%

# Something changes for as long as packets are on their way.
flap()
{
	while :; do
		"$@"
	done >/dev/null 2>&1
}

flap_mtu()
{
	local mtu

	for mtu in 1280 9000 1500 65535 4000; do
		ip -n "$tx" link set veth0 mtu "$mtu"
		sleep 0.05
	done
}

flap_feature()
{
	ip netns exec "$tx" ethtool -K veth0 "$1" off
	sleep 0.05
	ip netns exec "$tx" ethtool -K veth0 "$1" on
	sleep 0.05
}

flap_qdisc()
{
	tc -n "$tx" qdisc replace dev veth0 root netem limit 10000 delay 2ms loss 1%
	sleep 0.05
	tc -n "$tx" qdisc replace dev veth0 root pfifo limit 1000
	sleep 0.05
}

# in_flight NAME COMMAND...
in_flight()
{
	local name=in-flight:$1 UNABLE=0

	shift
	wanted "$name" || return
	command -v ethtool >/dev/null || UNABLE=$ksft_skip
	ip -n "$rx" link set veth1 mtu 65535
	flap "$@" &
	FLAPPER=$!
	tc -n "$tx" qdisc replace dev veth0 root netem limit 10000 delay 5ms
	run "$name" "${veth[@]}" -n $((4 << 20)) -m 300001 -s 7001 -b 262144
	kill "$FLAPPER"
	wait "$FLAPPER" 2>/dev/null
	FLAPPER=
	tc -n "$tx" qdisc del dev veth0 root 2>/dev/null
	ip -n "$tx" link set veth0 mtu 1500
	ip -n "$rx" link set veth1 mtu 1500
}

in_flight mtu		flap_mtu
in_flight tso		flap_feature tso
in_flight gso		flap_feature gso
in_flight sg		flap_feature sg
in_flight checksum	flap_feature tx
in_flight qdisc		flap_qdisc

for feature in tso gso sg tx; do
	ip netns exec "$tx" ethtool -K veth0 $feature on >/dev/null 2>&1
done

#
# 64 MiB in one message, through a socket that has room for 256 KiB
#
for ending in read reset close stuck; do
	wanted "big:$ending" || continue
	run "big:$ending" "${veth[@]}" -n $((64 << 20)) -b 131072 -e $ending
done

if [ "$WANTED" = 0 ]; then
	echo "no case is called $PATTERN"
	exit "$ksft_fail"
fi
exit "$EXIT_STATUS"
