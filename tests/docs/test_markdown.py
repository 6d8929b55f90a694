"""The prose of Markdown files is wrapped at 120 columns, as `tools/wrap_markdown.py` does it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

sys.path.insert(0, str(ROOT / "tools"))
import wrap_markdown  # noqa: E402

LONG = "word " * 30


def test_prose_is_wrapped_and_stays_what_it_is() -> None:
    text = f"# {LONG}\n\n{LONG}\n\n* {LONG}\n  and more\n1. {LONG}\n"
    after = wrap_markdown.wrapped(text)
    assert after.split() == text.split()
    assert [len(line) > 120 for line in after.splitlines()] == [True] + [False] * (len(after.splitlines()) - 1)
    assert "\n  word word" in after
    assert "\n   word word" in after
    assert wrap_markdown.wrapped(after) == after
    assert wrap_markdown.long_lines(text) == [3, 5, 7]
    assert wrap_markdown.long_lines(after) == []


@pytest.mark.parametrize(
    "text",
    [
        f"| {LONG} | {LONG} |\n",
        f"```\n{LONG}\n\n{LONG}\n```\n",
        f"````{{note}}\n{LONG}\n```\n{LONG}\n````\n",
        f"    {LONG}\n",
        f"`{LONG}`\n",
        f"[a](https://{'x' * 130})\n",
        f"<!-- board -->\n{LONG}\n\n{LONG}\n<!-- end of board -->\n",
        f":name: {LONG}\n",
        f"{LONG}\\\nsecond line\n",
        "short\nlines stay\n",
    ],
)
def test_what_is_no_prose_or_cannot_be_broken_stays(text: str) -> None:
    assert wrap_markdown.wrapped(text) == text
    assert wrap_markdown.long_lines(text) == []


def test_links_are_not_broken() -> None:
    for length in range(90, 121):
        after = wrap_markdown.wrapped("x" * length + f" [a link](to.md), {LONG}\n")
        assert "[a link](to.md)," in after
        assert all(len(line) <= 120 for line in after.splitlines())


def test_no_line_begins_with_what_would_be_a_list_or_a_heading() -> None:
    for mark in ("*", "-", "+", "1.", "#", "> a", "| a"):
        for length in range(100, 121):
            after = wrap_markdown.wrapped("x" * length + f" {mark} {LONG}\n")
            assert not any(line.startswith(mark) for line in after.splitlines())


def test_every_file_of_the_project_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    try:
        files = wrap_markdown.tracked()
    except (OSError, wrap_markdown.subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout")
    found = {str(file): lines for file in files if (lines := wrap_markdown.long_lines(file.read_text()))}
    assert found == {}
