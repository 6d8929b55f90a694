"""Every system call that a supervisor and its workers make fails, one at a time, in every way in which it can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="a supervisor needs Linux")

from .supervisor_calls import CANNOT_FAIL, FAILURES, cases, handed_on, sites

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a supervisor needs Linux")

HERE = Path(__file__).parent
GROUPS = 8  # of cases, each in a process of its own: most of the time they wait
#: Only a worker whose supervisor has given it up before it began calls this.
NEVER = ["EPERM from os.kill in worker.py"]


@pytest.mark.long
def test_what_fails_ends_nothing_and_touches_no_worker():
    """It is said once, does not spin, and everything works again when it does; nothing is left open."""
    command = [sys.executable, "-X", "dev", "-W", "error", HERE / "supervision.py"]
    running = [
        subprocess.Popen(
            [*command, str(group), str(GROUPS)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for group in range(GROUPS)
    ]
    said = [process.communicate()[0] for process in running]
    for process, output in zip(running, said, strict=True):
        assert process.returncode == 0, output
    lines = "".join(said).splitlines()
    assert sum(int(line.split()[0]) for line in lines if line.endswith(" passed, 0 failed")) == len(cases())
    never = [line for line in lines if not line.endswith(" passed, 0 failed")]
    assert [line for line in never if not any(each in line for each in NEVER)] == []


def test_every_call_fails_or_cannot():
    """Whoever adds a call says how it fails; there is no other way to make one."""
    assert {site.name for site in sites()} == FAILURES.keys() | CANNOT_FAIL.keys()
    assert handed_on() == []
    assert len(sites()) > 60


@pytest.mark.parametrize("probability", [0.02, 0.1])
def test_what_fails_by_chance(under_shim, pytestconfig, probability):
    """Also below Python: workers are replaced and killed all the time, and one that has a client is never touched."""
    seed, connections = pytestconfig.getoption("--inject-seed"), pytestconfig.getoption("--inject-connections")
    restarts = 5 + connections // 100
    print(f"--inject-seed={seed} --inject-connections={connections}")
    said = under_shim("supervisor_at_random.py", seed, probability, restarts)
    assert int(said.split()[0]) > restarts * probability, said
