"""A weak listener is called as long as somebody else holds it, and counts as absent afterwards."""

from __future__ import annotations

import gc

import pytest

from serversocket import Event, EventDispatcher


class _Program:
    def __init__(self, calls: list[object]) -> None:
        self.calls = calls

    def on_ready(self, event: Event) -> None:
        self.calls.append(event)

    def on_anything(self) -> None:
        self.calls.append(None)


def test_a_function_goes_with_its_last_reference() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()

    def listener(event: Event) -> None:
        calls.append(event)

    dispatcher.add_event_listener("ready", listener, use_weak_reference=True)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    del listener
    gc.collect()
    assert not dispatcher.has_event_listener("ready")
    event = Event("ready")
    dispatcher.dispatch_event(event)
    assert len(calls) == 1
    assert event.target is None


def test_a_method_goes_with_its_object() -> None:
    calls: list[object] = []
    dispatcher = EventDispatcher()
    program = _Program(calls)
    dispatcher.add_event_listener("ready", program.on_ready, use_weak_reference=True)
    gc.collect()
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    del program
    gc.collect()
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    assert not dispatcher.has_event_listener("ready")


def test_a_weak_method_may_take_no_event() -> None:
    calls: list[object] = []
    dispatcher = EventDispatcher()
    program = _Program(calls)
    dispatcher.add_event_listener("ready", program.on_anything, use_weak_reference=True)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == [None]


def test_it_can_be_removed() -> None:
    program = _Program([])
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", program.on_ready, use_weak_reference=True)
    dispatcher.remove_event_listener("ready", program.on_ready)
    assert not dispatcher.has_event_listener("ready")


def test_a_weak_and_a_strong_one_are_the_same_listener() -> None:
    calls: list[object] = []
    program = _Program(calls)
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", program.on_ready, use_weak_reference=True)
    dispatcher.add_event_listener("ready", program.on_ready)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_a_strong_one_stays() -> None:
    calls: list[object] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", _Program(calls).on_ready)
    gc.collect()
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_the_others_still_run() -> None:
    calls: list[object] = []
    dispatcher = EventDispatcher()
    program = _Program([])
    dispatcher.add_event_listener("ready", program.on_ready, priority=1, use_weak_reference=True)
    dispatcher.add_event_listener("ready", calls.append)
    del program
    gc.collect()
    event = Event("ready")
    dispatcher.dispatch_event(event)
    assert calls == [event]
    assert event.target is dispatcher
    assert dispatcher.has_event_listener("ready")


def test_one_that_dies_during_the_dispatch_is_not_called() -> None:
    calls: list[object] = []
    holder = [_Program(calls)]
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", lambda event: (holder.clear(), gc.collect()), priority=1)
    dispatcher.add_event_listener("ready", holder[0].on_ready, use_weak_reference=True)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == []


def test_a_place_of_a_dead_one_can_be_taken() -> None:
    calls: list[object] = []
    dispatcher = EventDispatcher()
    for _ in range(3):
        program = _Program(calls)
        dispatcher.add_event_listener("ready", program.on_ready, use_weak_reference=True)
        del program
        gc.collect()
    last = _Program(calls)
    dispatcher.add_event_listener("ready", last.on_ready, use_weak_reference=True)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_what_cannot_be_held_weakly_is_refused() -> None:
    class Solid:
        __slots__ = ()

        def __call__(self, event: Event) -> None: ...

    dispatcher = EventDispatcher()
    with pytest.raises(TypeError):
        dispatcher.add_event_listener("ready", Solid(), use_weak_reference=True)
    assert not dispatcher.has_event_listener("ready")
