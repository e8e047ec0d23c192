# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced by what runs cells of the SMB tests in a guest.
config=$REPO/harness/config

# cells CELL...: calls the caller's function cell for each and prints what came out
cells() {
	local c r t t0

	for c; do
		t0=${EPOCHREALTIME/./}
		if cell "$c"; then r=ok; else r="not ok"; fi
		t=$(((${EPOCHREALTIME/./} - t0) / 100000))
		echo "$r $c $((t / 10)).$((t % 10))"
	done
}

# console MARK: what the console has said since that it should not
console() {
	local out

	out=$(dmesg | sed "1,\\|$1|d" |
		grep -E -f <(grep -v '^#' "$config/console-bad") |
		grep -Ev -f <(grep -v '^#' "$config/console-ignore") | head -n 5)
	[ -z "$out" ] && return
	printf '%s\n' "$out" | sed 's/^/# console: /'
	return 1
}

# writer_start: write to the mount and sync, over and over
writer_start() {
	rm -f /tmp/progress /tmp/stop
	python3 "$REPO/harness/in-guest/smb-kill-writer.py" "$MNT/f" "$SRV/f" \
		/tmp/progress /tmp/stop > /tmp/writer.out 2>&1 &
	writer=$!
}

synced() { cat /tmp/progress 2> /dev/null || echo 0; }

# until_synced N WHEN: wait for the writer to have N slots synced
until_synced() {
	for _ in $(seq 450); do
		[ "$(synced)" -ge "$1" ] && return
		kill -0 "$writer" 2> /dev/null || return 1
		sleep 0.1
	done
	echo "# the client has written nothing for 45 s $2"
	return 1
}

# writer_stop: let it end, and say whether all that was synced is on the server
writer_stop() {
	local bad=0

	: > /tmp/stop
	for _ in $(seq 600); do
		kill -0 "$writer" 2> /dev/null || break
		sleep 0.1
	done
	if kill -KILL "$writer" 2> /dev/null; then
		echo "# the writer did not end"
		bad=1
	fi
	wait "$writer" || bad=1
	sed 's/^/# /' /tmp/writer.out
	return $bad
}

# smb_umount: unmount, even if it is slow or refused
smb_umount() {
	local out

	out=$(timeout 30 umount "$MNT" 2>&1) && return
	echo "# umount: $out"
	umount -l "$MNT"
	return 1
}
