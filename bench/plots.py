"""Draws what was measured: costs.svg, growth.svg and latency.svg, from the .json files beside them.

The same measurements give the same files, byte for byte, with the same matplotlib.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from peers import CONNECTIONS, HERE, REFERENCE, TALKING
from report import measured_on
from result import PERCENTILES, Result

# A white ground: a README is read on a white page and on a black one.
mpl.rcParams.update(
    {
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "svg.hashsalt": "serversocket",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": "#c8ccd2",
        "axes.labelcolor": "#40464e",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "grid.color": "#e8eaed",
        "xtick.color": "#40464e",
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "ytick.color": "#40464e",
        "savefig.pad_inches": 0.12,
        "savefig.bbox": "tight",
    }
)
OURS, OURS_TOO, OTHERS = "#d1495b", "#e8a0a9", "#9fb1c4"
LEAST_RATIO, MOST_RATIO = 0.75, 25  # a longer bar is cut off here; its figure stands beside it
SHOWN_LATENCIES = ("ping", "echo", "short")

# The servers that a picture has room for, and their names in it; all others are in the tables.
SHOWN = {
    "serversocket-native": "serversocket",
    "serversocket-uvloop": "serversocket in uvloop",
    "serversocket-asyncio": "serversocket in asyncio",
    "serversocket-pure": "serversocket, pure Python",
    "uvloop-protocol": "uvloop",
    "aiofastnet-malloc": "aiofastnet",
    "asyncio-buffered": "asyncio, buffered",
    "asyncio-protocol": "asyncio",
    "gevent": "gevent",
    "twisted": "Twisted",
    "trio": "trio",
    "go": "Go",
    "node": "Node",
}
LINES = {
    REFERENCE: ("C", "#20252b", "--"),
    "serversocket-native": ("serversocket", OURS, "-"),
    "serversocket-pure": ("serversocket, pure Python", OURS_TOO, "-"),
    "uvloop-protocol": ("uvloop", "#2a7f9e", "-"),
    "asyncio-buffered": ("asyncio, buffered", "#8fa876", "-"),
    "asyncio-protocol": ("asyncio", "#c79a3b", "-"),
}


def colour(server: str) -> str:
    if server == "serversocket-native":
        return OURS
    return OURS_TOO if server.startswith("serversocket") else OTHERS


def rows(result: Result) -> list[str]:
    return [server for server in SHOWN if server in result.measured]


def plain(value: float, _position: int = 0) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def name_rows(leftmost: Iterable[Axes], servers: list[str]) -> None:
    """Puts the servers' names, ours in bold, at the leftmost of panels that share their rows."""
    for axes in leftmost:
        axes.set_yticks(range(len(servers)), ["C" if server == REFERENCE else SHOWN[server] for server in servers])
        axes.set_ylim(len(servers) - 0.4, -0.6)
        for server, label in zip(servers, axes.get_yticklabels(), strict=True):
            label.set_fontweight("bold" if server == "serversocket-native" else "normal")


def heading(figure: Figure, text: str) -> None:
    figure.suptitle(text, fontsize=11.5, fontweight="bold", x=0.01, ha="left")


def caption(figure: Figure, result: Result) -> None:
    figure.supxlabel(measured_on(result), x=0.01, ha="left", fontsize=7, color="#6a7078")


