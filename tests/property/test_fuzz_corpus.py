"""What fuzzing has found worth keeping, played again without a fuzzer."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
CORPUS = sorted((FUZZ / "corpus").glob("*/*"))


@pytest.fixture(autouse=True)
def _targets(monkeypatch):
    monkeypatch.syspath_prepend(FUZZ)
    yield
    for path in FUZZ.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("target", sorted({path.parent.name for path in CORPUS}))
def test_nothing_in_the_corpus_is_a_finding(target):
    check = importlib.import_module(target).check
    inputs = [path.read_bytes() for path in CORPUS if path.parent.name == target]
    assert len(inputs) >= 5
    for content in [b"", *inputs]:
        check(content)


def test_every_target_has_a_corpus():
    targets = {path.stem for path in FUZZ.glob("*.py")} - {"__main__", "choices"}
    assert {path.parent.name for path in CORPUS} == targets
