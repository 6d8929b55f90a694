"""The instructions of an accepted connection and of an echoed message are those that were recorded.

A clock would not notice a few per cent; the count repeats to a thousandth, whatever else the machine does. Fewer fail
as well as more: a gain that is not recorded could be lost again unseen.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import serversocket

COUNTER = Path(__file__).parents[2] / "bench" / "callgrind.py"
RECORD = "make record"
SECONDS = 600

pytestmark = pytest.mark.long


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("scenario", ["burst", "ping"])
def test_the_count_is_the_recorded_one(scenario: str) -> None:
    if not COUNTER.exists():
        pytest.skip("the benchmark is not here")
    if missing := [program for program in ("valgrind", "gcc") if not shutil.which(program)]:
        pytest.skip(f"{', '.join(missing)} not installed")
    command = [sys.executable, str(COUNTER), "--check", serversocket.implementation, scenario]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if found["recorded"] is None:
        pytest.skip(f"nothing is recorded for {found['environment']}; `{RECORD}` does")
    change = found["counted"] / found["recorded"] - 1
    assert abs(change) <= found["tolerance"], (
        f"{scenario}: {found['counted']} instructions an operation, {change:+.1%} against the recorded "
        f"{found['recorded']}. If that is meant, `{RECORD}` keeps it. ({found['environment']})"
    )
