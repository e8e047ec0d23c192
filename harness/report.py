#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tables and plots of what the benchmarks measured.

usage: report.py text RESULT.json...       tables and goals, to stdout
       report.py html OUTDIR RESULT.json... OUTDIR/results.json, report.html
"""

import html
import json
import os
import sys

import bench

STOCK, PATCHED, LOSS, GAIN, INK, SOFT, GRID = (
    "#8d97a5", "#1f6feb", "#b3261e", "#1a6b34", "#1c2330", "#5b6675", "#dfe4ea")
PANELS = (
    ("Plain, write", lambda r: r["mode"] == "plain" and r["rw"] == "write"),
    ("Plain, read", lambda r: r["mode"] == "plain" and r["rw"] == "read"),
    ("Signed and sealed", lambda r: r["mode"] in ("signed", "sealed")),
)


def is_loss(ratio):
    """As printed: 1.00 is no loss."""
    return round(ratio, 2) < 1


def mark(ratio):
    if not is_loss(ratio):
        return ""
    return "LOSS" if ratio < bench.RATIO_GOAL else "loss"


def losses(rows):
    below = [r for r in rows if is_loss(r["ratio"])]
    bad = [r for r in rows if r["ratio"] < bench.RATIO_GOAL]
    return (f"{len(below)} of {len(rows)} rows are below stock, "
            f"{len(bad)} of them below {bench.RATIO_GOAL} of it; "
            f"{sum(r['ratio'] < r['target'] for r in rows)} miss their goal")


def load_note(load):
    """Words on how quiet the machine was; figures of a busy one mislead."""
    busy = load["cpus_busy_median"]
    words = f"CPUs kept busy by others before a boot: median {busy:.1f}, " \
            f"at most {load['cpus_busy_max']:.1f}"
    return words + (" - NOT A QUIET MACHINE, figures are noisy"
                    if busy > 0.2 else "")


def jobs(row):
    return f"{row['jobs']} job" + ("s" if row["jobs"] > 1 else "")


def columns(rows, right):
    """Lay out rows of cells; the columns in `right` are aligned to the right."""
    width = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(
        cell.rjust(w) if i in right else cell.ljust(w)
        for i, (cell, w) in enumerate(zip(r, width))).rstrip() for r in rows)


def span(s):
    return f"{bench.number(s['min'])}..{bench.number(s['max'])}"


def fio_text(d):
    table = [("", "", "bs", "mount", "", "stock", "min..max",
              "patched", "min..max", "ratio", "")]
    for r in d["rows"]:
        table.append((r["mode"], r["rw"], r["bs"], "cache=" + r["cache"],
                      jobs(r), bench.number(r["stock"]["median"]),
                      span(r["stock"]), bench.number(r["patched"]["median"]),
                      span(r["patched"]), f"{r['ratio']:.2f}",
                      mark(r["ratio"])))
    return "\n".join((
        "MB/s, or thousands of files a second, over SMB 3.1.1, UML guest, "
        f"medians of all turns of {d['rounds']} rounds, ratios too",
        columns(table, {5, 6, 7, 8, 9}), losses(d["rows"]) + ".",
        load_note(d["load"])))


def is_more(pair):
    """Of every counter less is better; 2 % is what two runs may differ by."""
    return pair["patched"] > pair["stock"] * 1.02


def counters_text(d):
    table = [("", "per", *(f"cache={c} {k}" for c in d["caches"]
                           for k in bench.KINDS), "")]
    for r in d["rows"]:
        table.append((r["counter"], r["per"],
                      *(bench.number(r[c][k]) for c in d["caches"]
                        for k in bench.KINDS),
                      "LOSS" if any(is_more(r[c]) for c in d["caches"])
                      else ""))
    right = set(range(2, len(table[0]) - 1))
    return "\n".join((
        f"Counters, x86 guest, {d['mib']} MiB written with bs=1M, "
        "e1000e behind a lazy IOMMU", columns(table, right)))


def iter_text(d):
    table = [("", "operation", "MiB", "piece", "bvec ns", "folioq ns",
              "bvecq ns", "of bvec", "of folioq", "")]
    for r in d["rows"]:
        if r["op"] == "join":
            table.append((r["guest"], f"join {r['segs']:,} segments", "", "",
                          "", "", bench.number(r["bvecq"] / 1e3), "", "", ""))
            continue
        ratios = [r["of_bvec"], r["of_folioq"]]
        table.append((r["guest"], r["op"], f"{r['size'] >> 20}",
                      f"{r['piece'] >> 10}k",
                      *(bench.number(r[k] / 1e3)
                        for k in ("bvec", "folioq", "bvecq")),
                      *(f"{x:.2f}" for x in ratios),
                      "LOSS" if max(ratios) > bench.ITER_GOAL else ""))
    return "\n".join(("Iterators over the same memory, medians of 51 rounds",
                      columns(table, set(range(2, 9)))))


def rxrpc_text(d):
    table = [("calls", "", "stock", "patched", "ratio", "")]
    for r, g in zip(d["rows"], d["goals"]):
        table.append((r["calls"], r["figure"] + ("" if "/" in r["figure"]
                                                 else " per call"),
                      bench.number(r["stock"]), bench.number(r["patched"]),
                      f"{r['ratio']:.2f}", "" if g["holds"] else "LOSS"))
    return "\n".join((
        "Calls between two AF_RXRPC sockets over veth: calls/s in UML, the "
        "rest in the x86 guest",
        columns(table, {2, 3, 4})))


def alloc_text(d):
    table = [("", "CPUs", "bytes", "netmem ns", "page_frag ns",
              "netdev_frag ns", "kmalloc ns", "mapped", "of page_frag", "of kmalloc")]
    for r in d["rows"]:
        table.append((r["guest"], f"{r['cpus']}", f"{r['size']}",
                      *(bench.number(r[k] / 1e3)
                        for k in ("netmem", "page_frag",
                                  "netdev_frag", "kmalloc")),
                      r["device"],
                      *(f"{r['of_' + k]:.2f}" for k in ("page_frag",
                                                        "kmalloc"))))
    return "\n".join(("Allocating and freeing, medians of 51 rounds",
                      columns(table, {1, 2, 3, 4, 5, 7, 8})))


def splice_text(d):
    table = [("", "devices", "bytes", "of a", "receiver", "copy", "splice", "bvecq",
              "of copy", "of splice", "sender us/MiB: copy", "splice",
              "bvecq", "page refs/MiB: copy", "splice", "bvecq")]
    for r in d["rows"]:
        table.append((r["guest"], r["devices"], f"{r['bytes']}", r["source"],
                      r["receiver"],
                      *(bench.number(r[k]) for k in ("copy", "splice", "bvecq")),
                      f"{r['of_copy']:.2f}", f"{r['of_splice']:.2f}",
                      *(bench.number(r[k + "_us"])
                        for k in ("copy", "splice", "bvecq")),
                      *(bench.number(r["refs"][k]) if r["refs"] else ""
                        for k in ("copy", "splice", "bvecq"))))
    return "\n".join(("A kernel sender over TCP, MB/s, medians",
                      columns(table, {2, *range(5, 16)})))


def iommu_text(d):
    table = [("", *bench.KINDS)]
    for name in d["rows"]["stock"]:
        table.append((name, *(bench.number(d["rows"][k][name])
                              for k in bench.KINDS)))
    return "\n".join((
        f"{d['mib']} MiB sent over AF_RXRPC, and by SMB, by {d['card']} behind a strict IOMMU",
        columns(table, {1, 2})))


def profile_text(d):
    table = [("cache=", "us per MiB written", *bench.KINDS, "ratio")]
    for r in d["rows"]:
        ratio = f"{r['patched'] / r['stock']:.2f}" if r["stock"] else ""
        table.append((r["cache"], r["what"],
                      *(bench.number(r[k]) for k in bench.KINDS), ratio))
    return "\n".join((
        f"CPU time that a UML guest takes, {d['mib']} MiB written with bs=1M, "
        f"medians of {d['rounds']} rounds",
        columns(table, {2, 3, 4})))


TEXT = {"profile": profile_text, "smb": fio_text, "counters": counters_text, "iter": iter_text,
        "alloc": alloc_text, "splice": splice_text,
        "rxrpc": rxrpc_text, "iommu": iommu_text}


# --- HTML -------------------------------------------------------------------

def esc(text):
    return html.escape(str(text))


def tag(name, body="", **attrs):
    given = "".join(f' {k.rstrip("_").replace("_", "-")}="{esc(v)}"'
                    for k, v in attrs.items())
    return f"<{name}{given}>{body}</{name}>"


def text(x, y, words, **attrs):
    return tag("text", esc(words), x=round(x, 1), y=round(y, 1), **attrs)


def rect(x, y, width, height, fill):
    return tag("rect", x=round(x, 1), y=round(y, 1), rx=1.5,
               width=round(max(width, 0.5), 1), height=height, fill=fill)


def line(x1, y1, x2, y2, stroke, width=1.0):
    return tag("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1),
               y2=round(y2, 1), stroke=stroke, stroke_width=width)


def ticks(top):
    """About five round steps from 0 up to `top`."""
    step = 10 ** len(str(int(top)))
    while top / step < 4:
        step /= 2 if str(step)[0] in "12" else 2.5
    return [step * i for i in range(int(top / step) + 1)]


def legend(x, y):
    out = []
    for i, (colour, word) in enumerate(((STOCK, "stock"), (PATCHED, "patched"))):
        out += [rect(x + 80 * i, y - 9, 12, 10, colour),
                text(x + 80 * i + 17, y, word)]
    return "".join(out)


def fio_plot(title, rows):
    """A pair of bars (medians) a row, whiskers from the least to the most."""
    left, plot, right, pitch, head = 190, 520, 190, 44, 34
    height = head + pitch * len(rows) + 38
    scale = plot / max(r[k]["max"] for r in rows for k in bench.KINDS)
    bottom = head + pitch * len(rows)
    out = [legend(left, 16)]
    for t in ticks(plot / scale):
        x = left + t * scale
        out += [line(x, head - 6, x, bottom, GRID),
                text(x, bottom + 15, f"{t:,.0f}", text_anchor="middle",
                     fill=SOFT)]
    out.append(text(left + plot / 2, bottom + 32, "MB/s", fill=SOFT,
                    text_anchor="middle"))
    for i, r in enumerate(rows):
        y = head + pitch * i
        first = f"{r['bs']}, cache={r['cache']}, {jobs(r)}"
        if r["mode"] != "plain":
            first = f"{r['mode']}, {r['rw']} {r['bs']}"
        out.append(text(left - 10, y + 20, first, text_anchor="end"))
        for k, colour, dy in (("stock", STOCK, 2), ("patched", PATCHED, 18)):
            s, mid = r[k], y + dy + 7
            lo, hi = left + s["min"] * scale, left + s["max"] * scale
            out += [rect(left, y + dy, s["median"] * scale, 14, colour),
                    line(lo, mid, hi, mid, INK, 1.2),
                    line(lo, mid - 4, lo, mid + 4, INK, 1.2),
                    line(hi, mid - 4, hi, mid + 4, INK, 1.2),
                    text(hi + 6, mid + 4, bench.number(s["median"]),
                         fill=SOFT)]
        colour = LOSS if is_loss(r["ratio"]) else GAIN
        out.append(text(left + plot + right - 8, y + 21,
                        f"{mark(r['ratio'])} {r['ratio']:.2f} x".strip(),
                        text_anchor="end", fill=colour, font_weight="bold"))
    out.append(text(left + plot + right - 8, 16, "patched / stock", fill=SOFT,
                    text_anchor="end"))
    width = left + plot + right
    return tag("figure", tag("figcaption", esc(title)) + tag(
        "svg", "".join(out), viewBox=f"0 0 {width} {height}", role="img",
        aria_label=title))


def counter_plot(row, caches):
    """One counter: a pair of bars for each mount, on a scale of its own."""
    left, plot, right, pitch, head = 100, 210, 80, 40, 8
    most = max(row[c][k] for c in caches for k in bench.KINDS)
    scale = plot / most if most else 0
    height = head + pitch * len(caches)
    out = []
    for i, c in enumerate(caches):
        y = head + pitch * i
        out.append(text(left - 8, y + 18, f"cache={c}", text_anchor="end"))
        for k, colour, dy in (("stock", STOCK, 0), ("patched", PATCHED, 15)):
            loss = k == "patched" and is_more(row[c])
            out += [rect(left, y + dy, row[c][k] * scale, 13, colour),
                    text(left + row[c][k] * scale + 6, y + dy + 11,
                         bench.number(row[c][k]) + (" LOSS" if loss else ""),
                         fill=LOSS if loss else SOFT)]
    out.append(line(left, head - 4, left, height - 8, SOFT))
    title = f"{row['counter']} per {row['per']}"
    return tag("figure", tag("figcaption", esc(title)) + tag(
        "svg", "".join(out), viewBox=f"0 0 {left + plot + right} {height}",
        role="img", aria_label=title), class_="small")


def row_html(cells, kind="td", numbers=(), styles=None):
    return tag("tr", "".join(
        tag(kind, esc(c), **{"class": " ".join(filter(None, (
            "n" if i in numbers else "", (styles or {}).get(i, ""))))})
        for i, c in enumerate(cells)))


def fio_html(d):
    numbers = range(5, 10)
    body = [row_html(("Mode", "", "Block", "Mount", "Jobs", "stock",
                      "min – max", "patched", "min – max", "ratio", ""),
                     "th", numbers)]
    for r in d["rows"]:
        style = "loss" if is_loss(r["ratio"]) else ""
        body.append(row_html(
            (r["mode"], r["rw"], r["bs"], "cache=" + r["cache"], r["jobs"],
             bench.number(r["stock"]["median"]),
             span(r["stock"]).replace("..", " – "),
             bench.number(r["patched"]["median"]),
             span(r["patched"]).replace("..", " – "), f"{r['ratio']:.2f}",
             mark(r["ratio"])), "td", numbers, {9: style, 10: style}))
    out = [tag("h2", "Throughput"), tag("p", esc(
        "MB/s, or thousands of files a second that are created, looked at or "
        "deleted: fio over SMB 3.1.1 with wsize=1M against ksmbd on tmpfs over "
        f"loopback, in a UML guest of one CPU that has a CPU of the host to "
        f"itself: medians of {d['rounds']} rounds after a warm-up that is "
        "discarded, each kernel freshly booted in every round, the two in "
        "turn, a job's turn three times; the ratio is the median of the "
        "turns' ratios. Whiskers reach from the least to the "
        "most of the turns. UML has no fast ciphers, so signed and sealed "
        "figures say little but that nothing got worse.")),
        tag("p", esc(f"{losses(d['rows'])}. {load_note(d['load'])}."))]
    for title, member in PANELS:
        rows = [r for r in d["rows"] if member(r)]
        if rows:
            out.append(fio_plot(title, rows))
    out.append(tag("table", "".join(body)))
    return "".join(out)


def counters_html(d):
    names = [f"cache={c} {k}" for c in d["caches"] for k in bench.KINDS]
    numbers = range(2, 2 + len(names))
    body = [row_html(("Counter", "per", *names, "What is counted"), "th",
                     numbers)]
    for r in d["rows"]:
        body.append(row_html(
            (r["counter"], r["per"], *(bench.number(r[c][k])
                                       for c in d["caches"]
                                       for k in bench.KINDS), r["what"]),
            "td", numbers, {2 + len(names): "what", **{
                3 + 2 * i: "loss" for i, c in enumerate(d["caches"])
                if is_more(r[c])}}))
    plots = "".join(counter_plot(r, d["caches"]) for r in d["rows"])
    return "".join((tag("h2", "Counters that no noise touches"), tag("p", esc(
        f"{d['mib']} MiB written by fio with bs=1M over SMB 3.1.1, "
        "read by ftrace in an x86 guest whose client and server each have an "
        "e1000e of their own behind a lazy IOMMU. Less is better.")),
        tag("svg", legend(0, 14), viewBox="0 0 200 20", class_="legend"),
        tag("div", plots, class_="grid"), tag("table", "".join(body))))


HTML = {"smb": fio_html, "counters": counters_html}
STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; background: #fff;
  max-width: 1000px; margin: 2em auto; padding: 0 1em; }}
h1 {{ font-size: 1.6em; margin-bottom: 0; }}
h2 {{ margin-top: 2em; border-bottom: 1px solid {GRID}; }}
figure {{ margin: 1.2em 0; }}
figcaption {{ font-weight: 600; }}
svg {{ display: block; width: 100%; }}
svg text {{ font: 12.5px system-ui, sans-serif; }}
.small svg text {{ font-size: 11px; }}
svg text[font-weight] {{ font-weight: 600; }}
svg.legend {{ width: 200px; }}
.grid {{ display: grid; gap: 0 2em;
  grid-template-columns: repeat(auto-fill, minmax(390px, 1fr)); }}
.small {{ margin: .7em 0; }}
table {{ border-collapse: collapse; font-size: 13px; width: 100%;
  margin-top: 1em; }}
th {{ text-align: left; color: {SOFT}; vertical-align: bottom; }}
td, th {{ padding: 3px 8px; border-bottom: 1px solid {GRID}; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
th.n {{ white-space: normal; }}
.what {{ width: 45%; }}
.loss {{ color: {LOSS}; font-weight: 600; }}
.good {{ color: {GAIN}; font-weight: 600; }}
footer {{ margin-top: 2em; color: {SOFT}; font-size: 13px; }}
"""


