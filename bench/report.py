"""The tables, in Markdown: what operations cost, and how the cost of a message grows with the connections."""

from collections.abc import Callable, Iterable

from peers import CONNECTIONS, REFERENCE, TALKING
from result import PERCENTILES, Figures, Summary

COST = f"""\
Server CPU time for an operation, user and kernel: µs for {REFERENCE}, the others as a ratio to it in the same round
(median of the rounds; lower is better). An operation of bulkin and bulkout is one MiB."""
SPREAD = "Least and greatest of the rounds."
BUSY = "How busy the server's core was. Below 100 % the cost contains falling asleep and waking up."
LATENCY = "Latency in µs, {}. It follows from the number in flight; compare within a column only."

GROWTH = f"""\
Server CPU time for an echoed message of 64 bytes, user and kernel, by the number of open connections: in µs, as a ratio
to {REFERENCE} in the same round, as growth over the server's own cost with the fewest, and as that growth over that of
{REFERENCE}. Medians of the rounds."""
KINDS = {
    "idle": f"**Idle**: {TALKING} connections have a message in flight, the others are silent.",
    "active": "**Active**: every connection has a message in flight.",
}

Cell = Callable[[str, str], str]


def table(title: str, columns: dict[str, str], rows: Iterable[str], value: Cell) -> str:
    """A line for each of *rows*, a column for each of *columns*: its key, and its heading."""
    cells = [[title, *columns.values()]]
    cells += [[row, *(value(row, column) for column in columns)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def runtimes(facts: dict) -> list[str]:
    return [facts[name] for name in ("python", "node", "go") if facts[name]]


def modules(facts: dict) -> list[str]:
    return [f"{module} {version}" for module, version in facts["versions"].items() if version]


def hardware(facts: dict) -> list[str]:
    return [f"{facts['cpu']}, {facts['cores']} cores", facts["kernel"], facts["libc"]]


def header(facts: dict, *more: str) -> str:
    """When, how, on what and with what it was measured: the lines above a table."""
    return bullets(
        [
            ", ".join([facts["date"], f"`{facts['command']}`", *more]),
            "; ".join([*hardware(facts), facts["compiler"]]),
            "; ".join([*runtimes(facts), ", ".join(modules(facts))]),
            f"load average {facts['load_average_before']} before, {facts['load_average_after']} after",
        ]
    )


def measured_on(summary: Summary) -> list[str]:
    """The same, in two lines for under a picture."""
    facts = summary.facts
    how = [facts["date"][:10], f"rounds: {summary.rounds}", summary.disturbance]
    return [
        f"{', '.join(filter(None, how))}; {', '.join(hardware(facts))}",
        ", ".join([*runtimes(facts), *modules(facts)]),
    ]


def document(title: str, summary: Summary, parts: Iterable[str]) -> str:
    remarks = [*summary.remarks]
    if summary.disturbance:
        remarks.append(f"{summary.disturbance}: other programs used the load's core")
    end = ["Failures and remarks", bullets(remarks)] if remarks else []
    return "\n\n".join([f"# {title}", header(summary.facts, f"{summary.rounds} rounds"), *parts, *end]) + "\n"


def cost(summary: Summary) -> str:
    columns = {scenario: scenario for scenario in summary.scenarios}

    def rows(title: str, value: Callable[[str, Figures], str], *others: str) -> str:
        """A table of *value* of the servers that were measured, and of *others*, which were not."""

        def cell(server: str, scenario: str) -> str:
            if server in summary.failed:
                return "-"
            figures = summary.figures(server, scenario)
            if not figures:
                return "failed"
            return value(server, figures) + (" failed" if figures.rounds < summary.rounds else "")

        return table(title, columns, [*summary.servers, *others], cell)

    def ratio(server: str, figures: Figures) -> str:
        if server == REFERENCE:
            return f"{figures.cost.median:.2f} µs"
        return f"{figures.ratio.median:.2f}" if figures.ratio else "no reference"

    def spread(server: str, figures: Figures) -> str:
        found = figures.cost if server == REFERENCE else figures.ratio
        return f"{found.least:.2f}-{found.greatest:.2f}" if found else "-"

    def busy(server: str, figures: Figures) -> str:
        return f"{figures.busy:.0%}"

    def latency(names: Iterable[str]) -> Callable[[str, Figures], str]:
        return lambda server, figures: (
            " / ".join(f"{figures.latency[it]:.0f}" for it in names if figures.latency) or "-"
        )

    parts = [COST, rows("cost", ratio, *summary.failed), SPREAD, rows("spread", spread), BUSY, rows("busy", busy)]
    for names in (PERCENTILES[:2], PERCENTILES[2:]):
        told = " / ".join("median" if name == "p50" else f"{name[1:]} %" for name in names)
        parts += [LATENCY.format(told), rows("latency", latency(names))]
    return document("Benchmark results", summary, parts)


def growth(summary: Summary) -> str:
    parts = [GROWTH]
    for kind, told in KINDS.items():
        parts += [told, *growth_of(summary, kind)]
    return document("Growth with the number of connections", summary, parts)


def growth_of(summary: Summary, kind: str) -> list[str]:
    """The tables of one kind of connections."""
    columns = {f"{kind}-{count}": f"{count:,}" for count in CONNECTIONS}

    def rows(title: str, value: Callable[[Figures], float | None], form: str = ".2f") -> str:
        def cell(server: str, scenario: str) -> str:
            figures = summary.figures(server, scenario)
            found = value(figures) if figures else None
            return "-" if found is None else format(found, form)

        return table(title, columns, summary.servers, cell)

    def ratio(figures: Figures) -> float | None:
        return figures.ratio and figures.ratio.median

    def against_reference(server: str, scenario: str) -> str:
        now, first = (summary.figures(server, it) for it in (scenario, next(iter(columns))))
        return f"{now.ratio.median / first.ratio.median:.2f}" if now and first and now.ratio and first.ratio else "-"

    return [
        rows("µs", lambda figures: figures.cost.median),
        rows(f"ratio to {REFERENCE}", ratio),
        rows("growth", lambda figures: figures.growth),
        table(f"growth / {REFERENCE}'s", columns, summary.servers, against_reference),
        rows("busy", lambda figures: figures.busy, ".0%"),
    ]
