"""Listeners that come, go, stop, raise and dispatch again while they are called; a model knows who is to be called."""

from __future__ import annotations

import gc
from typing import Any

from choices import Choices

from serversocket import Event, EventDispatcher
from serversocket.loop import reporting

TYPES = ("a", "b", "connect", "close", "socketData", "outputProgress")
DEPTH = 4


class Listener:
    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number

    def __call__(self, event: Any) -> None:
        self.world.called(self, event)


class World:
    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.dispatcher = EventDispatcher()
        self.listeners = [Listener(self, number) for number in range(6)]
        self.registered: dict[str, list[tuple[int, Listener]]] = {type: [] for type in TYPES}
        self.calls: list[list[int]] = []  # of each dispatch that is under way

    def called(self, listener: Listener, event: Any) -> None:
        self.calls[-1].append(listener.number)
        if not self.choices:
            return
        match self.choices.number(8):
            case 0:
                raise ValueError("on purpose")
            case 1 if len(self.calls) < DEPTH:
                self.dispatch()
            case 2:
                event.prevent_default()
            case 3:
                gc.collect(0)
            case _:
                self.change()

    def change(self) -> None:
        type = self.choices.pick(TYPES)
        listener = self.choices.pick(self.listeners)
        entries = self.registered[type]
        known = [entry for entry in entries if entry[1] is listener]
        if self.choices.number(2):
            priority = self.choices.number(7) - 3
            weak = bool(self.choices.number(2))
            self.dispatcher.add_event_listener(type, listener, False, priority, weak)
            if not known:
                entries.append((priority, listener))
                entries.sort(key=lambda entry: -entry[0])
        else:
            self.dispatcher.remove_event_listener(type, listener)
            self.registered[type] = [entry for entry in entries if entry[1] is not listener]
        for each in TYPES:
            assert self.dispatcher.has_event_listener(each) == bool(self.registered[each])

    def dispatch(self) -> None:
        type = self.choices.pick(TYPES)
        event = Event(type, False, bool(self.choices.number(2)))
        expected = [listener.number for _, listener in self.registered[type]]
        self.calls.append([])
        result = self.dispatcher.dispatch_event(event)
        called = self.calls.pop()
        assert called == expected, (type, called, expected)
        assert result == (not event.is_default_prevented())
        if expected:
            assert event.target is self.dispatcher
            self.calls.append([])
            self.dispatcher.dispatch_event(event)  # a clone
            self.calls.pop()
        else:
            assert event.target is None


def check(data: bytes) -> None:
    limit, reporting.RECORDS_PER_SECOND = reporting.RECORDS_PER_SECOND, 0
    try:
        world = World(Choices(data))
        while world.choices:
            if world.choices.number(3):
                world.change()
            else:
                world.dispatch()
    finally:
        reporting.RECORDS_PER_SECOND = limit