def goals_html(results):
    body = [row_html(("", "Goal", "Measured", "Wanted", ""), "th", (2,))]
    for d in results:
        for g in d["goals"]:
            body.append(row_html(
                (d["benchmark"], g["figure"], f"{g['value']:.2f} {g['unit']}",
                 f"{g['op']} {g['target']:g}",
                 "holds" if g["holds"] else "falls short"), "td", (2,),
                {4: "good" if g["holds"] else "loss"}))
    return tag("h2", "Goals") + tag("table", "".join(body))


def page(results):
    m = results[0]["machine"]
    facts = [f"{m['cpu']}, {m['cpus']} CPUs, {m['memory_gib']} GiB, "
             f"host kernel {m['host_kernel']}"]
    for d in results:
        k = d["kernels"]
        facts += [f"{d['benchmark']}, {kind}: Linux {k[kind]['release']}, "
                  f"commit {k[kind]['commit']}, configuration sha256 "
                  f"{k[kind]['config_sha256'][:16]}" for kind in bench.KINDS]
        facts.append(f"{d['benchmark']}: the configurations differ in " +
                     (", ".join(k["config_differs_in"]) or "nothing"))
    title = "Network filesystems on netmem: stock and patched Linux"
    return "<!DOCTYPE html>\n<!-- SPDX-License-Identifier: GPL-2.0 -->\n" + tag(
        "html", tag("head", '<meta charset="utf-8">' + tag(
            "title", title) + tag("style", STYLE)) + tag("body", "".join(
                [tag("h1", title)] + [HTML[d["benchmark"]](d) for d in results]
                + [goals_html(results)]
                + [tag("footer", "<br>".join(map(esc, facts)))])), lang="en")


def main(argv):
    if len(argv) < 3 or argv[1] not in ("text", "html"):
        sys.exit(__doc__)
    outdir = argv[2] if argv[1] == "html" else None
    results = []
    for name in argv[3 if outdir else 2:]:
        try:
            with open(name, encoding="utf-8") as f:
                results.append(json.load(f))
        except (OSError, ValueError) as e:
            bench.die(f"{name}: no result of a benchmark: {e}")
    if outdir:
        with open(os.path.join(outdir, "results.json"), "w",
                  encoding="utf-8") as f:
            json.dump({d["benchmark"]: d for d in results}, f, indent=1)
        with open(os.path.join(outdir, "report.html"), "w",
                  encoding="utf-8") as f:
            f.write(page(results) + "\n")
        return
    for d in results:
        print(TEXT[d["benchmark"]](d) + "\n")
    for d in results:
        bench.print_goals(d["benchmark"], d["goals"])


if __name__ == "__main__":
    main(sys.argv)
