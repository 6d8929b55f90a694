"""The pictures: what operations cost, how the cost grows, what latency clients saw, and the memory in a soak."""

from collections.abc import Iterator

from peers import CONNECTIONS, REFERENCE, TALKING
from report import measured_on
from result import PERCENTILES, Figures, Summary
from svg import DARK, FAINT, GRID, Picture, Scale, scale

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
    REFERENCE: ("C", DARK, "5 3"),
    "serversocket-native": ("serversocket", OURS, "none"),
    "serversocket-pure": ("serversocket, pure Python", OURS_TOO, "none"),
    "uvloop-protocol": ("uvloop", "#2a7f9e", "none"),
    "asyncio-buffered": ("asyncio, buffered", "#8fa876", "none"),
    "asyncio-protocol": ("asyncio", "#c79a3b", "none"),
}
NAMES = 138  # width of the servers' names, left of the first panel
GAP = 14  # between panels


def colour(server: str) -> str:
    if server == REFERENCE:
        return DARK
    if server == "serversocket-native":
        return OURS
    return OURS_TOO if server.startswith("serversocket") else OTHERS


def shown(summary: Summary) -> list[str]:
    return [server for server in SHOWN if server in summary.servers]


def plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def heading(picture: Picture, text: str) -> None:
    picture.text(8, 14, text, 11.5, "black", bold=True)


def caption(picture: Picture, summary: Summary) -> None:
    for line, text in enumerate(measured_on(summary)):
        picture.text(8, picture.height - 18 + 10 * line, text, 7, FAINT)


def name_rows(picture: Picture, servers: list[str], top: float, row: float) -> None:
    for index, server in enumerate(servers):
        name = "C" if server == REFERENCE else SHOWN[server]
        picture.text(
            NAMES - 6, top + (index + 0.5) * row, name, 8.5, anchor="end", bold=server == "serversocket-native"
        )


def columns(count: int, width: float, left: float = NAMES) -> Iterator[tuple[float, float]]:
    """The left and the right edge of each of *count* panels that share the width."""
    size = (width - left - GAP * count) / count
    for index in range(count):
        begin = left + index * (size + GAP)
        yield begin, begin + size


