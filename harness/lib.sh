# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by every script in harness/: where things are, how a script speaks to
# its user, how it stops, and the TAP that the tests write.
#
# Set by the caller, all optional:
#	BUILD=dir	everything generated goes here		(build)
#	CACHE=dir	downloads are kept here			(BUILD/cache)
#	FORCE=1		let tree or refresh overwrite what they would protect
#	MIN_DISK_GB=n	disk that the first steps ask for	(15)

set -o pipefail
export LC_ALL=C.UTF-8
umask 022

# A script called by make, by a git hook or by a kernel build starts clean.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL CDPATH KBUILD_OUTPUT ARCH
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
HARNESS=$REPO/harness
BUILD=${BUILD:-$REPO/build}
mkdir -p "$BUILD" 2>/dev/null || { echo "error: cannot write to $BUILD" >&2; exit 1; }
BUILD=$(cd "$BUILD" && pwd -P)
CACHE=${CACHE:-$BUILD/cache}
LOGS=$BUILD/log
LINUX=$BUILD/linux		# base + series, branch $BRANCH
STOCK=$BUILD/stock/linux	# a worktree of the tag "base"
BRANCH=netfs-netmem
JOBS=${JOBS:-$(nproc)}
export BUILD CACHE

#
# Speaking. Results go to stdout; everything said about the work, to stderr.
#
say()	{ printf '%s\n' "$*" >&2; }
step()	{ printf '==> %s\n' "$*" >&2; }
warn()	{ printf 'warning: %s\n' "$*" >&2; }
die()	{ printf 'error: %s\n' "$*" >&2; exit 1; }

