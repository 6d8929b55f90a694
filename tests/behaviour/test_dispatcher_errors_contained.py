"""What a listener raises stops neither the other listeners nor the caller."""

from __future__ import annotations

import logging

from serversocket import Event, EventDispatcher


def _fail(event: Event) -> None:
    raise ValueError("from the listener")


def test_the_other_listeners_run_and_the_error_is_logged(uncaught: list[logging.LogRecord]) -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", _fail)
    dispatcher.add_event_listener("ready", calls.append)
    assert dispatcher.dispatch_event(Event("ready")) is True
    assert len(calls) == 1
    (record,) = uncaught
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "from the listener"
    uncaught.clear()


def test_each_error_is_reported(uncaught: list[logging.LogRecord]) -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", _fail)
    dispatcher.add_event_listener("ready", lambda event: 1 / 0)
    dispatcher.dispatch_event(Event("ready"))
    dispatcher.dispatch_event(Event("ready"))
    assert len(uncaught) == 4
    uncaught.clear()


def test_stopping_and_preventing_before_the_error_hold(uncaught: list[logging.LogRecord]) -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()

    def fail(event: Event) -> None:
        event.prevent_default()
        event.stop_immediate_propagation()
        raise ValueError

    dispatcher.add_event_listener("ready", fail)
    dispatcher.add_event_listener("ready", calls.append)
    assert dispatcher.dispatch_event(Event("ready", cancelable=True)) is False
    assert not calls
    assert len(uncaught) == 1
    uncaught.clear()


def test_a_listener_with_the_wrong_signature_is_an_error_like_others(uncaught: list[logging.LogRecord]) -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", lambda event, more: None)
    assert dispatcher.dispatch_event(Event("ready"))
    assert len(uncaught) == 1
    uncaught.clear()
