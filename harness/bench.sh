# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the benchmarks share: sourced by bench-*, and for its cards by netmem-devices.
# shellcheck source=harness/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# bench_begin NAME: $DIR is where it leaves what it measures
bench_begin()
{
	DIR=$BUILD/bench/$1
	need_root "make bench-$1"
	need_commands python3
	mkdir -p "$DIR" || die "cannot write to $DIR"
	take_lock bench
	rm -rf "$DIR"
	mkdir -p "$DIR"
}

# bench_image KIND GUEST [VARIANT]
bench_image()
{
	local path

	path=$("$HARNESS/kernel" "$@" | tail -n 1)
	[ -f "$path" ] || die "no $1 $2 kernel to boot: see the lines above"
	echo "$path"
}

# bench_images GUEST [VARIANT]: image[stock] and image[patched]
bench_images()
{
	declare -gA image
	image[stock]=$(bench_image stock "$@") || exit
	image[patched]=$(bench_image patched "$@") || exit
}

# bench_guests: image[uml] and image[x86], both patched
bench_guests()
{
	local guest

	declare -gA image
	for guest in uml x86; do
		image[$guest]=$(bench_image patched $guest) || exit
	done
}

# need_numbers NAME...: variables that the caller may have set
need_numbers()
{
	local name

	for name; do
		[[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "$name is a number from 1 up, not '${!name}'"
	done
}

# bench_end NAME IMAGE...: from what is in $DIR to figures and goals
bench_end()
{
	local name=$1

	shift
	python3 "$HARNESS/bench.py" "$name" "$DIR" "$@" >"$BUILD/bench/.$name.json" || exit 1
	mv "$BUILD/bench/.$name.json" "$BUILD/bench/$name.json"
	python3 "$HARNESS/report.py" text "$BUILD/bench/$name.json"
}

# be_quiet GUEST: "${QUIET[@]}" COMMAND runs on one CPU, at real-time priority where
# that is allowed.  What else runs on the machine then moves the figures by a few per
# cent instead of halving them, and a guest of one CPU needs no more.  QEMU's threads
# have to share the CPU fairly, so no priority for them.
be_quiet()
{
	QUIET=(taskset -c "$(sed -n 's/^Cpus_allowed_list:.*[^0-9]//p' /proc/self/status)")
	[ "$1" = uml ] || return 0
	if chrt -r 1 true 2>/dev/null; then
		QUIET+=(chrt -r 1)
	else
		warn "no leave to run at real-time priority: anything else that runs now is noise"
	fi
}

# Two network cards on one cable, behind an IOMMU: for harness/in-guest/nics.sh.
CLIENT_MAC=52:54:00:00:00:0c SERVER_MAC=52:54:00:00:00:05
TWO_CARDS="-machine q35 -device intel-iommu"
for card in "h0 $CLIENT_MAC" "h1 $SERVER_MAC"; do
	TWO_CARDS+=" -netdev hubport,id=${card% *},hubid=1"
	TWO_CARDS+=" -device e1000e,netdev=${card% *},mac=${card#* }"
done
# Linux's default is the lazy one.  Behind a strict one cifs copies small pieces.
LAZY_IOMMU="intel_iommu=on iommu.strict=0"
STRICT_IOMMU="intel_iommu=on iommu.strict=1"

# The kselftest's program that makes calls over AF_RXRPC, in $DIR.
build_rxrpc_calls()
{
	need_commands gcc
	gcc -O2 -D_GNU_SOURCE= -o "$DIR/rxrpc_calls" \
		"$LINUX/tools/testing/selftests/net/rxrpc_calls.c" || die "cannot build rxrpc_calls"
}
