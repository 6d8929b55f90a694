"""Pictures of a turn, of the life of a connection and of its states, as SVG, from the tables of the page on design.

They are drawn for 420 pixels, so that they can be read on a telephone, in the colours of the page, light or dark.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from typing import NamedTuple

WIDTH = 420
LINE = 17  # pixels from one line of text to the next
CHARACTERS = 52  # of the text of a box, in one line


class Step(NamedTuple):
    """One thing that happens, and what there is to say of it."""

    name: str
    text: str


class Change(NamedTuple):
    """From one state to another."""

    source: str
    reason: str
    target: str


# ---------------------------------------------------------------------------------------- what the page says


def turn_steps(design: str) -> list[Step]:
    """The steps of a turn of the reactor."""
    _, found, rest = design.partition("A turn, in this order:")
    steps = re.match(r"\s*((?:\d+\. .*\n(?: +.*\n)*)+)", rest) if found else None
    if steps is None:
        raise LookupError("no list behind 'A turn, in this order:'")
    texts = re.findall(r"^\d+\. ((?:.*)(?:\n +.*)*)", steps[1], re.MULTILINE)
    return [Step("", _plain(" ".join(text.split())).rstrip(";.")) for text in texts]


def life_steps(design: str) -> list[Step]:
    """The life of a connection; what belongs to a step is indented below it."""
    found = re.search(r"^## The life of a connection\n.*?^```\w*\n(.*?)^```", design, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError("no block of code under 'The life of a connection'")
    return [Step(*re.split(r"  +", line.rstrip(), maxsplit=1)) for line in _rows(found[1])]


def _rows(block: str) -> Iterator[str]:
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        if re.search(r"\S  +\S", line):
            yield ("\u2003" if indent else "") + _plain(line.strip())


def changes(design: str) -> list[Change]:
    """What leads from one state of a connection to another."""
    found = re.search(r"^\| from \| what happens \| to \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", design, re.MULTILINE)
    if found is None:
        raise LookupError("no table 'from | what happens | to'")
    rows = [[_plain(cell.strip()) for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    return [Change(source, reason, target) for sources, reason, target in rows for source in sources.split(", ")]


def _plain(text: str) -> str:
    return text.replace("`", "")


# ------------------------------------------------------------------------------------------------- drawing


def _text(x: float, y: float, lines: list[str], css: str = "", anchor: str = "start") -> str:
    spans = "".join(f'<tspan x="{x}" dy="{LINE if n else 0}">{escape(line)}</tspan>' for n, line in enumerate(lines))
    return f'<text x="{x}" y="{y}" class="{css}" text-anchor="{anchor}">{spans}</text>'


def _svg(height: float, title: str, *parts: str) -> str:
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(title)}">{arrow}{"".join(parts)}</svg>'
    )


def turn(design: str) -> tuple[str, str]:
    """The steps of a turn, one below the other, and the way back to the first."""
    steps = turn_steps(design)
    parts, y = [], 10.0
    for number, step in enumerate(steps, 1):
        lines = textwrap.wrap(step.text, CHARACTERS - 2)
        height = LINE * len(lines) + 14
        parts.append(f'<rect x="40" y="{y:g}" width="350" height="{height:g}" rx="6"/>')
        parts.append(f'<circle cx="40" cy="{y + height / 2:g}" r="12"/>')
        parts.append(_text(40, y + height / 2 + 5, [str(number)], "number", "middle"))
        parts.append(_text(60, y + 20, lines))
        y += height
        if number < len(steps):
            parts.append(f'<path d="M215 {y:g}v16" marker-end="url(#arrow)"/>')
            y += 18
    parts.append(f'<path d="M390 {y - 14:g}h16V24h-14" marker-end="url(#arrow)"/>')
    told = "; ".join(f"{number}. {step.text}" for number, step in enumerate(steps, 1))
    return _svg(y + 10, f"A turn of the reactor: {told}", *parts), told


def life(design: str) -> tuple[str, str]:
    """A line of time: the steps, and below each what follows from it."""
    steps = life_steps(design)
    parts, y = [], 24.0
    for step in steps:
        below = step.name.startswith("\u2003")
        if not below and parts:
            y += 12
        x = 46 if below else 28
        parts.append(f'<circle cx="14" cy="{y - 5:g}" r="{3 if below else 6}"/>')
        parts.append(_text(x, y, [step.name.strip()], "detail name" if below else "name"))
        lines = textwrap.wrap(step.text, CHARACTERS)
        parts.append(_text(x, y + LINE, lines, "detail" if below else ""))
        y += LINE * (len(lines) + 1) + 6
    line = f'<path d="M14 19V{y - 20:g}"/>'
    told = "; ".join(f"{step.name.strip()}: {step.text}" for step in steps)
    return _svg(y, f"The life of an accepted connection: {told}", line, *parts), told


def states(design: str) -> tuple[str, str]:
    """The states one below the other, and numbered ways between them; the numbers are explained underneath."""
    all_changes = changes(design)
    order = list(dict.fromkeys(state for change in all_changes for state in (change.source, change.target)))
    order.sort(key=["CLOSED", "CONNECTING", "CONNECTED", "FINISHED"].index)
    reasons = list(dict.fromkeys((change.reason, change.target) for change in all_changes))
    place = {state: 10 + 92 * number for number, state in enumerate(order)}
    parts = [
        f'<rect x="150" y="{y}" width="120" height="34" rx="6"/>' + _text(210, y + 22, [state], "name", "middle")
        for state, y in place.items()
    ]
    used: dict[str, int] = {}
    lanes = {"right": 0, "left": 0}
    for change in sorted(all_changes, key=lambda change: abs(place[change.target] - place[change.source])):
        number = reasons.index((change.reason, change.target)) + 1
        here, there = place[change.source], place[change.target]
        side = "right" if there >= here else "left"
        sign = 1 if side == "right" else -1
        edge = 210 + 60 * sign
        start = here + 8 + 9 * (used.setdefault(change.source + side, 0) % 3)
        used[change.source + side] += 1
        end = there + 8 + 9 * (used.setdefault(change.target + side, 0) % 3)
        used[change.target + side] += 1
        lane = edge + sign * (26 + 26 * lanes[side])
        lanes[side] += 1
        parts.append(f'<path d="M{edge} {start}H{lane}V{end}H{edge + sign}" marker-end="url(#arrow)"/>')
        parts.append(f'<circle cx="{lane}" cy="{(start + end) / 2:g}" r="10"/>')
        parts.append(_text(lane, (start + end) / 2 + 4, [str(number)], "number", "middle"))
    y = max(place.values()) + 66.0
    for number, (reason, target) in enumerate(reasons, 1):
        lines = textwrap.wrap(f"{reason} → {target}", CHARACTERS)
        parts.append(f'<circle cx="18" cy="{y - 5:g}" r="10"/>' + _text(18, y - 1, [str(number)], "number", "middle"))
        parts.append(_text(38, y, lines))
        y += LINE * len(lines) + 8
    told = "; ".join(f"{change.source}, {change.reason}: {change.target}" for change in all_changes)
    return _svg(y, f"The states of a connection: {told}", *parts), told


#: Each gives the picture, and what it shows in words.
MADE: dict[str, Callable[[str], tuple[str, str]]] = {"turn": turn, "life": life, "states": states}
