#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What `make check` has to parse.

  check.py warnings STOCK-LOG STOCK-SRC LOG SRC     each new warning: FILE<tab>LINE
  check.py maintainers BASE-MAINTAINERS MAINTAINERS each path on stdin that no
                                                    entry added since covers
  check.py checkpatch LINUX                         checkpatch's output on stdin, less
                                                    what the kernel itself imposes
"""

import collections
import os
import re
import subprocess
import sys

WARNING = re.compile(r"^(\S+?):(\d+):(?:\d+:)? ((?:fatal )?(?:warning|error): .*)")
KDOC = re.compile(r"^((?:Warning|Error)): (\S+?):(\d+) (.*)")


def warnings(log, src):
    """(file, text without numbers) -> the lines that say so."""
    found = collections.defaultdict(list)
    seen = set()
    src = os.path.realpath(src) + "/"
    with open(log, errors="replace", encoding="utf-8") as f:
        for line in f:
            line = line.rstrip()
            m = KDOC.match(line)
            if m:
                path, text = m.group(2), m.group(1) + ": " + m.group(4)
            else:
                m = WARNING.match(line)
                if not m:
                    continue
                path, text = m.group(1), m.group(3)
            # Named from the source, from above, or relative to the object directory.
            if path.startswith(src):
                path = path[len(src):]
            path = re.sub(r"^(\.\./)+(linux/)?|^\./", "", path)
            # A header's warning comes again with each file that includes it.
            if line in seen:
                continue
            seen.add(line)
            found[path, re.sub(r"\d+", "N", text)].append(line.replace(src, ""))
    return found


def new_warnings(stock_log, stock_src, log, src):
    old = warnings(stock_log, stock_src)
    for key, lines in sorted(warnings(log, src).items()):
        for line in lines[len(old.get(key, ())):]:
            print(key[0] + "\t" + line)


def patterns(path):
    """The F: and N: lines, less those of the section that covers everything."""
    result, section = set(), ""
    with open(path, encoding="utf-8") as f:
        for line in f:
            m = re.match(r"([A-Z]):\s+(\S+)", line)
            if not m:
                section = line.strip() or section
            elif m.group(1) in "FN" and section != "THE REST":
                result.add((m.group(1), m.group(2)))
    return result


def covers(kind, pattern, path):
    if kind == "N":
        return re.search(pattern, path)
    # As get_maintainer.pl has it: * and ? stop at a slash, a directory at nothing.
    regex = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.match(regex + ("" if pattern.endswith("/") else "$"), path)


def uncovered(base, now):
    added = patterns(now) - patterns(base)
    for path in sys.stdin.read().split():
        if not any(covers(k, p, path) for k, p in added):
            print(path)


def checkpatch(linux):
    """Takes out what cannot be written otherwise.

    CamelCase that headers below the same directory have already: checkpatch
    itself looks into include/ only, and SMB's structures are in fs. And the
    layout of TRACE_EVENT(), which checkpatch takes for a call."""
    for report in re.split(r"\n(?=(?:ERROR|WARNING|CHECK):)", "\n" + sys.stdin.read()):
        m = re.match(r"CHECK:CAMELCASE: Avoid CamelCase: <(\w+)>\n#\d+: FILE: ([^/]+)/",
                     report)
        if m and not subprocess.run(["git", "-C", linux, "grep", "-q", "-w", m.group(1), "base",
                                     "--", m.group(2) + "/*.h"], check=False).returncode:
            continue
        if re.match(r"CHECK:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT): [^\n]*\n"
                    r"#\d+: FILE: include/trace/events/", report):
            continue
        if report.strip():
            print(report.strip() + "\n")


command, *args = sys.argv[1:]
{"warnings": new_warnings, "maintainers": uncovered, "checkpatch": checkpatch}[command](*args)
