"""A listener of the capture phase counts as one and is never called: a dispatcher has the target phase alone."""

from __future__ import annotations

from serversocket import Event, EventDispatcher


def test_it_is_not_called() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", calls.append, use_capture=True)
    assert dispatcher.has_event_listener("ready")
    assert dispatcher.dispatch_event(Event("ready")) is True
    assert calls == []


def test_an_event_that_reached_it_alone_has_no_target() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", print, use_capture=True)
    event = Event("ready")
    dispatcher.dispatch_event(event)
    assert event.target is None
    assert event.current_target is None


def test_it_is_a_registration_of_its_own() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", calls.append, use_capture=True)
    dispatcher.add_event_listener("ready", calls.append)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    dispatcher.remove_event_listener("ready", calls.append)
    assert dispatcher.has_event_listener("ready")
    dispatcher.remove_event_listener("ready", calls.append, use_capture=True)
    assert not dispatcher.has_event_listener("ready")


def test_the_flag_is_taken_for_its_truth() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", print, 1)
    dispatcher.remove_event_listener("ready", print, True)
    assert not dispatcher.has_event_listener("ready")