def costs(summary: Summary) -> Picture:
    """A panel for each scenario, a bar for each server: its cost as a ratio to C's."""
    servers, across, row, title = shown(summary), 5, 14, 18
    lines = -(-len(summary.scenarios) // across)
    panel = title + row * len(servers) + 8
    picture = Picture(800, 30 + lines * panel + 44)
    heading(picture, "Server CPU time for an operation, as a ratio to a server in C (lower is better)")
    edges = list(columns(across, picture.width))
    for index, scenario in enumerate(summary.scenarios):
        left, right = edges[index % across]
        top = 30 + index // across * panel + title
        place = scale(LEAST_RATIO, MOST_RATIO * 1.9, left, right, logarithmic=True)
        picture.text(left, top - 9, scenario, 9.5, "black", bold=True)
        if reference := summary.figures(REFERENCE, scenario):
            picture.text(right, top - 9, f"C: {reference.cost.median:.3g} µs", 7.5, FAINT, "end")
        if index % across == 0:
            name_rows(picture, servers, top, row)
        bottom = top + row * len(servers)
        for tick in (1, 2, 5, 10, 20):
            picture.line([(place(tick), top), (place(tick), bottom)], DARK if tick == 1 else GRID)
            if index >= len(summary.scenarios) - across:
                picture.text(place(tick), bottom + 8, plain(tick), 8, anchor="middle")
        for number, server in enumerate(servers):
            cost_bar(picture, place, top + (number + 0.5) * row, summary.figures(server, scenario), colour(server))
    caption(picture, summary)
    return picture


def cost_bar(picture: Picture, place: Scale, middle: float, figures: Figures | None, shade: str) -> None:
    if not figures or not figures.ratio:
        picture.text(place(1.05), middle, "failed", 7.5)
        return
    ratio = figures.ratio.median
    end = min(max(ratio, LEAST_RATIO), MOST_RATIO)
    picture.bar(place(1), middle - 5, place(end) - place(1), 10, shade)
    picture.text(place(max(end, 1)) + 3, middle, f"{ratio:.2f}", 7.5)


def growth(summary: Summary) -> Picture:
    """The cost of an echoed message against the number of connections: beside silent ones, and with all talking."""
    picture, top, bottom, legend = Picture(720, 320), 44, 262, 150
    heading(picture, "Server CPU time for an echoed message of 64 bytes, in µs, by the number of open connections")
    height = scale(2, 60, bottom, top, logarithmic=True)
    titles = {"idle": f"{TALKING} connections talk, the others are silent", "active": "all connections talk"}
    for (left, right), (kind, title) in zip(columns(2, picture.width - legend, 30), titles.items(), strict=True):
        place = scale(CONNECTIONS[0] * 0.8, CONNECTIONS[-1] * 1.25, left, right, logarithmic=True)
        picture.text(left, top - 9, title, 9, "black", bold=True)
        for tick in (2, 3, 5, 10, 20, 30, 50):
            picture.line([(left, height(tick)), (right, height(tick))], GRID)
            if kind == "idle":
                picture.text(left - 6, height(tick), plain(tick), 8.5, anchor="end")
        for count in CONNECTIONS:
            picture.line([(place(count), top), (place(count), bottom)], GRID)
            picture.text(place(count), bottom + 9, plain(count), 8.5, anchor="middle")
        picture.text((left + right) / 2, bottom + 22, "open connections", 8.5, anchor="middle")
        for server, (_, shade, dash) in LINES.items():
            found = [(count, summary.figures(server, f"{kind}-{count}")) for count in CONNECTIONS]
            points = [(place(count), height(figures.cost.median)) for count, figures in found if figures]
            picture.line(points, shade, 2.4 if server == "serversocket-native" else 1.5, dash)
            for point in points:
                picture.dot(*point, 2, shade)
    for index, (name, shade, dash) in enumerate(LINES.values()):
        x, y = picture.width - legend, 110 + index * 18
        picture.line([(x, y), (x + 20, y)], shade, 2, dash)
        picture.text(x + 26, y, name, 8.5)
    caption(picture, summary)
    return picture


def latency(summary: Summary) -> Picture | None:
    """A panel for each scenario, a line for each server from the median to the 99.9 %."""
    servers, row, top = [REFERENCE, *shown(summary)], 16, 50
    found = {
        scenario: {server: it.latency for server in servers if (it := summary.figures(server, scenario)) and it.latency}
        for scenario in SHOWN_LATENCIES
    }
    found = {scenario: latencies for scenario, latencies in found.items() if latencies}
    if not found:
        return None
    bottom = top + row * len(servers)
    picture = Picture(720, bottom + 56)
    told = ", ".join("median" if name == "p50" else f"{name[1:]} %" for name in PERCENTILES)
    heading(picture, f"Latency that the client saw: {told} (lower is better)")
    name_rows(picture, servers, top, row)
    for (left, right), (scenario, latencies) in zip(columns(len(found), picture.width), found.items(), strict=True):
        values = [value for each in latencies.values() for value in each.values()]
        place = scale(min(values) / 1.2, max(values) * 1.2, left, right, logarithmic=True)
        picture.text(left, top - 9, f"{scenario}, µs", 9.5, "black", bold=True)
        for tick in (factor * 10**power for power in range(7) for factor in (1, 2, 5)):
            if min(values) <= tick <= max(values):
                picture.line([(place(tick), top), (place(tick), bottom)], GRID)
                picture.text(place(tick), bottom + 8, plain(tick), 7.5, anchor="middle")
        for index, server in enumerate(servers):
            if server not in latencies:
                continue
            middle, shade = top + (index + 0.5) * row, colour(server)
            points = [place(latencies[server][name]) for name in PERCENTILES]
            picture.line([(points[0], middle), (points[-1], middle)], shade, 2)
            for x, fill in zip(points, (shade, "white", "white", shade), strict=True):
                picture.dot(x, middle, 2.6, shade, fill)
    caption(picture, summary)
    return picture


def soak(result: dict) -> Picture:
    """Memory and connections over time, of a soak."""
    rests = result["rests"]
    samples = result["samples"] or rests  # a short one is over before the first look
    left, right, middle, bottom = 56, 520, 150, 225
    picture = Picture(530, 260)
    told = f"{result['connections']:,} connections opened and closed, {result['engine']}: memory of the server"
    picture.text(left, 12, told, 9.5, "black", bold=True)
    across = scale(0, max(it["seconds"] for it in (*samples, *rests)), left, right)
    panels = (
        ("MiB resident", "kib", 1024, 30, middle, OURS),
        ("thousands", "done", 1000, middle + 20, bottom, OTHERS),
    )
    for name, key, unit, top, low, shade in panels:
        most = max(sample[key] for sample in samples) / unit * 1.2
        place = scale(0, most, low, top)
        for tick in steps(most):
            picture.line([(left, place(tick)), (right, place(tick))], GRID)
            picture.text(left - 5, place(tick), plain(tick), 8, anchor="end")
        picture.text(left - 48, top - 9, name, 8)
        picture.line([(across(it["seconds"]), place(it[key] / unit)) for it in samples], shade, 1.4)
        if key == "kib":
            for rest in rests:
                picture.dot(across(rest["seconds"]), place(rest[key] / unit), 2, shade)
            picture.dot(right - 110, low - 12, 2, shade)
            picture.text(right - 102, low - 12, "no client connected", 8)
    for tick in steps(samples[-1]["seconds"], 8):
        picture.text(across(tick), bottom + 9, plain(tick), 8, anchor="middle")
    picture.text((left + right) / 2, bottom + 24, "seconds", 8, anchor="middle")
    return picture


def steps(most: float, count: int = 4) -> Iterator[float]:
    """Round numbers from 0 to *most*, about so many."""
    step = next(
        size for power in range(-3, 9) for size in (10**power, 2 * 10**power, 5 * 10**power) if most / size <= count
    )
    for index in range(int(most / step) + 1):
        yield index * step
