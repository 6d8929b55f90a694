"""Listeners that are added or removed while a dispatch is under way count from the next one on."""

from __future__ import annotations

import gc

from serversocket import Event, EventDispatcher


def test_a_listener_added_meanwhile_waits_for_the_next_dispatch() -> None:
    calls: list[str] = []
    dispatcher = EventDispatcher()

    def late(event: Event) -> None:
        calls.append("late")

    def first(event: Event) -> None:
        calls.append("first")
        dispatcher.add_event_listener("ready", late, priority=-1)

    dispatcher.add_event_listener("ready", first)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["first"]
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["first", "first", "late"]


def test_a_listener_removed_meanwhile_is_still_called_once() -> None:
    calls: list[str] = []
    dispatcher = EventDispatcher()

    def second(event: Event) -> None:
        calls.append("second")

    def first(event: Event) -> None:
        calls.append("first")
        dispatcher.remove_event_listener("ready", second)

    dispatcher.add_event_listener("ready", first)
    dispatcher.add_event_listener("ready", second)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["first", "second"]
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["first", "second", "first"]


def test_a_listener_may_remove_itself() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()

    def once(event: Event) -> None:
        calls.append(event)
        dispatcher.remove_event_listener("ready", once)

    dispatcher.add_event_listener("ready", once)
    dispatcher.dispatch_event(Event("ready"))
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_a_dispatch_inside_sees_the_change() -> None:
    calls: list[str] = []
    dispatcher = EventDispatcher()

    def inner(event: Event) -> None:
        calls.append("inner")

    def outer(event: Event) -> None:
        calls.append("outer")
        if len(calls) == 1:
            dispatcher.add_event_listener("ready", inner)
            dispatcher.dispatch_event(Event("ready"))

    dispatcher.add_event_listener("ready", outer)
    dispatcher.dispatch_event(Event("ready"))
    assert calls == ["outer", "outer", "inner"]


def test_a_dispatcher_dropped_by_its_listener_finishes() -> None:
    calls: list[int] = []
    holder = [EventDispatcher()]

    def drop(event: Event) -> None:
        holder.clear()
        gc.collect()
        calls.append(1)

    holder[0].add_event_listener("ready", drop)
    holder[0].add_event_listener("ready", lambda event: calls.append(2))
    holder[0].dispatch_event(Event("ready"))
    assert calls == [1, 2]
