"""Memory runs out at every allocation, in turn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serversocket import implementation

pytest.importorskip("_testcapi", reason="memory runs out only where CPython's own tests are installed")

HERE = Path(__file__).parent
GROUPS = 4  # of steps, each in a process of its own
STEPS = re.findall(r"^        (\w+),$", (HERE / "without_memory.py").read_text(), re.MULTILINE)
assert len(STEPS) >= 18


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks at the descriptors in /proc")
@pytest.mark.parametrize("steps", [STEPS[start::GROUPS] for start in range(GROUPS)], ids=" ".join)
def test_allocation_failures_end_in_errors(steps):
    """Nothing crashes, hangs or is left open; the next client is served."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "without_memory.py", *steps],
        capture_output=True,
        text=True,
        env={**os.environ, "SERVERSOCKET_IMPL": implementation},
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    found = re.findall(r"^(\w+): (\d+) cases, MemoryError seen in (\d+)$", result.stdout, re.MULTILINE)
    assert [name for name, _, _ in found] == steps
    assert sum(int(cases) for _, cases, _ in found) > 30 * len(steps), "nothing asks for memory"
    assert any(int(seen) for _, _, seen in found), "memory never ran out"
    if implementation == "native":
        assert result.stderr == "", result.stderr
