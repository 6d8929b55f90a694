"""The tables and pictures of the benchmark show the summaries that are kept beside them, and the kept is small."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
RESULTS = BENCH / "results"
SHOWN = ("costs.md", "costs.svg", "facade.md", "growth.md", "growth.svg")
SUMMARIES = ("costs.json", "facade.json", "growth.json")
MOST = 100_000  # bytes; every single measurement is not kept

pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmark is not here")


def render(*files: Path) -> None:
    done = subprocess.run([sys.executable, BENCH / "render.py", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_shown_is_made_of_the_summaries(tmp_path: Path) -> None:
    render(*(Path(shutil.copy(RESULTS / name, tmp_path)) for name in SUMMARIES))
    for name in SHOWN:
        assert (tmp_path / name).read_text() == (RESULTS / name).read_text(), (
            f"{name}: `python bench/render.py` makes it"
        )


def test_another_summary_is_shown_as_another_one(tmp_path: Path) -> None:
    text = (RESULTS / "growth.json").read_text()
    (tmp_path / "growth.json").write_text(text.replace('"cpu": "AMD EPYC"', '"cpu": "Another"'))
    render(tmp_path / "growth.json")
    for name in ("growth.md", "growth.svg"):
        assert "Another, 2 cores" in (tmp_path / name).read_text()


def test_nothing_else_is_kept() -> None:
    listed = subprocess.run(["git", "ls-files", "."], cwd=RESULTS, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    assert sorted(listed.stdout.split()) == sorted((*SHOWN, *SUMMARIES, "instructions.json"))
    assert all((RESULTS / name).stat().st_size < MOST for name in listed.stdout.split())
