"""Copies the docstrings of the public members of the pure engine into the native one.

They are written once, in engine/pure; help() shows them on both engines. What is the engine's own affair has its own.

    python tools/copy_docstrings.py            writes them
    python tools/copy_docstrings.py --check    fails if the native engine has others
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ENGINE = Path(__file__).parents[1] / "src" / "serversocket" / "engine"
CLASS = re.compile(r"(?:cdef )?class (\w+)")
METHOD = re.compile(r"    (?:cdef|def) (?:[\w*\[\] ]*?[ *])?(?P<name>\w+)\(")
QUOTES = '"""'
# What these say of themselves is how they are made.
MADE_DIFFERENTLY = {"Flow", "Input", "Output", "Receiver"}
# No program sees them.
INNER = {"Poller", "Wire"}


class Member(NamedTuple):
    """A class, a method or a function of the native engine, and where its docstring stands."""

    name: str
    """``Class``, or ``Class.method``."""

    indent: str
    start: int
    """The line behind its head."""

    end: int
    """The line behind its docstring; as `start` if it has none."""


def pure(module: str) -> dict[str, str]:
    """The docstrings of a module of the pure engine, by the name of what they belong to."""
    found: dict[str, str] = {}

    def note(name: str, node: ast.FunctionDef | ast.ClassDef) -> None:
        text = ast.get_docstring(node, clean=True)
        if text is not None:
            found.setdefault(name, text)

    for node in ast.parse((ENGINE / "pure" / f"{module}.py").read_text()).body:
        if isinstance(node, ast.ClassDef):
            note(node.name, node)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    note(f"{node.name}.{inner.name}", inner)
    return found


def members(lines: list[str]) -> Iterator[Member]:
    """What the lines of a native module define, in their order."""
    owner = ""
    for number, line in enumerate(lines):
        if heading := CLASS.match(line):
            owner = heading[1]
            yield _member(lines, number, owner, "    ")
        elif (method := METHOD.match(line)) and not lines[number - 1].endswith(".setter"):
            yield _member(lines, number, f"{owner}.{method['name']}", "        ")


def _member(lines: list[str], number: int, name: str, indent: str) -> Member:
    start = next(index for index in range(number, len(lines)) if lines[index].split("#")[0].rstrip().endswith(":")) + 1
    end = start
    if start < len(lines) and lines[start].startswith(indent + QUOTES):
        end = start + 1
        if lines[start].count(QUOTES) == 1:
            end += next(index for index, line in enumerate(lines[end:]) if line.rstrip().endswith(QUOTES)) + 1
    return Member(name, indent, start, end)


def written(text: str, indent: str) -> list[str]:
    """A docstring as lines of code."""
    lines = [indent + line if line else "" for line in text.splitlines()]
    lines[0] = indent + QUOTES + lines[0].lstrip()
    if len(lines) == 1:
        lines[0] += QUOTES
    else:
        lines.append(indent + QUOTES)
    return lines


def is_public(name: str) -> bool:
    owner, _, method = name.partition(".")
    if owner.startswith("_") or owner in INNER or (not method and owner in MADE_DIFFERENTLY):
        return False
    return not method.startswith("_")


def copied(module: str) -> str:
    """The text of a native module with the docstrings of its twin's public members."""
    lines = (ENGINE / "native" / f"{module}.pxi").read_text().splitlines()
    texts = pure(module)
    for member in reversed(list(members(lines))):
        if is_public(member.name) and member.name in texts:
            lines[member.start : member.end] = written(texts[member.name], member.indent)
    return "\n".join(lines) + "\n"


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    stale = []
    for path in sorted((ENGINE / "native").glob("*.pxi")):
        if not (ENGINE / "pure" / f"{path.stem}.py").exists():
            continue
        text = copied(path.stem)
        if text != path.read_text():
            stale.append(path.name)
            if not check:
                path.write_text(text)
    if check and stale:
        sys.exit(f"docstrings of {', '.join(stale)} are not those of engine/pure: run tools/copy_docstrings.py")


if __name__ == "__main__":
    main()
