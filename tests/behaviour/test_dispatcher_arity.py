"""A function without parameters may listen; everything else gets the event."""

from __future__ import annotations

import functools
import gc

import pytest

from serversocket import Event, EventDispatcher, Socket

from .helpers import connection

calls: list[tuple[object, ...]] = []


def _nothing() -> None:
    calls.append(())


def _event(event: Event) -> None:
    calls.append((event,))


def _default(event: Event | None = None) -> None:
    calls.append((event,))


def _anything(*arguments: object) -> None:
    calls.append(arguments)


def _keywords(**keywords: object) -> None:
    calls.append(())


def _keyword_only(*, chatty: bool = False) -> None:
    calls.append(())


class _Program:
    def nothing(self) -> None:
        calls.append(())

    def event(self, event: Event) -> None:
        calls.append((event,))

    def anything(*arguments: object) -> None:
        calls.append(arguments[1:])

    @staticmethod
    def static_nothing() -> None:
        calls.append(())

    @classmethod
    def class_nothing(cls) -> None:
        calls.append(())

    @classmethod
    def class_event(cls, event: Event) -> None:
        calls.append((event,))

    def __call__(self, event: Event) -> None:
        calls.append((event,))


_program = _Program()


@pytest.mark.parametrize(
    "listener",
    [
        _nothing,
        _keywords,
        _keyword_only,
        lambda: calls.append(()),
        _program.nothing,
        _Program.static_nothing,
        _program.class_nothing,
    ],
)
def test_without_the_event(listener: object) -> None:
    assert _called(listener, weak=False) == ()


@pytest.mark.parametrize(
    "listener",
    [
        _event,
        _default,
        _anything,
        lambda event: calls.append((event,)),
        _program.event,
        _program.anything,
        _program.class_event,
        _program,
        functools.partial(_event),
    ],
)
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_with_the_event(listener: object, weak: bool) -> None:
    (event,) = _called(listener, weak)
    assert isinstance(event, Event)


def _called(listener: object, weak: bool) -> tuple[object, ...]:
    calls.clear()
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", listener, use_weak_reference=weak)
    dispatcher.dispatch_event(Event("ready"))
    (arguments,) = calls
    return arguments


def test_one_without_parameters_can_be_removed() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", _nothing)
    dispatcher.add_event_listener("ready", _nothing)
    dispatcher.remove_event_listener("ready", _nothing)
    assert not dispatcher.has_event_listener("ready")


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize("name", ["close", "abort", "resume"])
def test_methods_of_another_socket(name: str, weak: bool) -> None:
    """As a proxy has it: the end of one is the end of the other. Native ones are methods of the interpreter's kind."""
    dispatcher = EventDispatcher()
    with connection() as it:
        it.socket.pause()
        dispatcher.add_event_listener("ready", getattr(it.socket, name), use_weak_reference=weak)
        dispatcher.add_event_listener("ready", getattr(it.socket, name), use_weak_reference=weak)  # the same
        gc.collect()
        dispatcher.dispatch_event(Event("ready"))
        assert it.socket.connected == (name == "resume")
        assert not it.socket.paused
        dispatcher.remove_event_listener("ready", getattr(it.socket, name))
        assert not dispatcher.has_event_listener("ready")


def test_a_method_of_another_socket_does_not_keep_it_alive_where_it_is_weak() -> None:
    dispatcher, socket = EventDispatcher(), Socket()
    dispatcher.add_event_listener("ready", socket.close, use_weak_reference=True)
    assert dispatcher.has_event_listener("ready")
    del socket
    gc.collect()
    assert not dispatcher.has_event_listener("ready")
