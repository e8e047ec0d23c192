#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Calls between two AF_RXRPC sockets over veth: small and large, over IPv4 and
# IPv6, in order, and with packets lost, reordered and duplicated.

source "$(dirname "$(readlink -e "${BASH_SOURCE[0]}")")/lib.sh"

CALLS="$(dirname "$(readlink -e "${BASH_SOURCE[0]}")")/rxrpc_calls"
NR=${RXRPC_CALLS_NR:-100}
RET=0

cleanup()
{
	[ -z "$SERVERS" ] || kill $SERVERS 2>/dev/null
	cleanup_all_ns
}
trap cleanup EXIT

setup_ns client server || exit "$ksft_skip"
ip link add veth0 netns "$client" type veth peer name veth1 netns "$server"
ip -n "$client" addr add 10.0.0.1/24 dev veth0
ip -n "$server" addr add 10.0.0.2/24 dev veth1
ip -n "$client" addr add fd00::1/64 dev veth0 nodad
ip -n "$server" addr add fd00::2/64 dev veth1 nodad
ip -n "$client" link set veth0 up
ip -n "$server" link set veth1 up

# The addresses may take a moment.
start_server()
{
	local addr=$1 port=$2 log

	log=$(mktemp)
	ip netns exec "$server" "$CALLS" -s -a "$addr" -p "$port" >"$log" 2>&1 &
	SERVERS+=" $!"
	slowwait 10 grep -q listening "$log" && return
	cat "$log"
	rm -f "$log"
	if ! kill -0 $! 2>/dev/null; then
		wait $!
		[ $? -eq "$ksft_skip" ] && exit "$ksft_skip"
	fi
	exit "$ksft_fail"
}

start_server 10.0.0.2 7000
start_server fd00::2 7001

# run NAME ADDR PORT CALLS REQUEST REPLY [-l]
run()
{
	local out

	out=$(ip netns exec "$client" "$CALLS" -c "$2" -p "$3" -n "$4" -q "$5" -r "$6" $7 2>&1)
	check_err $? "$out"
	log_test "$1"
	RET=0
	echo "$out"
}

for addr in "10.0.0.2 7000" "fd00::2 7001"; do
	run "$addr: small calls" $addr "$NR" 16 16
	run "$addr: large requests" $addr $((NR / 10)) 300000 16
	run "$addr: large replies" $addr $((NR / 10)) 16 300000
	run "$addr: neither round nor small" $addr $((NR / 10)) 70001 60007
done

# The ACK that ends a call is due two jiffies after it, when its endpoint may be
# gone; deleting the namespace then finds out what was left behind.
for ((i = 0; i < NR / 2; i++)); do
	ip netns exec "$client" "$CALLS" -c 10.0.0.2 -p 7000 -n 1 -q 16 -r 16 >/dev/null
	check_err $? "client $i failed"
done
log_test "clients that go after one call"
RET=0

for ns in "$client veth0" "$server veth1"; do
	tc -n "${ns% *}" qdisc add dev "${ns#* }" root netem \
		loss 1% delay 1ms reorder 10% duplicate 1% || exit "$ksft_skip"
done
run "with loss: small calls" 10.0.0.2 7000 $((NR / 5)) 16 16 -l
run "with loss: large calls" 10.0.0.2 7000 $((NR / 20)) 300000 300000 -l

for pid in $SERVERS; do
	kill -0 "$pid" || EXIT_STATUS=$ksft_fail
done
exit "$EXIT_STATUS"
