"""Every system call may fail at any moment, with a small probability."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("probability", [0.01, 0.03])
@pytest.mark.parametrize("loop", ["hosted", "own"])
def test_faults_at_random(under_shim, pytestconfig, probability, loop):
    """Connections break and are never wrong or silent; afterwards every client is served, and nothing is left open."""
    seed, connections = pytestconfig.getoption("--inject-seed"), pytestconfig.getoption("--inject-connections")
    print(f"--inject-seed={seed} --inject-connections={connections}")
    print(under_shim("at_random.py", seed, probability, connections, loop))