# A path as the user would type it.
short() { case $1 in "$PWD"/*) echo "${1#"$PWD"/}" ;; *) echo "$1" ;; esac; }

# progress WHAT LOG COMMAND...
# Runs a long command with its output in LOG and says how it is getting on: on
# a terminal by the second, elsewhere by the minute. When it fails, shows
# what the log says of it, unless PROGRESS_QUIET is set and the caller will.
# Returns the command's status.
progress()
{
	local what=$1 log=$2 pid rc t0=$SECONDS every=60 next=0 lines

	shift 2
	mkdir -p "$(dirname "$log")"
	: >"$log"
	step "$what (log: $(short "$log"))"
	[ -t 2 ] && every=1
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	next=$((t0 + every))
	while kill -0 $pid 2>/dev/null; do
		sleep 0.2
		[ $SECONDS -ge $next ] || continue
		next=$((SECONDS + every))
		lines=$(wc -l <"$log")
		if [ -t 2 ]; then
			printf '\r    %s: %d s, %d lines ' "$what" \
				$((SECONDS - t0)) "$lines" >&2
		else
			say "    $what: $((SECONDS - t0)) s, $lines lines of log"
		fi
	done
	wait $pid
	rc=$?
	[ -t 2 ] && printf '\r\033[K' >&2
	if [ $rc -eq 0 ]; then
		say "    done in $((SECONDS - t0)) s"
	else
		[ -z "${PROGRESS_QUIET:-}" ] || return $rc
		say "    failed after $((SECONDS - t0)) s (status $rc)"
		grep -E -i -m 5 'error|fatal|\*\*\*|unable to|cannot' "$log" |
			sed 's/^/    | /' >&2 || tail -n 5 "$log" | sed 's/^/    | /' >&2
	fi
	return $rc
}

#
# What a step needs before it starts. Each says in one line what to do.
#
need_root()
{
	[ "$(id -u)" = 0 ] || die "${1:-this} needs root: run it as root, or with sudo"
}

# What is there already counts: a second run needs no second 15 GB.
need_disk()
{
	local need=${MIN_DISK_GB:-15} free used

	free=$(df -Pk "$BUILD" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$need" ] && return
	used=$(du -sk "$BUILD" 2>/dev/null | awk '{ print int($1 / 1048576) }')
	[ $((free + used)) -ge "$need" ] ||
		die "$BUILD has $free GB free, $need GB are needed: free some, or set BUILD=dir to another disk"
}

need_commands()
{
	local c missing=()

	for c; do
		command -v "$c" >/dev/null || missing+=("$c")
	done
	[ ${#missing[@]} -eq 0 ] || die "missing: ${missing[*]}: run \`make install\` first"
}

# Does QEMU emulate Intel's igb? Its status is the same either way.
has_igb() { qemu-system-x86_64 -device igb,help 2>/dev/null | grep -q '^igb options'; }

need_tree()
{
	[ -d "$LINUX/.git" ] || die "no kernel tree in $(short "$LINUX"): run \`make tree\` first"
}

# The stock twin: a worktree of the tag "base", made when first wanted.
stock_tree()
{
	need_tree
	[ -e "$STOCK/Makefile" ] && return
	step "checking out the stock kernel into $(short "$STOCK")"
	rm -rf "$STOCK"
	git -C "$LINUX" worktree prune
	git -C "$LINUX" worktree add -q --detach "$STOCK" base >&2 ||
		die "cannot check the stock kernel out into $STOCK"
}

# base_get KEY: a value of the file "base".
base_get()
{
	awk -v k="$1" '$1 == k { print $2; exit }' "$REPO/base"
}

# Serialises what writes to BUILD/$1: a second one waits for the first.
take_lock()
{
	exec 9>"$BUILD/.$1.lock" || die "cannot write to $BUILD"
	flock -n 9 || { say "    waiting for another one to finish"; flock 9; }
}

#
# Debian packages from a suite that the machine does not list: from its own
# mirror, through lists of our own, so that nothing of its set-up changes.
#

# debian_mirror: the URI of the machine's mirror, as apt knows it.
debian_mirror()
{
	apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(ORIGIN)' 2>/dev/null |
		awk '$3 == "Debian" && $1 !~ /security/ && !n++ { print $2 }' | grep . ||
	grep -h -o -s -E 'https?://[^] ]+/debian/?( |$)' /etc/apt/sources.list \
		/etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
		head -n 1 | grep .
}

# suite_apt SUITE...: makes SUITE_APT, apt options for those suites alone, and
# fetches their lists. Needs no root. suite_apt_done takes it all away.
suite_apt()
{
	local mirror suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg

	command -v apt-get >/dev/null || return
	mirror=$(debian_mirror) || return
	SUITE_DIR=$(mktemp -d "$BUILD/.apt.XXXXXX") || return
	mkdir -p "$SUITE_DIR"/{lists,cache}/partial "$SUITE_DIR/cache/archives/partial"
	for suite; do
		echo "deb [signed-by=$keyring] $mirror $suite main"
	done >"$SUITE_DIR/sources.list"
	SUITE_APT=(-q -o "Dir::Etc::sourcelist=$SUITE_DIR/sources.list"
		   -o Dir::Etc::sourceparts=/dev/null
		   -o "Dir::State::lists=$SUITE_DIR/lists"
		   -o "Dir::Cache=$SUITE_DIR/cache"
		   -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any
		   -o Acquire::Languages=none -o Acquire::Retries=1
		   -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
	apt-get "${SUITE_APT[@]}" update >>"$LOGS/apt.log" 2>&1
}

suite_apt_done() { [ -z "${SUITE_DIR:-}" ] || rm -rf "$SUITE_DIR"; SUITE_DIR=; }

# suite_versions PACKAGE: what the suites have, newest first.
suite_versions()
{
	apt-cache "${SUITE_APT[@]}" madison "$1" 2>/dev/null | awk '{ print $3 }' | sort -V -r -u
}

# suite_download DIR PACKAGE=VERSION
suite_download()
{
	(cd "$1" && apt-get "${SUITE_APT[@]}" download "$2" >>"$LOGS/apt.log" 2>&1)
}

# interruptible COMMAND...: a signal ends the command too, and at once: the shell by
# itself waits for what runs in the foreground.
interruptible()
{
	local child rc

	interrupted() { trap - INT TERM HUP; [ -z "${child-}" ] || kill "$child" 2>/dev/null; wait; exit "$1"; }
	trap 'interrupted 130' INT
	trap 'interrupted 143' TERM HUP
	"$@" &
	child=$!
	wait "$child"
	rc=$?
	trap - INT TERM HUP
	return $rc
}

#
# TAP. tap_begin FILE; tap_ok/tap_not_ok/tap_skip NAME [DETAIL]...; tap_end.
# Details become comment lines. tap_end writes the plan and returns non-zero if
# anything failed. Failures are shown on stderr as they come.
#
tap_begin()
{
	TAP=$1 TAP_N=0 TAP_FAILED=0
	mkdir -p "$(dirname "$TAP")"
	echo "TAP version 13" >"$TAP"
}

tap_detail() { [ -z "$*" ] || printf '%s\n' "$@" | sed 's/^/# /' >>"$TAP"; }

tap_ok()
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - $1" >>"$TAP"
	shift
	tap_detail "$@"
}

tap_not_ok()
{
	TAP_N=$((TAP_N + 1)) TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_N - $1" >>"$TAP"
	say "    not ok: $1"
	shift
	tap_detail "$@"
	[ -z "$*" ] || printf '%s\n' "$@" | head -n 20 | sed 's/^/    | /' >&2
}

tap_skip()
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - $1 # SKIP $2" >>"$TAP"
}

tap_end()
{
	echo "1..$TAP_N" >>"$TAP"
	[ "$TAP_FAILED" -eq 0 ]
}
