#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the benchmarks share: medians, goals, facts about machine and kernels.

usage: bench.py smb DIR STOCK-IMAGE PATCHED-IMAGE > smb.json
       bench.py counters DIR STOCK-IMAGE PATCHED-IMAGE > counters.json
       bench.py iter DIR UML-IMAGE X86-IMAGE > iter.json
       bench.py alloc DIR UML-IMAGE X86-IMAGE > alloc.json
       bench.py splice DIR UML-IMAGE X86-IMAGE > splice.json
       bench.py rxrpc DIR STOCK-IMAGE PATCHED-IMAGE > rxrpc.json
       bench.py iommu DIR STOCK-IMAGE PATCHED-IMAGE > iommu.json
       bench.py profile DIR STOCK-IMAGE PATCHED-IMAGE > profile.json

For smb, DIR holds a directory per round, with the load that the machine was under
when it started, and in it stock and patched, each with what harness/in-guest/fio-round
left.  For counters it holds stock and patched,
each with what harness/in-guest/counters left.  For iter, alloc and splice it holds
the consoles of a uml and an x86 guest, for rxrpc and iommu what the script of that
name in harness/in-guest printed on stock and on patched, for profile what perf
script printed of each round.
"""

import glob
import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys

KINDS = ("stock", "patched")
RATIO_GOAL = 0.95
# What a job of harness/in-guest/fio-round has to reach of stock's throughput;
# the first line that matches it holds.
FIO_GOALS = (
    (("plain", "none", "write", "1M"), 1.3),
    (("plain", "strict", "write", "1M"), 1.2),
    (("plain", None, "write", "64k"), 1.1),
    (("wsize=4M", None, "write", "4M"), 1.05),
    (("signed", None, None, None), 1.0),
    (("sealed", None, None, None), 1.0),
    ((None, None, None, None), 0.98),
)


def die(message):
    sys.exit("bench: " + message)


def summary(values):
    """Median and whole range: five rounds are too few for finer quantiles."""
    return {
        "values": values,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def number(value):
    """A figure for people: about three digits, no exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.4f}"


def goal(figure, value, unit, op, target):
    holds = {"<=": value <= target, ">=": value >= target}[op]
    return {"figure": figure, "value": value, "unit": unit, "op": op,
            "target": target, "holds": holds}


def print_goals(name, goals):
    for g in goals:
        print(f"{name} {g['figure']} {g['value']:.2f} {g['unit']} "
              f"goal {g['op']} {g['target']:g} "
              f"{'holds' if g['holds'] else 'falls short'}")


