"""Draws what a soak has found: `soak.svg`, memory and connections over time."""

import json
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

from matplotlib.figure import Figure  # noqa: E402
from plots import OTHERS, OURS  # noqa: E402 - and the style with them

RESULTS = BENCH / "results"


def draw(result):
    samples = result["samples"]
    seconds = [sample["seconds"] for sample in samples]
    figure = Figure(figsize=(7.4, 3.2))
    memory, done = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    resident = [sample["kib"] / 1024 for sample in samples]
    memory.plot(seconds, resident, color=OURS, linewidth=1.4)
    rests = result["rests"]
    at_rest = [rest["seconds"] for rest in rests], [rest["kib"] / 1024 for rest in rests]
    memory.plot(*at_rest, "o", color=OURS, markersize=3, label="nobody connected")
    memory.legend(loc="lower right", frameon=False)
    memory.set_ylim(0, max(resident) * 1.2)
    memory.set_ylabel("MiB resident")
    engine = result["engine"]
    memory.set_title(f"{result['connections']:,} connections opened and closed, {engine}: memory of the server")
    done.plot(seconds, [sample["done"] / 1000 for sample in samples], color=OTHERS, linewidth=1.4)
    done.set_ylabel("thousands")
    done.set_ylim(0)
    done.set_xlabel("seconds")
    for axes in (memory, done):
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    figure.align_ylabels()
    return figure


def main():
    result = json.loads((RESULTS / "soak.json").read_text())
    picture = RESULTS / "soak.svg"
    draw(result).savefig(picture, metadata={"Date": None, "Creator": None})
    print(picture, file=sys.stderr)


if __name__ == "__main__":
    main()
