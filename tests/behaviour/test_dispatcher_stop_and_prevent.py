"""What a listener may do to the event for those after it, and what `dispatch_event` returns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from serversocket import Event, EventDispatcher


def _dispatch(event: Event, act: Callable[[Event], object]) -> tuple[bool, int]:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", act, priority=1)
    dispatcher.add_event_listener("ready", calls.append)
    return dispatcher.dispatch_event(event), len(calls)


def test_without_listeners_it_returns_true() -> None:
    assert EventDispatcher().dispatch_event(Event("ready")) is True


@pytest.mark.parametrize("cancelable", [False, True])
def test_stop_propagation_lets_the_others_run(cancelable: bool) -> None:
    assert _dispatch(Event("ready", False, cancelable), lambda event: event.stop_propagation()) == (True, 1)


@pytest.mark.parametrize("cancelable", [False, True])
def test_stop_immediate_propagation_does_not(cancelable: bool) -> None:
    assert _dispatch(Event("ready", False, cancelable), lambda event: event.stop_immediate_propagation()) == (True, 0)


def test_prevent_default_lets_the_others_run_and_returns_false() -> None:
    assert _dispatch(Event("ready", cancelable=True), lambda event: event.prevent_default()) == (False, 1)


def test_prevent_default_of_an_event_that_is_not_cancelable_does_nothing() -> None:
    event = Event("ready")
    assert _dispatch(event, lambda event: event.prevent_default()) == (True, 1)
    assert not event.is_default_prevented()


def test_both_together() -> None:
    def act(event: Event) -> None:
        event.prevent_default()
        event.stop_immediate_propagation()

    assert _dispatch(Event("ready", cancelable=True), act) == (False, 0)


def test_an_event_stopped_before_its_dispatch_reaches_one_listener() -> None:
    event = Event("ready")
    event.stop_immediate_propagation()
    assert _dispatch(event, lambda event: None) == (True, 0)
    assert event.target is not None


def test_prevented_before_the_dispatch_counts() -> None:
    event = Event("ready", cancelable=True)
    event.prevent_default()
    assert EventDispatcher().dispatch_event(event) is False


def test_a_clone_is_neither_stopped_nor_prevented() -> None:
    event = Event("ready", cancelable=True)
    event.prevent_default()
    event.stop_immediate_propagation()
    clone = event.clone()
    assert not clone.is_default_prevented()
    assert _dispatch(clone, lambda event: None) == (True, 1)


def test_an_event_stopped_before_its_dispatch_passes_those_who_do_not_listen_at_its_target() -> None:
    dispatcher, called = EventDispatcher(), []
    dispatcher.add_event_listener("ready", called.append, use_capture=True, priority=1)
    dispatcher.add_event_listener("ready", lambda event: called.append(1))
    dispatcher.add_event_listener("ready", lambda event: called.append(2))
    event = Event("ready")
    event.stop_immediate_propagation()
    dispatcher.dispatch_event(event)
    assert called == [1]