def machine():
    """Of the machine, what bears on the figures."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as f:
        mem = int(re.search(r"^MemTotal:\s*(\d+)", f.read()).group(1))
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(mem / (1 << 20), 1),
        "host_kernel": platform.release(),
    }


def kernel(image):
    """What was booted: its release, its configuration and its source."""
    objdir = re.sub(r"/arch/[^/]+/boot/[^/]+$", "", image)
    if objdir == image:
        objdir = os.path.dirname(image)

    def text(name):
        with open(os.path.join(objdir, name), encoding="utf-8") as f:
            return f.read()

    try:
        release = text("include/config/kernel.release").strip()
        config = text(".config")
    except OSError as e:
        die(f"no built kernel around {image}: {e}")
    sha = hashlib.sha256(config.encode()).hexdigest()
    source = os.path.realpath(os.path.join(objdir, "source"))
    commit = subprocess.run(["git", "-C", source, "rev-parse", "--short=12",
                             "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"release": release, "config_sha256": sha, "commit": commit,
            "config": set(re.findall(r"^CONFIG_.*$", config, re.M))}


def kernels(images):
    """Facts about both, and the settings that only one of them has."""
    found = {kind: kernel(image) for kind, image in zip(KINDS, images)}
    config = [found[kind].pop("config") for kind in KINDS]
    found["config_differs_in"] = sorted(config[0] ^ config[1])
    return found


def fio_jobs(path):
    """One boot's figures, a list of a turn's each: {(mode, cache, rw, bs, jobs):
    MB/s}, or thousands of files a second."""
    found = {}
    for name in sorted(glob.glob(os.path.join(path, "*.json"))):
        try:
            with open(name, encoding="utf-8") as f:
                job, = json.load(f)["jobs"]
        except (OSError, ValueError, KeyError) as e:
            die(f"{name}: not a fio report: {e}")
        mode, cache, rw, bs, count = job["jobname"].split("-")
        done = job["write" if rw.endswith("write") else "read"]
        if job["error"] or not done["total_ios"]:
            die(f"{name}: {job['jobname']} failed: error {job['error']}, "
                f"{done['total_ios']} operations")
        found.setdefault((mode, cache, rw, bs, int(count)), []).append(
            done["bw_bytes"] / 1e6)
    with open(os.path.join(path, "files"), encoding="ascii") as f:
        for line in f:
            what, count, seconds = line.split()
            found.setdefault(("files", "strict", what, "", 1), []).append(
                int(count) / float(seconds) / 1e3)
    return found


def fio_target(row):
    """The first of FIO_GOALS that the row matches."""
    of = (row["mode"], row["cache"], row["rw"], row["bs"].partition(",")[0])
    return next(target for key, target in FIO_GOALS
                if all(k in (None, o) for k, o in zip(key, of)))


def fio(path, images):
    rounds = sorted(os.listdir(path))
    runs = [{kind: fio_jobs(os.path.join(path, r, kind)) for kind in KINDS}
            for r in rounds]
    if not runs:
        die(f"{path}: no rounds")
    load = []
    for r in rounds:
        with open(os.path.join(path, r, "load"), encoding="ascii") as f:
            load.append(float(f.read()))
    rows = []
    for key in runs[0]["stock"]:
        row = dict(zip(("mode", "cache", "rw", "bs", "jobs"), key))
        for kind in KINDS:
            row[kind] = summary([v for run in runs for v in run[kind][key]])
        # Turns next to each other: what slowed one slowed the other.
        row["ratio"] = statistics.median(
            p / s for s, p in zip(row["stock"]["values"],
                                  row["patched"]["values"], strict=True))
        row["target"] = fio_target(row)
        rows.append(row)
    goals = [goal("-".join(filter(None, (r["mode"], r["rw"], r["bs"], r["cache"],
                                         f"{r['jobs']}job"))),
                  r["ratio"], "of-stock", ">=", r["target"]) for r in rows]
    return {"benchmark": "smb", "machine": machine(),
            "kernels": kernels(images), "rounds": len(runs),
            "load": {"cpus_busy_max": max(load),
                     "cpus_busy_median": statistics.median(load)},
            "unit": "MB/s", "rows": rows, "goals": goals}


# --- counters ---------------------------------------------------------------

# The client's way down begins in its encoders; what is on the stack above them
# only (system calls, the page cache, netfs) serves files, not the network.
VFS_OBJECTS = {"cifsfs", "dir", "file", "inode", "ioctl", "link", "readdir",
               "xattr"}
# Below these it is a matter of timing whose stack the work is done on: the
# sender's, a later sender's, or that of a softirq that interrupted it.
NOT_SENDING = {"__tcp_transmit_skb", "handle_softirqs", "common_interrupt",
               "sysvec_apic_timer_interrupt", "cifs_demultiplex_thread"}
COUNTERS = (
    ("sendmsg calls", "message", "calls of tcp_sendmsg_locked to port 445"),
    ("cork toggles", "message", "calls of tcp_sock_set_cork for port 445"),
    ("bytes copied", "byte written",
     "bytes that the iov_iter copies of lib/iov_iter.c and skbuff.c moved below "
     "a function of fs/smb/client, headers too; not the system call's copy into "
     "the page cache, nor what a plain memcpy moves"),
    ("copy passes", "MiB", "calls of sk_page_frag_refill for port 445: TCP "
     "finding room for a piece to copy"),
    ("page references", "MiB", "rises of a page's reference count from the "
     "encoders down to TCP's queue"),
    ("allocations", "MiB", "kmalloc, kmem_cache_alloc and page allocations "
     "from the encoders down to TCP's queue"),
    ("DMA maps", "MiB", "dma mappings towards the device, of the client's "
     "network card, whoever's stack they are made on"),
)


def histogram(path):
    """What a hist trigger's file says: [(key, hits, {value: sum})]."""
    with open(path, encoding="ascii", errors="replace") as f:
        body = f.read()
    totals = dict(re.findall(r"^    (\w+): (\d+)$", body, re.M))
    if "Dropped" not in totals:
        die(f"{path}: not a histogram")
    if int(totals["Dropped"]):
        die(f"{path}: {totals['Dropped']} events did not fit: raise size=")
    rows = []
    for key, rest in re.findall(r"^\{([^{}]*)\} *(hitcount:[^\n]*)$", body,
                                re.M):
        sums = {k: int(v) for k, v in re.findall(r"(\w+):\s*(\d+)", rest)}
        rows.append((key, sums.pop("hitcount"), sums))
    if len(rows) != int(totals["Entries"]):
        die(f"{path}: read {len(rows)} of {totals['Entries']} entries")
    return rows


