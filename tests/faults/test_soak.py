"""The soak of the benchmark, small: its server, its clients and its judgement work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import serversocket

from ..behaviour.helpers import on_linux

pytestmark = on_linux

SOAK = Path(__file__).parents[2] / "bench" / "soak.py"


def test_hundreds_of_clients_of_every_kind_leave_nothing_behind(tmp_path):
    output = tmp_path / "soak.json"
    command = [sys.executable, SOAK, "--connections", "600", "--warm-up", "300", "--at-once", "50", "--seed", "1"]
    command += ["--rests", "4", "--quiet", "--engine", serversocket.implementation, "--output", output]
    result = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(output.read_text())
    assert found["failures"] == []
    assert found["complaints"] == ""
    assert (found["status"], found["still_open"]) == (0, 0)
    gained = found["gained"]
    assert (gained["descriptors"], gained["objects"], gained["of_the_package"], gained["kept"]) == (0, 0, {}, 0)
    assert (found["bytes_wrong_in"], found["bytes_compared"] > 1_000_000) == (0, True)
    assert len(found["behaved"]) == 9, found["behaved"]
    assert sum(found["behaved"].values()) == 600
    assert result.stderr == ""
