"""Greenlets take turns on one thread, and each counts its own dispatches inside each other."""

from __future__ import annotations

import pytest

from ..behaviour.helpers import python

LIMIT = 256

GREENLETS = """
import greenlet, weakref
from serversocket import Event, EventDispatcher
from serversocket.errors import DispatchRecursionError

class Nested:
    '''Dispatches inside each other, in a greenlet of their own, which waits at one depth.'''

    def __init__(self, waits_at=0):
        self.waits_at = waits_at
        self.depth = 0
        self.refused = 0
        self.dispatcher = EventDispatcher()
        self.dispatcher.add_event_listener("ready", self.again)
        self.greenlet = greenlet.greenlet(self.run)

    def run(self):
        self.dispatcher.dispatch_event(Event("ready"))

    def again(self, event):
        self.depth += 1
        if self.depth == self.waits_at:
            main.switch()
        try:
            self.dispatcher.dispatch_event(Event("ready"))
        except DispatchRecursionError:
            self.refused += 1

main = greenlet.getcurrent()

def deepest():
    nested = Nested()
    nested.run()
    assert nested.refused == 1
    return nested.depth
"""


@pytest.fixture(params=["first", "afterwards"])
def greenlets(request: pytest.FixtureRequest) -> str:
    """A program with greenlets, of which nothing is known before the first that waits in a listener, or which nest."""
    pytest.importorskip("greenlet")
    return GREENLETS + ("" if request.param == "first" else "deepest()\n")


def test_a_program_with_greenlets_may_go_as_deep_as_others(greenlets: str) -> None:
    python(greenlets + f"assert deepest() == deepest() == {LIMIT}")


def test_greenlets_that_wait_in_listeners_count_for_themselves(greenlets: str) -> None:
    python(
        greenlets
        + f"""
waiting = [Nested(waits_at=1 + number % 200) for number in range(600)]
for nested in waiting:
    nested.greenlet.switch()
    assert (nested.depth, nested.refused) == (nested.waits_at, 0)
assert deepest() >= {LIMIT - 1}  # the very first one has not been asked whose it is
for nested in waiting:
    nested.greenlet.switch()
    assert (nested.depth, nested.refused, nested.greenlet.dead) == ({LIMIT}, 1, True)
assert deepest() == {LIMIT}
"""
    )


def test_a_greenlet_that_is_collected_in_a_listener_leaves_nothing(greenlets: str) -> None:
    python(
        greenlets
        + f"""
for _ in range(3):
    waiting = Nested(waits_at=100)
    waiting.greenlet.switch()
    ending = weakref.ref(waiting.greenlet)
    del waiting.greenlet
    assert ending() is None
    assert deepest() == {LIMIT}
"""
    )


def test_greenlets_that_are_met_inside_of_a_dispatch() -> None:
    """The library may be loaded there; what surrounds that counts."""
    pytest.importorskip("greenlet")
    python(
        """
import sys
from serversocket import Event, EventDispatcher
assert "greenlet" not in sys.modules
depths = []
def load(event):
    exec(PROGRAM, globals())
    depths.append(deepest())
outer = EventDispatcher()
outer.add_event_listener("ready", load)
outer.dispatch_event(Event("ready"))
outer.remove_event_listener("ready", load)
depths.append(deepest())
""".replace("PROGRAM", repr(GREENLETS))
        + f"assert depths == [{LIMIT - 1}, {LIMIT}], depths"
    )


def test_greenlets_of_a_thread_count_apart_from_those_of_others(greenlets: str) -> None:
    python(
        greenlets
        + f"""
import threading
depths = []
def elsewhere(event):
    thread = threading.Thread(target=lambda: depths.extend([deepest(), deepest()]))
    thread.start()
    thread.join()
dispatcher = EventDispatcher()
dispatcher.add_event_listener("ready", elsewhere)
dispatcher.dispatch_event(Event("ready"))
assert depths == [{LIMIT}, {LIMIT}]
"""
    )