class Counted:
    """What an event counted between two readings of its histogram."""

    def __init__(self, path, name):
        self.before, self.after = (
            histogram(os.path.join(path, when, name))
            for when in ("before", "after"))

    def hits(self, chosen=lambda key: True):
        return (sum(hits for key, hits, _ in self.after if chosen(key)) -
                sum(hits for key, hits, _ in self.before if chosen(key)))

    def total(self, value, chosen=lambda key: True):
        return (sum(sums[value] for key, _, sums in self.after if chosen(key)) -
                sum(sums[value] for key, _, sums in self.before if chosen(key)))


def functions(stack):
    return [re.sub(r"\+0x.*", "", f.strip()) for f in stack.splitlines()[1:]
            if f.strip()]


def client_functions(image):
    """Functions of fs/smb/client: all of them, and from the encoders down."""
    objdir = re.sub(r"/arch/[^/]+/boot/[^/]+$", "", image)
    objects = glob.glob(os.path.join(objdir, "fs/smb/client/*.o"))
    everything, sending = set(), set()
    for path in objects:
        name = os.path.basename(path)[:-len(".o")]
        out = subprocess.run(["nm", "--defined-only", path], check=False,
                             capture_output=True, text=True).stdout
        found = set(re.findall(r"^[0-9a-f]+ [tT] (\S+)$", out, re.M))
        everything |= found
        if name not in VFS_OBJECTS:
            sending |= found
    if not sending:
        die(f"no functions in {objdir}/fs/smb/client/*.o")
    return everything, sending


def below(names):
    """A test of stacks: does one of these functions send from here?"""
    def test(stack):
        found = set(functions(stack))
        return bool(found & names) and not found & NOT_SENDING
    return test


def count(path, cache, image):
    """Absolute counts of one kernel with one kind of cache."""
    def hist(name):
        return Counted(os.path.join(path, cache), name)

    with open(os.path.join(path, "client-device"), encoding="ascii") as f:
        device = f.read().strip()
    with open(os.path.join(path, cache, "fio.json"), encoding="utf-8") as f:
        written = json.load(f)["jobs"][0]["write"]["io_bytes"]
    everything, sending = map(below, client_functions(image))
    sendmsg = hist("sendmsg")
    copies = [hist("copy" + s) for s in ("", "_nocache", "_csum")]
    return {
        "written": written,
        "message": hist("message").hits(),
        "sent": sendmsg.total("bytes"),
        "sendmsg calls": sendmsg.hits(),
        "cork toggles": hist("cork").hits(),
        "bytes copied": sum(h.total("bytes", everything) for h in copies),
        "copy passes": hist("pass").hits(),
        "page references": sum(
            hist("page_ref_mod" + s).hits(sending)
            for s in ("", "_unless", "_and_return")),
        "allocations": sum(hist(s).hits(sending) for s in (
            "kmalloc", "kmem_cache_alloc", "mm_page_alloc")),
        # enum dma_data_direction: 0 both ways, 1 to the device
        "DMA maps": hist("map").hits(lambda key: re.search(
            rf"dev:\s*{re.escape(device)}\s*,\s*dir:\s*[01]\b", key)),
    }


def counters(path, images):
    caches = ("none", "strict")
    raw = {c: {kind: count(os.path.join(path, kind), c, image)
               for kind, image in zip(KINDS, images)} for c in caches}
    for c in caches:
        for kind in KINDS:
            r = raw[c][kind]
            if not r["message"] or r["sent"] < r["written"]:
                die(f"{kind}, cache={c}: counted {r['message']} messages and "
                    f"{r['sent']} bytes sent for {r['written']} written")
    rows = []
    for name, per, what in COUNTERS:
        row = {"counter": name, "per": per, "what": what}
        for c in caches:
            row[c] = {}
            for kind in KINDS:
                r = raw[c][kind]
                base = {"message": r["message"], "byte written": r["written"],
                        "MiB": r["written"] / (1 << 20)}[per]
                row[c][kind] = r[name] / base
        rows.append(row)
    goals = []
    for c in caches:
        for row, figure, target in ((rows[0], "sendmsg-per-message", 1),
                                    (rows[1], "cork-per-message", 0)):
            goals.append(goal(f"{figure}-{c}", row[c]["patched"], "calls",
                              "<=", target))
    return {"benchmark": "counters", "machine": machine(),
            "kernels": kernels(images), "caches": caches,
            "mib": raw["none"]["stock"]["written"] >> 20, "raw": raw,
            "rows": rows, "goals": goals}


