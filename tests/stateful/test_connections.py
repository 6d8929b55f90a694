"""The state machine, for so many steps that do something as SERVERSOCKET_STEPS says."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from . import machine

STEPS = int(os.environ.get("SERVERSOCKET_STEPS", "2000" if "CI" in os.environ else "500"))


@pytest.mark.timeout(0 if STEPS > 2000 else 300)
def test_connections_do_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    profile = settings(
        max_examples=20,
        stateful_step_count=100,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    before = machine.executed
    while (done := machine.executed - before) < STEPS:
        try:
            run_state_machine_as_test(machine.Machine, settings=profile)
        except FlakyStrategyDefinition:
            # The system has taken more or less, or time has passed otherwise, than in a run that began alike.
            assert not machine.broken
        assert machine.executed - before > done, "the rules have nothing to do"
    with capsys.disabled():
        if STEPS > 2000:
            print(f"\n{done} steps", flush=True)
