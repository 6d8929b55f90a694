"""The scoreboard measures this engine, quickly: every row but those that a busy machine changes reaches its target.

It is about the scoreboard's own code as much as about the engine; other libraries are not asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import serversocket

BENCH = Path(__file__).parents[2] / "bench"
PEER = {"native": "serversocket", "pure": "serversocket (pure)"}[serversocket.implementation]
SECONDS = 600
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"

pytestmark = pytest.mark.long


def scoreboard(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(BENCH), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "scoreboard", "--results", str(folder), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.mark.timeout(SECONDS)
def test_every_row_is_measured_and_reaches_its_target(tmp_path: Path) -> None:
    if not BENCH.exists():
        pytest.skip("the benchmark is not here")
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        pytest.skip("the scoreboard is for Linux")
    if missing := [program for program in ("gcc", "strace") if not shutil.which(program)]:
        pytest.skip(f"{', '.join(missing)} not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("processes must not be traced here")
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}\nthe last run\n{END}\n\n# After\n")

    done = scoreboard(tmp_path, "--quick", "--rounds", "1", "--peers", PEER, "--page", str(page))

    assert (tmp_path / "reliability.json").exists(), done.stderr
    board = json.loads((tmp_path / "reliability.json").read_text())
    assert [row for row in board["unmet"] if not row["noisy"]] == [], done.stderr
    # Those that a busy machine changes were measured all the same.
    assert [row for row in board["unmet"] if row["found"] in ("failed", "ended")] == [], done.stderr
    assert len(board["rounds"]) == len(board["found"]) == 15
    assert all(list(by_peer) == [PEER] for by_peer in board["rounds"].values()), done.stderr
    assert board["found"]["faults"][PEER]["reached"] > 0
    assert board["found"]["batches"][PEER]["closed"] > 0
    table = (tmp_path / "reliability.md").read_text()
    before, _, rest = page.read_text().partition(BEGIN)
    shown, _, after = rest.partition(END)
    assert (before, after) == ("# Before\n\n", "\n\n# After\n")
    assert shown.strip()
    assert table.endswith(shown.lstrip("\n"))


def test_a_page_without_its_comments_is_refused(tmp_path: Path) -> None:
    if not BENCH.exists():
        pytest.skip("the benchmark is not here")
    page = tmp_path / "page.md"
    page.write_text("# No place for it\n")
    code = f"from pathlib import Path; from scoreboard.board import put_on_page; put_on_page('x', Path({str(page)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCH, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{page} lacks the comments {BEGIN} and {END}" in done.stderr
    assert page.read_text() == "# No place for it\n"


def test_the_server_keeps_its_core_where_the_client_takes_the_other() -> None:
    if not BENCH.exists():
        pytest.skip("the benchmark is not here")
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs Linux and two cores")
    code = f"""
import os, harness
from peers import PEERS
server, client = harness.cores()
os.sched_setaffinity(0, client)
with harness.Running(PEERS[{PEER!r}].server, "echo") as running:
    assert os.sched_getaffinity(running.process.pid) == server != client
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCH, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
