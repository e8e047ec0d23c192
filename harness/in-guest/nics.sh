# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Two network cards on one cable: the server's in the initial namespace, the
# client's in a namespace of its own, /run/netns/c.  Or veth between two namespaces.
SRV_IP=10.9.0.1
export SRV_IP

# nic MAC: its name, which udev may have changed
nic() {
	local a

	for a in /sys/class/net/*/address; do
		[ "$(cat "$a")" = "$1" ] || continue
		basename "$(dirname "$a")"
		return
	done
	echo "no network card has the address $1" >&2
	return 1
}

# nics_up CLIENT SERVER: and CLIENT_DEVICE is what the client's is to its bus
nics_up() {
	CLIENT_DEVICE=$(basename "$(readlink -f "/sys/class/net/$1/device")")
	ip netns add c
	ip link set "$1" netns c
	ip addr add $SRV_IP/24 dev "$2"
	ip link set "$2" up
	in_client ip addr add 10.9.0.2/24 dev "$1"
	in_client ip link set "$1" up
	for _ in $(seq 100); do
		in_client ip link show dev "$1" | grep -q LOWER_UP &&
			ip link show dev "$2" | grep -q LOWER_UP && break
		sleep 0.1
	done
}

# veth_up NAMESPACE DEVICE NAMESPACE DEVICE: 10.0.0.1 and 10.0.0.2
veth_up() {
	ip netns add "$1"
	ip netns add "$3"
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
	ip -n "$1" addr add 10.0.0.1/24 dev "$2"
	ip -n "$3" addr add 10.0.0.2/24 dev "$4"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# rxrpc_serve COMMAND...: start rxrpc_calls as a server
rxrpc_serve() {
	: >/tmp/server
	"$@" >/tmp/server &
	for _ in $(seq 100); do
		! grep -q listening /tmp/server || break
		sleep 0.1
	done
}

# What rxrpc_calls says of the time that its calls took
rxrpc_seconds() { sed 's/.* seconds \([0-9.]*\) .*/\1/'; }

# Not by ip-netns-exec, which would lose the client's mounts.
in_client() { nsenter --net=/run/netns/c "$@"; }

# client_mount OPTIONS: a mount over SMB 3.1.1, in the client's namespace
client_mount() {
	in_client bash -c '. "$0"; smb_mount 3.1.1 "$1"' \
		"$(dirname "${BASH_SOURCE[0]}")/servers.sh" "$1"
}

# count_maps COMMAND...: what the command has mapped for DMA: pieces of more than 128
# bytes that the client's card sends, smaller ones, and what any card receives into;
# nothing if it could not count all
count_maps() {
	local t=/sys/kernel/tracing hist=hist:keys=dev,dir,bytes:size=8192

	mountpoint -q $t || mount -t tracefs tracefs $t
	[ -e $t/events/cnt/map ] ||
		echo 'p:cnt/map iommu_dma_map_phys dev=+0(+0($arg1)):string bytes=$arg3 dir=$arg4:u32' >$t/kprobe_events
	echo $hist >$t/events/cnt/map/trigger
	"$@" >/dev/null
	awk -v dev="$CLIENT_DEVICE" '
		/^{/ {
			match($0, /dir: *[0-9]+/); dir = substr($0, RSTART + 4, RLENGTH - 4) + 0
			match($0, /bytes: *[0-9]+/); size = substr($0, RSTART + 6, RLENGTH - 6) + 0
			match($0, /hitcount: *[0-9]+/); hits = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (dir == 2) received += hits
			else if (index($0, dev) && size > 128) maps += hits
			else if (index($0, dev)) heads += hits
		}
		/Dropped:/ { dropped = $2 + 0 }
		END { if (!dropped) print maps + 0, heads + 0, received + 0 }' $t/events/cnt/map/hist
	echo "!$hist" >$t/events/cnt/map/trigger
}
