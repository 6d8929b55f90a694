"""The catalogue of faults and the promises name tests: each of them exists, and every fault has its line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| F(?P<number>\d+) \|(?P<fault>[^|]+)\|(?P<behaviour>[^|]+)\|(?P<tests>[^|]+)\|$")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

ROWS = [found for line in (ROOT / "docs/explanation/faults.md").read_text().splitlines() if (found := ROW.match(line))]


def test_every_fault_has_one_line_in_order() -> None:
    assert [int(row["number"]) for row in ROWS] == list(range(1, len(ROWS) + 1))


def missing(text: str) -> list[str]:
    """The tests that a text names and that do not exist."""
    found = []
    for path, name in NAMED.findall(text):
        tree = ast.parse((ROOT / path).read_text()) if (ROOT / path).exists() else ast.Module([], [])
        if name not in [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            found.append(f"{path}::{name}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"F{row['number']}")
def test_the_named_tests_exist_or_a_reason_is_given(row: re.Match[str]) -> None:
    assert NAMED.search(row["tests"]) or row["tests"].strip().startswith("None: ")
    assert missing(row["tests"]) == []


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/explanation/reliability.md"])
def test_what_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    assert NAMED.search(text)
    assert missing(text) == []
