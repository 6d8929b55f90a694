"""An event that has reached a listener is cloned when it is dispatched again."""

from __future__ import annotations

from typing import Any

import pytest

from serversocket import Event, EventDispatcher, ProgressEvent


def test_target_and_current_target_are_set_and_stay() -> None:
    seen: list[tuple[object, object, int]] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener(
        "ready", lambda event: seen.append((event.target, event.current_target, event.event_phase))
    )
    event = Event("ready")
    assert (event.target, event.current_target) == (None, None)
    dispatcher.dispatch_event(event)
    assert seen == [(dispatcher, dispatcher, 2)]
    assert event.target is event.current_target is dispatcher


def test_without_a_listener_they_stay_none() -> None:
    event = Event("ready")
    EventDispatcher().dispatch_event(event)
    assert (event.target, event.current_target) == (None, None)


def test_an_event_that_reached_nobody_is_not_cloned() -> None:
    seen: list[Event] = []
    dispatcher = EventDispatcher()
    event = Event("ready")
    EventDispatcher().dispatch_event(event)
    dispatcher.add_event_listener("ready", seen.append)
    dispatcher.dispatch_event(event)
    assert seen[0] is event


def test_a_second_dispatch_hands_out_a_clone() -> None:
    seen: list[Event] = []
    one, other = EventDispatcher(), EventDispatcher()
    one.add_event_listener("ready", seen.append)
    other.add_event_listener("ready", seen.append)
    event = Event("ready")
    one.dispatch_event(event)
    other.dispatch_event(event)
    assert seen[0] is event
    assert seen[1] is not event
    assert seen[1].target is other
    assert event.target is one


def test_so_does_one_from_inside_a_listener() -> None:
    seen: list[Event] = []
    dispatcher = EventDispatcher()
    other = EventDispatcher()
    dispatcher.add_event_listener("progress", other.dispatch_event)
    other.add_event_listener("progress", seen.append)
    event = ProgressEvent("progress", bytes_loaded=3)
    dispatcher.dispatch_event(event)
    assert seen[0] is not event
    assert isinstance(seen[0], ProgressEvent)
    assert seen[0].bytes_loaded == 3


def test_the_clone_of_a_subclass_without_clone_is_a_plain_event() -> None:
    class Custom(Event):
        extra = 1

    seen: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", seen.append)
    event = Custom("ready")
    dispatcher.dispatch_event(event)
    dispatcher.dispatch_event(event)
    assert [type(each) for each in seen] == [Custom, Event]


def test_the_return_value_is_that_of_the_clone() -> None:
    dispatcher = EventDispatcher()
    event = Event("ready", cancelable=True)
    dispatcher.add_event_listener("ready", lambda event: None)
    dispatcher.dispatch_event(event)
    dispatcher.add_event_listener("ready", lambda event: event.prevent_default())
    assert dispatcher.dispatch_event(event) is False
    assert not event.is_default_prevented()


class _Cloning(Event):
    def __init__(self, type: str, clones: list[Any], result: Any) -> None:
        super().__init__(type)
        self.clones = clones
        self.result = result

    def clone(self) -> Event:
        self.clones.append(self)
        return self.result


@pytest.mark.parametrize("listens", [True, False])
def test_clone_is_called_once_even_if_nobody_listens(listens: bool) -> None:
    clones: list[Any] = []
    event = _Cloning("ready", clones, Event("ready"))
    first, second = EventDispatcher(), EventDispatcher()
    first.add_event_listener("ready", lambda event: None)
    if listens:
        second.add_event_listener("ready", lambda event: None)
    first.dispatch_event(event)
    assert not clones
    second.dispatch_event(event)
    assert clones == [event]


def test_a_clone_that_is_none_is_error_2007() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", calls.append)
    event = _Cloning("ready", [], None)
    dispatcher.dispatch_event(event)
    with pytest.raises(TypeError, match=r"^Error #2007: Parameter event must be non-null\.") as caught:
        dispatcher.dispatch_event(event)
    assert caught.value.error_id == 2007
    assert len(calls) == 1


def test_a_clone_that_is_no_event_is_a_type_error() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", lambda event: None)
    event = _Cloning("ready", [], "event")
    dispatcher.dispatch_event(event)
    with pytest.raises(TypeError):
        dispatcher.dispatch_event(event)


def test_the_target_is_read_once_and_may_be_overridden() -> None:
    class Claimed(Event):
        reads = 0

        @property
        def target(self) -> Any:
            Claimed.reads += 1
            return "somebody"

    seen: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", seen.append)
    event = Claimed("ready")
    dispatcher.dispatch_event(event)
    assert Claimed.reads == 1
    assert seen[0] is not event


def test_an_event_is_needed() -> None:
    with pytest.raises(TypeError, match="must be non-null") as caught:
        EventDispatcher().dispatch_event(None)
    assert caught.value.error_id == 2007
    with pytest.raises(TypeError):
        EventDispatcher().dispatch_event("ready")