# --- iterators --------------------------------------------------------------

GUESTS = ("uml", "x86")
ITER_GOAL = 1.05


def bench_lines(path, suite):
    """The lines that a KUnit benchmark wrote to a console."""
    with open(path, encoding="ascii", errors="replace") as f:
        console = f.read()
    if not re.search(rf"^(\[[^]]*\] *)?ok \d+ {suite}$", console, re.M):
        die(f"{path}: {suite} did not pass")
    return [dict(field.split("=") for field in line.split())
            for line in re.findall(r" bench: (.*)$", console, re.M)]


def guest_kernels(images):
    found = {guest: kernel(image) for guest, image in zip(GUESTS, images)}
    for k in found.values():
        del k["config"]
    return found


def iterators(path, images):
    rows, goals = [], []
    for guest in GUESTS:
        join = {}
        for found in bench_lines(os.path.join(path, guest), "iov_iter_bench"):
            op = found.pop("op")
            ps = {k: int(v) for k, v in found.items()}
            if op == "join":
                join[ps["segs"]] = ps["bvecq"]
                continue
            row = {"guest": guest, "op": op, **ps}
            where = f"{guest}-{op}-{ps['size'] >> 20}M-{ps['piece'] >> 10}k"
            for rival in ("bvec", "folioq"):
                row["of_" + rival] = ps["bvecq"] / ps[rival]
                goals.append(goal(f"{where}-of-{rival}", row["of_" + rival],
                                  "ratio", "<=", ITER_GOAL))
            rows.append(row)
        nr = sum(row["guest"] == guest for row in rows)
        if nr != 16 or not join:
            die(f"{path}/{guest}: {nr} operations, {len(join)} joins")
        for segs, ps in join.items():
            rows.append({"guest": guest, "op": "join", "segs": segs,
                         "bvecq": ps})
        goals.append(goal(f"{guest}-join-{max(join)}-of-{min(join)}-segments",
                          join[max(join)] / join[min(join)], "ratio", "<=",
                          ITER_GOAL))
    return {"benchmark": "iter", "machine": machine(),
            "kernels": guest_kernels(images), "unit": "ps", "rows": rows,
            "goals": goals}


def alloc(path, images):
    rows, goals = [], []
    for guest in GUESTS:
        for found in bench_lines(os.path.join(path, guest), "netmem_bench"):
            row = {"guest": guest, "device": found.pop("device"),
                   **{k: int(v) for k, v in found.items()}}
            where = f"{guest}-{row['size']}-bytes-{row['cpus']}cpu"
            for rival, target in (("page_frag", 1), ("kmalloc", 0.25)):
                row["of_" + rival] = row["netmem"] / row[rival]
                # What is not mapped is no rival.
                if rival == "page_frag" or row["device"] != "none":
                    goals.append(goal(f"{where}-of-{rival}",
                                      row["of_" + rival], "ratio", "<=",
                                      target))
            rows.append(row)
        if not rows or rows[-1]["guest"] != guest:
            die(f"{path}/{guest}: no figures")
    return {"benchmark": "alloc", "machine": machine(),
            "kernels": guest_kernels(images), "unit": "ps", "rows": rows,
            "goals": goals}


# --- splicing a bvecq -------------------------------------------------------

# What MSG_ZEROCOPY was merged with is 2.35 times copying.
SPLICE_GOAL = 2.3
# What harness/in-guest/splice counts page references of.
REFS_OF = ("splice0-splice1", 1 << 20, 64 << 20, "discard")


def taken(stack):
    """Is it TCP who takes this reference, before the packet is received?"""
    names = functions(stack)
    return (any(f.startswith("tcp_") for f in names) and
            "__skb_orphan_frags_rx" not in names)


def page_references(path, mib):
    """Those that each way of sending takes, a MiB."""
    return {way: sum(Counted(os.path.join(path, way), "page_ref_mod" + s)
                     .hits(taken) for s in ("", "_unless", "_and_return")) / mib
            for way in sorted(os.listdir(path))}


