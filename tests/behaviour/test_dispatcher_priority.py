"""Listeners run by priority, and in the order they were added where it is equal."""

from __future__ import annotations

import pytest

from serversocket import Event, EventDispatcher


def _order(*priorities: object) -> list[int]:
    calls: list[int] = []
    dispatcher = EventDispatcher()
    for number, priority in enumerate(priorities):
        dispatcher.add_event_listener("ready", lambda event, n=number: calls.append(n), priority=priority)
    dispatcher.dispatch_event(Event("ready"))
    return calls


def test_higher_priorities_run_first() -> None:
    assert _order(0, 10, 5) == [1, 2, 0]


def test_negative_priorities_run_after_zero() -> None:
    assert _order(-1, 0, -2, 1) == [3, 1, 0, 2]


def test_any_integer_is_a_priority() -> None:
    assert _order(-(2**63), 0, 2**63 - 1, -(10**30), -1, 10**30) == [2, 5, 1, 4, 0, 3]


def test_equal_priorities_run_in_the_order_they_were_added() -> None:
    assert _order(0, 7, 0, 7, 0) == [1, 3, 0, 2, 4]


def test_many_listeners_keep_their_order() -> None:
    assert _order(*range(100)) == list(reversed(range(100)))


def test_a_priority_is_anything_with_an_index() -> None:
    class Rank:
        def __index__(self) -> int:
            return 9

    assert _order(0, Rank()) == [1, 0]


@pytest.mark.parametrize("priority", [1.0, "1", None, True, []])
def test_other_priorities_are_refused(priority: object) -> None:
    dispatcher = EventDispatcher()
    with pytest.raises(TypeError, match="priority"):
        dispatcher.add_event_listener("ready", print, priority=priority)
    assert not dispatcher.has_event_listener("ready")


def test_adding_again_does_not_change_the_priority() -> None:
    calls: list[str] = []
    dispatcher = EventDispatcher()

    def late(event: Event) -> None:
        calls.append("late")

    dispatcher.add_event_listener("ready", late)
    dispatcher.add_event_listener("ready", lambda event: calls.append("early"), priority=1)
    dispatcher.add_event_listener("ready", late, priority=3)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["early", "late"]


def test_removing_and_adding_again_does() -> None:
    calls: list[str] = []
    dispatcher = EventDispatcher()

    def listener(event: Event) -> None:
        calls.append("first")

    dispatcher.add_event_listener("ready", listener)
    dispatcher.add_event_listener("ready", lambda event: calls.append("second"), priority=1)
    dispatcher.remove_event_listener("ready", listener)
    dispatcher.add_event_listener("ready", listener, priority=3)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["first", "second"]
