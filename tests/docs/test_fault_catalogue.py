"""The catalogue of faults names tests: each of them exists, and every fault has its line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| F(?P<number>\d+) \|(?P<fault>[^|]+)\|(?P<behaviour>[^|]+)\|(?P<tests>[^|]+)\|$")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

ROWS = [found for line in (ROOT / "docs/faults.md").read_text().splitlines() if (found := ROW.match(line))]


def test_every_fault_has_one_line_in_order() -> None:
    assert [int(row["number"]) for row in ROWS] == list(range(1, 95))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"F{row['number']}")
def test_the_named_tests_exist_or_a_reason_is_given(row: re.Match[str]) -> None:
    named = NAMED.findall(row["tests"])
    assert named or row["tests"].strip().startswith("None: ")
    for path, name in named:
        functions = [
            node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
        ]
        assert name in functions, f"{path} has no {name}"
