"""What the scoreboard shows: the figures, the targets that were reached, the spread of the times, what went wrong."""

from pathlib import Path
from statistics import median

from peers import HERE, OURS, PURE
from report import bullets, header, table

from scoreboard.process import ENDED
from scoreboard.rows import Measurement, Row

TARGETED = (OURS, PURE)
PAGE = HERE.parent / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"

WHAT = """\
What servers survive, side by side: each a plain server written as the manual of its library says, on loopback, on a
core of its own. ✓ and ✗ tell whether the target was reached."""
TIMES = """\
Times and memory are medians of several rounds in which all take part one after the other. Their spread, least to
greatest: what differs by less than that does not differ."""


def combined(rounds: list[dict]) -> dict:
    """Of each figure the median of the rounds; what is not a number is that of the last one."""
    good = [figures for figures in rounds if "failed" not in figures]
    if not good:
        return rounds[-1]
    result = {}
    for key, value in good[-1].items():
        numbers = isinstance(value, int | float)
        result[key] = median(figures[key] for figures in good) if numbers else value
    return result


class Board:
    """The rounds of every measurement and peer, and what they come to."""

    def __init__(self, facts: dict, measurements: list[Measurement], peers: list[str], rounds: dict):
        self.facts, self.measurements, self.peers = facts, measurements, peers
        self.rounds = rounds  # module -> peer -> list of figures
        self.found = {
            module: {peer: combined(taken) for peer, taken in by_peer.items()} for module, by_peer in rounds.items()
        }

    def unmet(self) -> list[dict]:
        """The targets that our own columns do not reach."""
        return [
            {
                "peer": peer,
                "figure": self._title(measurement, row),
                "target": row.target,
                "found": self._cell(measurement, row, peer),
                "noisy": row.noisy,
            }
            for peer in self.peers
            if peer in TARGETED
            for measurement in self.measurements
            for row in measurement.rows
            if not self._met(measurement, row, peer)
        ]

    def markdown(self) -> str:
        parts = [WHAT, header(self.facts), self._table(), TIMES, self._spread(), self._notes()]
        return "\n\n".join(filter(None, parts)) + "\n"

    def _table(self) -> str:
        rows = {
            self._title(measurement, row): (measurement, row)
            for measurement in self.measurements
            for row in measurement.rows
        }

        def cell(title: str, column: str) -> str:
            measurement, row = rows[title]
            if column == "target":
                return row.target
            text = self._cell(measurement, row, column)
            if column not in TARGETED:
                return text
            return f"{text} {'✓' if self._met(measurement, row, column) else '✗'}"

        columns = {"target": "target"} | {peer: peer for peer in self.peers}
        return table("figure", columns, list(rows), cell)

    def _title(self, measurement: Measurement, row: Row) -> str:
        given = {"closed": 0, "faults": 0}
        for found in self.found[measurement.module].values():
            given |= {key: max(found.get(key, 0), most) for key, most in given.items()}
        given |= self.facts["sizes"][measurement.module]
        return row.title.format_map(given)

    def _cell(self, measurement: Measurement, row: Row, peer: str) -> str:
        if peer in measurement.absent:
            return "-"
        found = self.found[measurement.module][peer]
        if "failed" in found:
            return "ended" if found["failed"].startswith(ENDED) else "failed"
        return row.cell(found)

    def _met(self, measurement: Measurement, row: Row, peer: str) -> bool:
        found = self.found[measurement.module][peer]
        return "failed" not in found and row.met(found)

    def _spread(self) -> str:
        titles = {title: (m.module, key) for m in self.measurements for key, title in m.times.items()}

        def cell(title: str, peer: str) -> str:
            module, key = titles[title]
            values = [figures[key] for figures in self.rounds[module].get(peer, []) if key in figures]
            return " to ".join(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in ends(values)) or "-"

        return table("spread", {peer: peer for peer in self.peers}, list(titles), cell) if titles else ""

    def _notes(self) -> str:
        lines = []
        for measurement in self.measurements:
            module = measurement.module
            for peer, reason in measurement.absent.items():
                if peer in self.peers:
                    lines.append(f"{peer}, {module}: takes no part: {reason}")
            for peer, rounds in self.rounds[module].items():
                failures = [figures["failed"] for figures in rounds if "failed" in figures]
                if failures:
                    lines.append(f"{peer}, {module}: failed in {len(failures)} of {len(rounds)}: {clean(failures[0])}")
                if details := self.found[module][peer].get("details"):
                    lines.append(f"{peer}, {module}: {clean(named(details))}")
        return bullets(lines)


def ends(values: list[float]) -> list[float]:
    return [min(values), max(values)] if values else []


def named(details: dict | list) -> str:
    if isinstance(details, dict):
        return "; ".join(f"{key}: {text}" for key, text in details.items())
    return ", ".join(details)


def clean(text: str, most: int = 400) -> str:
    """In one line of Markdown; the file in JSON has the whole text."""
    line = " ".join(text.replace("|", "/").split())
    return line if len(line) <= most else f"{line[:most]} …"


def put_on_page(markdown: str, page: Path = PAGE) -> None:
    """Replace what stands between the two comments of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} lacks the comments {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{markdown}{END}{after}", encoding="utf-8")
