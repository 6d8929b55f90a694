"""A dispatcher made for another object names that object as the target of its events."""

from __future__ import annotations

from serversocket import Event, EventDispatcher


def test_the_target_is_the_object_given() -> None:
    class Owner(EventDispatcher):
        pass

    owner = Owner()
    dispatcher = EventDispatcher(owner)
    seen: list[Event] = []
    dispatcher.add_event_listener("ready", seen.append)
    event = Event("ready")
    dispatcher.dispatch_event(event)
    assert event.target is owner
    assert event.current_target is owner


def test_listeners_of_the_object_itself_do_not_run() -> None:
    owner = EventDispatcher()
    calls: list[Event] = []
    owner.add_event_listener("ready", calls.append)
    assert EventDispatcher(owner).dispatch_event(Event("ready"))
    assert not calls


def test_without_one_the_dispatcher_is_the_target() -> None:
    dispatcher = EventDispatcher(None)
    dispatcher.add_event_listener("ready", lambda event: None)
    event = Event("ready")
    dispatcher.dispatch_event(event)
    assert event.target is dispatcher


def test_dispatching_on_to_an_aggregate_hands_out_a_clone() -> None:
    owner = EventDispatcher()
    dispatcher = EventDispatcher(target=owner)
    seen: list[Event] = []
    owner.add_event_listener("ready", dispatcher.dispatch_event)
    dispatcher.add_event_listener("ready", seen.append)
    event = Event("ready")
    owner.dispatch_event(event)
    assert seen[0] is not event
    assert seen[0].target is owner
