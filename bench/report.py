"""The tables, in Markdown: what operations cost, and how the cost of a message grows with the connections."""

from collections.abc import Callable
from statistics import median

from peers import CONNECTIONS, REFERENCE, TALKING
from result import PERCENTILES, Result

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


def table(title: str, columns: dict[str, str], servers: list[str], value: Cell) -> str:
    """A row for each of *servers*, a column for each of *columns*: the scenario, and its heading."""
    rows = [[title, *columns.values()]]
    rows += [[server, *(value(server, scenario) for scenario in columns)] for server in servers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def header(result: Result) -> str:
    facts = result.facts
    versions = ", ".join(f"{module} {version}" for module, version in facts["versions"].items() if version)
    runtimes = [facts[name] for name in ("python", "node", "go") if facts[name]]
    lines = [
        f"{facts['date']}, `{facts['command']}`, {len(result.rounds)} rounds",
        f"{facts['cpu']}, {facts['cores']} cores; {facts['kernel']}; {facts['libc']}; {facts['compiler']}",
        "; ".join([*runtimes, versions]),
        f"load average {facts['load_average_before']} before, {facts['load_average_after']} after",
    ]
    return "\n".join(f"* {line}" for line in lines)


def measured_on(result: Result) -> str:
    """When, on what and with what it was measured: two lines, for under a picture."""
    facts = result.facts
    runtimes = [facts[name] for name in ("python", "node", "go") if facts[name]]
    versions = [f"{module} {version}" for module, version in facts["versions"].items() if version]
    how = [facts["date"][:10], f"rounds: {len(result.rounds)}", result.disturbance()]
    where = f"{facts['cpu']}, {facts['cores']} cores, {facts['kernel']}, {facts['libc']}"
    return f"{', '.join(filter(None, how))}; {where}\n{', '.join([*runtimes, *versions])}"


def remarks(result: Result) -> list[str]:
    failures = result.failures()
    return ["Failures and remarks", "\n".join(f"* {line}" for line in failures)] if failures else []


def cost(result: Result) -> str:
    columns = {scenario: scenario for scenario in result.scenarios}

    def show(value: Cell) -> Cell:
        """*value*, or why there is none."""

        def cell(server: str, scenario: str) -> str:
            if server in result.failed:
                return "-"
            rounds = result.values(server, scenario, "cpu_us")
            if not rounds:
                return "failed"
            return value(server, scenario) + (" failed" if len(rounds) < len(result.rounds) else "")

        return cell

    def ratio(server: str, scenario: str) -> str:
        if server == REFERENCE:
            return f"{median(result.values(server, scenario, 'cpu_us')):.2f} µs"
        ratios = result.ratios(server, scenario)
        return f"{median(ratios):.2f}" if ratios else "no reference"

    def spread(server: str, scenario: str) -> str:
        if server == REFERENCE:
            values = result.values(server, scenario, "cpu_us")
        else:
            values = result.ratios(server, scenario) or [float("nan")]
        return f"{min(values):.2f}-{max(values):.2f}"

    def busy(server: str, scenario: str) -> str:
        return f"{median(result.values(server, scenario, 'busy')):.0%}"

    def latency(*names: str) -> Cell:
        def cell(server: str, scenario: str) -> str:
            found = result.latency(server, scenario)
            return " / ".join(f"{found[name]:.0f}" for name in names) if found else "-"

        return cell

    parts = [
        "# Benchmark results",
        header(result),
        COST,
        table("cost", columns, result.servers, show(ratio)),
        SPREAD,
        table("spread", columns, result.measured, show(spread)),
        BUSY,
        table("busy", columns, result.measured, show(busy)),
    ]
    for names in (PERCENTILES[:2], PERCENTILES[2:]):
        told = " / ".join("median" if name == "p50" else f"{name[1:]} %" for name in names)
        parts += [LATENCY.format(told), table("latency", columns, result.measured, show(latency(*names)))]
    return "\n\n".join([*parts, *remarks(result)]) + "\n"


def growth_of(result: Result, kind: str) -> list[str]:
    """The tables of one kind of connections."""
    smallest = f"{kind}-{CONNECTIONS[0]}"
    columns = {f"{kind}-{count}": f"{count:,}" for count in CONNECTIONS}

    def middle(values: list[float], form: str) -> str:
        return format(median(values), form) if values else "-"

    def cost_us(server: str, scenario: str) -> str:
        return middle(result.values(server, scenario, "cpu_us"), ".2f")

    def ratio(server: str, scenario: str) -> str:
        return middle(result.ratios(server, scenario), ".2f")

    def growth(server: str, scenario: str) -> str:
        return middle(result.growths(server, scenario, smallest), ".2f")

    def against_reference(server: str, scenario: str) -> str:
        now, first = result.ratios(server, scenario), result.ratios(server, smallest)
        return f"{median(now) / median(first):.2f}" if now and first else "-"

    def busy(server: str, scenario: str) -> str:
        return middle(result.values(server, scenario, "busy"), ".0%")

    cells = {
        "µs": cost_us,
        f"ratio to {REFERENCE}": ratio,
        "growth": growth,
        f"growth / {REFERENCE}'s": against_reference,
        "busy": busy,
    }
    return [table(title, columns, result.measured, cell) for title, cell in cells.items()]


def growth(result: Result) -> str:
    parts = ["# Growth with the number of connections", header(result), GROWTH]
    for kind, told in KINDS.items():
        parts += [told, *growth_of(result, kind)]
    return "\n\n".join([*parts, *remarks(result)]) + "\n"
