from __future__ import annotations

import pytest

from ..behaviour.helpers import on_posix, python

pytestmark = on_posix

PROLOGUE = """
import asyncio, signal, socket
import serversocket
from serversocket.loop.reactor import current_reactor
def number():
    number = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(number)
    return number
def refused(reactor):
    before = number()
    try:
        reactor.run()
    except RuntimeError:
        assert number() == before, (number(), before)
    else:
        raise AssertionError("not refused")
"""
REFUSALS = [
    pytest.param(
        """
reactor = serversocket.Reactor()
reactor.close()
refused(reactor)
""",
        id="closed",
    ),
    pytest.param(
        """
reactor = current_reactor()
reactor.call_later(0, refused, reactor)
errors = []
reactor.add_event_listener("uncaughtError", lambda event: errors.append(event.error))
reactor.run()
assert not errors, errors
""",
        id="running",
    ),
    pytest.param(
        """
async def main():
    with serversocket.ServerSocket() as server:
        refused(server.reactor)
asyncio.run(main())
""",
        id="hosted",
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_nothing_gets_the_signals(refusal):
    python(PROLOGUE + refusal + "assert number() == -1\n")


@pytest.mark.parametrize("refusal", REFUSALS[:2])
def test_the_programs_own_descriptor_still_gets_the_signals(refusal):
    python(
        PROLOGUE
        + """
import os
ours, theirs = socket.socketpair()
ours.setblocking(False)
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
signal.signal(signal.SIGUSR1, lambda *arguments: None)
"""
        + refusal
        + """
assert number() == theirs.fileno()
os.kill(os.getpid(), signal.SIGUSR1)
assert ours.recv(10) == bytes([signal.SIGUSR1])
signal.set_wakeup_fd(-1)
ours.close()
theirs.close()
"""
    )
