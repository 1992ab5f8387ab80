#!/usr/bin/env python3
"""Draws what run.py wrote: plot.py results.json makes tail.svg and tail.png beside it. Needs matplotlib.

One panel a scenario. To the right the percentile, on a scale on which each further nine takes the same room; upwards the
latency, by factors of ten. A line that ends in a cross ends there because every request beyond failed.
"""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen
from matplotlib import pyplot

COLUMNS = 4
# Wong, Points of view: Color blindness, Nature Methods 8 (2011): told apart by nearly everybody.
COLOURS = ["#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#000000"]
NINES = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}
POINTS = 80


def main():
    path = Path(sys.argv[1])
    scenarios = json.loads(path.read_text())
    figure = drawn(scenarios)
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: small, and found by a search
    matplotlib.rcParams["svg.hashsalt"] = "tail"  # the same figures, the same file
    for ending in ("svg", "png"):
        target = path.parent / f"tail.{ending}"
        figure.savefig(target, dpi=110, metadata={"Date": None} if ending == "svg" else None)
        print(f"plot      {target}")


def drawn(scenarios):
    columns = min(COLUMNS, len(scenarios))
    rows = math.ceil(len(scenarios) / columns)
    size = (3.6 * columns, 2.9 * rows + 0.7)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(scenarios) :]:
        panel.set_axis_off()
    for panel, scenario in zip(panels.flat, scenarios):
        draw(panel, scenario)
    for panel in panels[:, 0]:
        panel.set_ylabel("latency, ms")
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0.5 / size[1], 1, 1))
    return figure


def draw(panel, scenario):
    panel.set_title(scenario["name"], fontsize=10)
    panel.set_yscale("log")
    panel.set_ylim(1, 2000)
    panel.set_xticks([nines(share) for share in NINES.values()], NINES, fontsize=7)
    panel.grid(alpha=0.3)
    for number, proxy in enumerate(scenario["proxies"]):
        ours = proxy["name"] == "tillgate"
        colour = COLOURS[number % len(COLOURS)]
        xs, ys, failed = curve(proxy)
        width, layer = (2.2, 3) if ours else (1.2, 2)
        panel.plot(xs, ys, color=colour, linewidth=width, zorder=layer, label=proxy["name"])
        if failed and xs:
            panel.plot(xs[-1:], ys[-1:], "x", color=colour, zorder=layer, clip_on=False)


def curve(proxy):
    """Of all requests, those that failed at the far end. Up to where ten requests are left: beyond is chance."""
    latencies, total = proxy["latencies_ms"], proxy["total"]
    answered = len(latencies) / total if total else 0
    last = min(1 - 10 / total, NINES["99.99 %"]) if total > 10 else 0
    wanted = (1 - 10 ** -(nines(last) * step / POINTS) for step in range(POINTS + 1))
    shares = [share for share in wanted if math.ceil(share * total) <= len(latencies)]
    xs = [nines(share) for share in shares]
    ys = [latencies[max(math.ceil(share * total) - 1, 0)] for share in shares]
    return xs, ys, answered < last


def nines(share):
    return -math.log10(1 - share)


if __name__ == "__main__":
    main()
