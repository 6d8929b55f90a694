"""Wraps the prose of Markdown files at 120 columns. Usage: python tools/wrap_markdown.py [--check] [FILE ...]

Without files, it takes all that git tracks, except generated ones. It fills only paragraphs and list items that contain
a longer line. Tables, code, headings, directives and generated parts stay unchanged; links and inline code are not
broken.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COLUMNS = 120

_FENCE = re.compile(r" *(`{3,}|~{3,}|:{3,})")
#: Programs write the lines between "<!-- name -->" and "<!-- end of name -->".
_GENERATED = re.compile(r"<!-- (\w+) -->\n")
_ITEM = re.compile(r"( *)([*+-]|\d+[.)]) +")
#: Lines that are no prose: headings, tables, HTML, labels and options of directives, definitions of links, quotes.
_OTHER = re.compile(r"( *$|#{1,6} |\s*\||\s*<|\(.*\)=$|\s*:[\w-]+:|\s*\[[^\]]+\]: |\s*>|\s*%)")
#: Units that are not broken: inline code, links, and the targets of longer links.
_SOLID = re.compile(r"(?:`+[^`]*`+|\[[^\]]{1,60}\]\([^)]*\)|\]\([^)]*\)|\S)+")
#: Words that would begin a list, a heading, a quote or a table at the beginning of a line.
_MARKS = re.compile(r"([*+-]|\d+[.)]|#{1,6}|>.*|\|.*|=+|-+|:::.*)$")


def tracked() -> list[Path]:
    """Returns all Markdown files that git tracks, except generated ones."""
    names = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in names.splitlines() if not name.startswith("bench/results/")]


def wrapped(text: str) -> str:
    """Returns a Markdown text with its prose wrapped.

    Example:
        >>> print(wrapped("* " + "word " * 30).replace("word word", "words"))
        * words words words words words words words words words words words words
          words words words
    """
    return "".join(_lines(text.splitlines(keepends=True)))


def long_lines(text: str) -> list[int]:
    """Returns the numbers of lines that `wrapped` changes."""
    after = set(wrapped(text).splitlines())
    return [number for number, line in enumerate(text.splitlines(), 1) if len(line) > COLUMNS and line not in after]


def _lines(lines: list[str]) -> Iterator[str]:
    block: list[str] = []
    fence = end = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence or end:
            yield line
            if line == end or (mark and fence and mark[1].startswith(fence) and not line.strip().strip(fence[0])):
                fence = end = ""
        elif mark or _OTHER.match(line) or _is_code(line, block):
            yield from _filled(block)
            block = []
            yield line
            if mark and not mark[1].startswith(":"):
                fence = mark[1]
            elif generated := _GENERATED.match(line):
                end = f"<!-- end of {generated[1]} -->\n"
        else:
            if _ITEM.match(line) and not (block and _is_text_of(line)):
                yield from _filled(block)
                block = []
            block.append(line)
    yield from _filled(block)


def _is_code(line: str, block: list[str]) -> bool:
    """Returns True for a line that is indented and continues nothing."""
    return line.startswith("    ") and not block and not _ITEM.match(line)


def _is_text_of(line: str) -> bool:
    """Returns True for a number at the beginning of a line that begins no list, such as a year."""
    number = re.match(r" *(\d+)[.)] ", line)
    return number is not None and len(number[1]) > 2


def _filled(block: list[str]) -> Iterator[str]:
    if all(len(line.rstrip("\n")) <= COLUMNS for line in block) or any(
        line.rstrip("\n").endswith(("  ", "\\")) for line in block
    ):
        yield from block
        return
    first = _ITEM.match(block[0])
    start = first[0] if first else re.match(" *", block[0])[0]  # type: ignore[index]
    indent = " " * len(start)
    line = start
    for word in _SOLID.findall(" ".join(each.strip() for each in block)[len(start.lstrip()) :]):
        if line.strip() and line != start and len(line) + 1 + len(word) > COLUMNS and not _MARKS.match(word):
            yield line + "\n"
            line = indent + word
        else:
            line += word if line in (start, indent) else f" {word}"
    yield line + "\n"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    files = [Path(name) for name in arguments if not name.startswith("--")] or tracked()
    bad = 0
    for file in files:
        before = file.read_text(encoding="utf-8")
        if check:
            for number in long_lines(before):
                print(f"{file}:{number}: more than {COLUMNS} columns")
                bad = 1
        elif (after := wrapped(before)) != before:
            file.write_text(after, encoding="utf-8")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
