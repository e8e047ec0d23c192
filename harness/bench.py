#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the benchmarks share: medians, goals, facts about machine and kernels.

usage: bench.py fio DIR STOCK-IMAGE PATCHED-IMAGE > smb.json

DIR holds a directory per measured boot, NN-stock or NN-patched, each with the
fio reports that harness/in-guest/fio-round left and the load that the machine
was under when it started.
"""

import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys

KINDS = ("stock", "patched")
MODES = {
    "plain-none": ("plain", "none"),
    "plain-strict": ("plain", "strict"),
    "sign-none": ("signed", "none"),
    "seal-none": ("sealed", "none"),
}
RATIO_GOAL = 0.95


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
    """A figure for people: three digits that mean something, no exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


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
    """One boot's fio reports: {(mode, cache, rw, bs, jobs): MB/s}."""
    found = {}
    for report, (mode, cache) in MODES.items():
        name = os.path.join(path, report + ".json")
        try:
            with open(name, encoding="utf-8") as f:
                jobs = json.load(f)["jobs"]
        except (OSError, ValueError, KeyError) as e:
            die(f"{name}: not a fio report: {e}")
        for job in jobs:
            rw, bs, count = job["jobname"].split("-")
            if job["error"] or not job[rw]["io_bytes"]:
                die(f"{name}: {job['jobname']} failed: error {job['error']}, "
                    f"{job[rw]['io_bytes']} bytes")
            found[mode, cache, rw, bs, int(count)] = job[rw]["bw_bytes"] / 1e6
    return found


def fio(path, images):
    boots = sorted(os.listdir(path))
    runs = {kind: [fio_jobs(os.path.join(path, b)) for b in boots
                   if b.endswith("-" + kind)] for kind in KINDS}
    rounds = len(runs["stock"])
    if not rounds or rounds != len(runs["patched"]):
        die(f"{path}: {rounds} boots of stock, {len(runs['patched'])} patched")
    load = []
    for b in boots:
        with open(os.path.join(path, b, "load"), encoding="ascii") as f:
            load.append(float(f.read()))
    rows = []
    for key in runs["stock"][0]:
        mode, cache, rw, bs, jobs = key
        row = {"mode": mode, "cache": cache, "rw": rw, "bs": bs, "jobs": jobs}
        for kind in KINDS:
            row[kind] = summary([run[key] for run in runs[kind]])
        row["ratio"] = row["patched"]["median"] / row["stock"]["median"]
        rows.append(row)
    goals = [goal("-".join(map(str, (r["mode"], r["rw"], r["bs"], r["cache"],
                                     f"{r['jobs']}job"))),
                  r["ratio"], "of-stock", ">=", RATIO_GOAL) for r in rows]
    return {"benchmark": "smb", "machine": machine(),
            "kernels": kernels(images), "rounds": rounds,
            "load": {"cpus_busy_max": max(load),
                     "cpus_busy_median": statistics.median(load)},
            "unit": "MB/s", "rows": rows, "goals": goals}


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] != "fio":
        sys.exit(__doc__)
    json.dump(fio(sys.argv[2], sys.argv[3:]), sys.stdout, indent=1)
