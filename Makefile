# SPDX-License-Identifier: GPL-2.0
#
# The project's own commands; the kernel's Makefile is in build/linux.
# Variables are passed on: make tree BUILD=dir, make shell GUEST=x86.

export BUILD CACHE FORCE SIGNOFF GUEST MIN_DISK_GB
MAKEFLAGS += --no-print-directory

.PHONY: help tree refresh series check install demo test shell kernels clean

help:
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo:		## build stock and patched, mount a share on each, compare them (needs root)
	@harness/demo

test:		## run every test; the last line says how many passed and failed (needs root)
	@harness/test

bench-%:	## run one benchmark (bench-NAME); its figures go to build/bench/NAME.json
	@harness/bench-$*

shell:		## a prompt inside a patched guest (GUEST=uml or x86)
	@harness/shell $(GUEST)

kernels:	## build the stock and the patched kernel for the UML guest
	@harness/kernel stock uml >/dev/null
	@harness/kernel patched uml >/dev/null

install:	## install what the project needs from Debian (needs root)
	@harness/install

tree:		## base + series as a git branch in build/linux (FORCE=1: drop its own commits)
	@harness/tree

refresh:	## write new files, patches/ and series back from that branch
	@harness/refresh

series:		## the series as mails in build/outgoing (SIGNOFF="Name <mail>")
	@harness/series

check:		## checkpatch, W=1, sparse, kernel-doc, MAINTAINERS on that series
	@harness/check

clean:		## remove what was built and measured; keep tree, cache and tools
	@harness/clean
