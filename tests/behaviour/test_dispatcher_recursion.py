"""At most 256 dispatches may be inside each other."""

from __future__ import annotations

import logging
import threading

import pytest

from serversocket import Event, EventDispatcher
from serversocket.errors import DispatchRecursionError

LIMIT = 256


def _nest(dispatchers: list[EventDispatcher], errors: list[BaseException]) -> int:
    calls = 0

    def again(event: Event) -> None:
        nonlocal calls
        calls += 1
        try:
            dispatchers[calls % len(dispatchers)].dispatch_event(Event("ready"))
        except RecursionError as error:
            errors.append(error)

    for dispatcher in dispatchers:
        dispatcher.add_event_listener("ready", again)
    dispatchers[0].dispatch_event(Event("ready"))
    return calls


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_more_is_an_error(count: int) -> None:
    errors: list[BaseException] = []
    assert _nest([EventDispatcher() for _ in range(count)], errors) == LIMIT
    (error,) = errors
    assert isinstance(error, DispatchRecursionError)
    assert error.error_id == 2094
    assert str(error).startswith("Error #2094: Event dispatch recursion overflow.")


def test_afterwards_all_is_as_before() -> None:
    for _ in range(3):
        assert _nest([EventDispatcher()], []) == LIMIT


def test_a_listener_that_lets_it_pass_is_reported(uncaught: list[logging.LogRecord]) -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", lambda event: dispatcher.dispatch_event(Event("ready")))
    assert dispatcher.dispatch_event(Event("ready"))
    assert len(uncaught) == 1
    uncaught.clear()


def test_threads_count_for_themselves() -> None:
    counts: list[int] = []

    def elsewhere(event: Event) -> None:
        thread = threading.Thread(target=lambda: counts.append(_nest([EventDispatcher()], [])))
        thread.start()
        thread.join()

    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", elsewhere)
    dispatcher.dispatch_event(Event("ready"))
    assert counts == [LIMIT]