def splice(path, images):
    rows, goals = [], []
    for guest in GUESTS:
        with open(os.path.join(path, guest), encoding="ascii",
                  errors="replace") as f:
            console = f.read().partition("bench: warm")[2]
        console = console.partition("bench: counted")[0]
        with open(os.path.join(path, guest + ".mib"), encoding="ascii") as f:
            mib = int(f.read())
        refs = page_references(os.path.join(path, guest + ".refs"), mib)
        times = {}
        for line in re.findall(r" bench: (.*)$", console, re.M):
            found = dict(field.split("=") for field in line.split())
            key = (found["devices"], int(found["bytes"]),
                   int(found["file"]), found["receiver"])
            way = times.setdefault(key, {}).setdefault(found["way"], [])
            way.append((int(found["ns"]), int(found["sender_ns"])))
        if len(times) != 16:
            die(f"{path}/{guest}: {len(times)} cases, not 16")
        for key, ways in times.items():
            devices, size, file, receiver = key
            row = {"guest": guest, "devices": devices, "bytes": size,
                   "source": "file" if file > size else "message",
                   "receiver": receiver}
            for way, found in ways.items():
                ns, sender = zip(*found)
                row[way] = mib * 1048.576e6 / statistics.median(ns)
                # a mean, as UML counts this by ticks
                row[way + "_us"] = statistics.fmean(sender) / 1e3 / mib
            row["of_copy"] = row["bvecq"] / row["copy"]
            row["of_splice"] = row["bvecq"] / row["splice"]
            row["refs"] = refs if key == REFS_OF else {}
            rows.append(row)
            where = f"{guest}-{devices}-{size >> 10}k-{row['source']}-{receiver}"
            if receiver == "discard":
                goals.append(goal(where + "-of-copy", row["of_copy"], "ratio",
                                  ">=", SPLICE_GOAL))
            goals.append(goal(where + "-of-splice", row["of_splice"], "ratio",
                              ">=", 1))
            if row["refs"]:
                if not row["refs"]["splice"]:
                    die(f"{path}/{guest}.refs: splicing took no references")
                goals.append(goal(where + "-page-references",
                                  row["refs"]["bvecq"], "per-MiB", "<=", 0))
    return {"benchmark": "splice", "machine": machine(),
            "kernels": guest_kernels(images), "rows": rows, "goals": goals}


# --- AF_RXRPC ---------------------------------------------------------------

def rxrpc_figures(path):
    """One kernel's: {(kind, figure): value per call, or per second}."""
    rates, found = {}, {}
    with open(path, encoding="ascii") as f:
        for line in f:
            what, kind, calls, *rest = line.split()
            if what == "time":
                rates.setdefault(kind, []).append(int(calls) / float(rest[0]))
            elif what == "count":
                event, hits = rest
                found[kind, event] = int(hits) / int(calls)
    for kind, values in rates.items():
        found[kind, "calls/s"] = statistics.median(values)
    if len(found) != 8:
        die(f"{path}: {len(found)} figures, not 8")
    return found


def rxrpc(path, images):
    figures = {kind: rxrpc_figures(os.path.join(path, kind)) for kind in KINDS}
    rows, goals = [], []
    for key in figures["stock"]:
        kind, figure = key
        stock, patched = (figures[k][key] for k in KINDS)
        ratio = patched / stock
        rows.append({"calls": kind, "figure": figure, "stock": stock,
                     "patched": patched, "ratio": ratio})
        goals.append(goal(f"{kind}-{figure}", ratio, "of-stock",
                          *((">=", RATIO_GOAL) if figure == "calls/s"
                            else ("<=", 1 / RATIO_GOAL))))
    return {"benchmark": "rxrpc", "machine": machine(),
            "kernels": kernels(images), "rows": rows, "goals": goals}