def costs(result: Result) -> Figure:
    """A panel for each scenario, a bar for each server: its cost as a ratio to C's."""
    servers = rows(result)
    columns = 5
    lines = -(-len(result.scenarios) // columns)
    figure = Figure(figsize=(11, 0.9 + lines * (0.62 + 0.19 * len(servers))), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(result.scenarios) :]:
        axes.set_visible(False)
    for axes, scenario in zip(panels.flat, result.scenarios, strict=False):
        for index, server in enumerate(servers):
            ratios = result.ratios(server, scenario)
            if not ratios:
                axes.text(1.05, index, "failed", va="center", fontsize=7.5)
                continue
            ratio = median(ratios)
            end = min(max(ratio, LEAST_RATIO), MOST_RATIO)
            axes.barh(index, end - 1, left=1, height=0.72, color=colour(server))
            axes.text(max(end, 1) * 1.06, index, f"{ratio:.2f}", va="center", fontsize=7.5, color="#40464e")
        axes.axvline(1, color="#20252b", linewidth=0.9)
        axes.set_title(scenario, pad=5)
        if reference := result.values(REFERENCE, scenario, "cpu_us"):
            axes.set_title(
                f"C: {median(reference):.3g} µs", loc="right", fontsize=7.5, fontweight="normal", color="#6a7078", pad=5
            )
        axes.set_xscale("log")
        axes.set_xlim(LEAST_RATIO, MOST_RATIO * 1.9)
        axes.set_xticks([1, 2, 5, 10, 20])
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    name_rows(panels[:, 0], servers)
    heading(figure, "Server CPU time for an operation, as a ratio to a server in C (lower is better)")
    caption(figure, result)
    return figure


def growth(result: Result) -> Figure:
    """The cost of an echoed message against the number of connections: beside silent ones, and with all talking."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"idle": f"{TALKING} connections talk, the others are silent", "active": "all connections talk"}
    for axes, (kind, title) in zip(panels, titles.items(), strict=True):
        for server, (name, line_colour, style) in LINES.items():
            found = [(count, result.values(server, f"{kind}-{count}", "cpu_us")) for count in CONNECTIONS]
            points = [(count, median(values)) for count, values in found if values]
            if points:
                axes.plot(
                    *zip(*points, strict=True), style, color=line_colour, label=name, marker="o", markersize=4,
                    linewidth=2.4 if server == "serversocket-native" else 1.5,
                )  # fmt: skip
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(CONNECTIONS)
        axes.set_yticks([2, 3, 5, 10, 20, 30, 50])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(plain))
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("open connections")
        axes.grid()
    panels[0].set_ylabel("µs for a message")
    heading(figure, "Server CPU time for an echoed message of 64 bytes, by the number of open connections")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False)
    caption(figure, result)
    return figure


def latency(result: Result) -> Figure | None:
    """A panel for each scenario, a line for each server from the median to the 99.9 %."""
    servers = [REFERENCE, *rows(result)]
    scenarios = [name for name in SHOWN_LATENCIES if any(result.latency(server, name) for server in servers)]
    if not scenarios:
        return None
    figure = Figure(figsize=(10, 1.3 + 0.24 * len(servers)), layout="constrained")
    panels = figure.subplots(1, len(scenarios), sharey=True, squeeze=False)
    markers = ("o", "o", "o", "D")
    for axes, scenario in zip(panels.flat, scenarios, strict=True):
        for index, server in enumerate(servers):
            found = result.latency(server, scenario)
            if not found:
                continue
            shade = "#20252b" if server == REFERENCE else colour(server)
            fills = (shade, "white", "white", shade)
            axes.plot([found["p50"], found["p99.9"]], [index, index], color=shade, linewidth=2, zorder=2)
            for value, marker, fill in zip(found.values(), markers, fills, strict=True):
                axes.scatter(value, index, s=24, marker=marker, facecolors=fill, edgecolors=shade, zorder=3)
        axes.set_title(scenario)
        axes.set_xscale("log")
        least, most = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 100 * least else (1,)))
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("µs")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    name_rows(panels[:, 0], servers)
    told = ", ".join("median" if name == "p50" else f"{name[1:]} %" for name in PERCENTILES)
    heading(figure, f"Latency that the client saw: {told} (lower is better)")
    caption(figure, result)
    return figure


# The picture, and the measurements that it is drawn from.
PICTURES: dict[str, tuple[str, Callable[[Result], Figure | None]]] = {
    "costs": ("latest", costs),
    "growth": ("growth", growth),
    "latency": ("latest", latency),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "results", help="of the .json files")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    chosen = parser.parse_args()
    for name, (source, draw) in PICTURES.items():
        file = chosen.folder / f"{source}.json"
        if not file.exists():
            print(f"{name}: there is no {file}", file=sys.stderr)
            continue
        figure = draw(Result.load(file))
        if figure is None:
            print(f"{name}: {file} has nothing to draw", file=sys.stderr)
            continue
        picture = chosen.folder / f"{name}.{chosen.format}"
        metadata = {"Date": None, "Creator": None} if chosen.format == "svg" else None
        figure.savefig(picture, metadata=metadata, dpi=110)
        print(picture, file=sys.stderr)


if __name__ == "__main__":
    main()