def iommu(path, images):
    with open(os.path.join(path, "mib"), encoding="ascii") as f:
        mib = int(f.read())
    rows = {}
    for kind in KINDS:
        with open(os.path.join(path, kind), encoding="ascii") as f:
            found = [line.split() for line in f]
        seconds = [float(v) for k, v in found if k == "time"]
        counts = {k: int(v) for k, v in found if k != "time"}
        if not seconds or set(counts) != {"maps", "heads"}:
            die(f"{path}/{kind}: not what harness/in-guest/iommu prints")
        rows[kind] = {"MB/s": mib * 1.048576 / statistics.median(seconds),
                      "payload maps per MiB": counts["maps"] / mib,
                      "header maps per MiB": counts["heads"] / mib}
        with open(os.path.join(path, kind + ".smb"), encoding="ascii") as f:
            found = [line.split() for line in f]
        for cache in ("none", "strict"):
            seconds = [float(v[0]) for k, *v in found if k == cache and len(v) == 1]
            maps = [v[1:] for k, *v in found if k == cache and v[0] == "maps"]
            if not seconds or len(maps) != 1:
                die(f"{path}/{kind}.smb: not what harness/in-guest/smb-iommu prints")
            rows[kind][f"SMB write MB/s, cache={cache}"] = \
                mib * 1.048576 / statistics.median(seconds)
            for what, count in zip(("payload", "header", "reception"), maps[0],
                                   strict=True):
                rows[kind][f"{what} maps per MiB, cache={cache}"] = int(count) / mib
    smb = "SMB write MB/s, cache=none"
    goals = [goal("payload-maps-per-MiB",
                  rows["patched"]["payload maps per MiB"], "maps", "<=", 0),
             goal("throughput", rows["patched"]["MB/s"] /
                  rows["stock"]["MB/s"], "of-stock", ">=", RATIO_GOAL),
             goal("smb-write-none", rows["patched"][smb] / rows["stock"][smb],
                  "of-stock", ">=", 1.2)]
    with open(os.path.join(path, "card"), encoding="ascii") as f:
        card = f.read().strip()
    return {"benchmark": "iommu", "machine": machine(), "mib": mib, "card": card,
            "kernels": kernels(images), "rows": rows, "goals": goals}


# What a sample is counted as: the first of these below whose functions it was
# taken.  Patched, the payload is referred to, and the headers are allocated, in the
# encoder, which counts as sending; stock's buffers for headers do not.  Over lo, what
# a softirq does is the receiver's work, whoever it interrupts.
SENDING = "the client sends"
PARTS = (("packets arrive, in a softirq", {"handle_softirqs"}),
         (SENDING, {"__smb_send_rqst", "smb_transmit_messages",
                    "smb_message_alloc_request"}),
         ("the client copies into its page cache", {"netfs_perform_write"}),
         ("the server takes from its socket", {"ksmbd_conn_handler_loop"}),
         ("the server writes to its file", {"ksmbd_vfs_write"}),
         ("everything else", None))


def samples(path):
    """How many of perf's samples each part got."""
    counts = dict.fromkeys([what for what, _ in PARTS] + ["all of it"], 0)
    with open(path, encoding="utf-8", errors="replace") as f:
        for stack in f.read().split("\n\n"):
            names = {line.split()[1] for line in stack.splitlines()
                     if len(line.split()) > 1}
            if names:
                counts[next(what for what, below in PARTS
                            if below is None or below & names)] += 1
                counts["all of it"] += 1
    if not counts[SENDING]:
        die(f"{path}: no sample in which {SENDING}")
    return counts


def profile(path, images):
    with open(os.path.join(path, "scale"), encoding="ascii") as f:
        mib, hertz = map(int, f.read().split())
    rows = []
    for cache in ("none", "strict"):
        found = {kind: [samples(name) for name in
                        sorted(glob.glob(os.path.join(path, f"{kind}.{cache}.*")))]
                 for kind in KINDS}
        for what in found["stock"][0]:
            rows.append({"cache": cache, "what": what} |
                        {kind: statistics.median(n[what] for n in found[kind]) /
                         hertz / mib * 1e6 for kind in KINDS})
    return {"benchmark": "profile", "machine": machine(), "mib": mib,
            "rounds": len(found["stock"]), "kernels": kernels(images), "rows": rows,
            "goals": [goal(f"sending-{r['cache']}", r["patched"] / r["stock"],
                           "of-stock", "<=", 0.3)
                      for r in rows if r["what"] == SENDING]}


if __name__ == "__main__":
    measure = {"smb": fio, "counters": counters, "iter": iterators,
               "alloc": alloc, "splice": splice, "rxrpc": rxrpc,
               "iommu": iommu, "profile": profile}
    if len(sys.argv) != 5 or sys.argv[1] not in measure:
        sys.exit(__doc__)
    json.dump(measure[sys.argv[1]](sys.argv[2], sys.argv[3:]), sys.stdout,
              indent=1)
