"""What the event classes hold, and what their clones keep."""

from __future__ import annotations

import copy
import errno
from typing import Any

import pytest

from serversocket import (
    ErrorEvent,
    Event,
    EventDispatcher,
    EventPhase,
    IOErrorEvent,
    OutputProgressEvent,
    ProgressEvent,
    SecurityErrorEvent,
    ServerSocketConnectEvent,
    TextEvent,
    UncaughtErrorEvent,
)

CLASSES: list[Any] = [
    Event,
    ProgressEvent,
    OutputProgressEvent,
    ServerSocketConnectEvent,
    TextEvent,
    ErrorEvent,
    IOErrorEvent,
    SecurityErrorEvent,
    UncaughtErrorEvent,
]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_event_has_a_type_and_two_flags(cls: Any) -> None:
    event = cls("ready", True, True)
    assert (event.type, event.bubbles, event.cancelable) == ("ready", True, True)
    assert (event.target, event.current_target, event.event_phase) == (None, None, EventPhase.AT_TARGET)
    assert isinstance(event, Event)


@pytest.mark.parametrize("cls", [each for each in CLASSES if each is not UncaughtErrorEvent])
def test_the_flags_are_off_by_default(cls: Any) -> None:
    event = cls("ready")
    assert event.bubbles is False
    assert event.cancelable is False


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", ["type", "bubbles", "cancelable", "target", "current_target", "event_phase"])
def test_they_are_read_only(cls: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(cls("ready"), name, "other")


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("type", [None, 1, b"ready"])
def test_a_type_is_a_string(cls: Any, type: Any) -> None:
    with pytest.raises(TypeError):
        cls(type)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_clone_is_of_the_same_class_and_undispatched(cls: Any) -> None:
    event = cls("ready", True, True)
    clone = event.clone()
    assert type(clone) is cls
    assert clone is not event
    assert (clone.type, clone.bubbles, clone.cancelable, clone.target) == ("ready", True, True, None)


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (ProgressEvent("progress", False, False, 3, 9), {"bytes_loaded": 3, "bytes_total": 9}),
        (OutputProgressEvent("outputProgress", False, False, 3, 9), {"bytes_pending": 3, "bytes_total": 9}),
        (ServerSocketConnectEvent("connect", False, False, None), {"socket": None}),
        (TextEvent("link", False, False, "more"), {"text": "more"}),
        (ErrorEvent("error", False, False, "bad", 7), {"text": "bad", "error_id": 7}),
        (SecurityErrorEvent("securityError", False, False, "bad", 2048), {"text": "bad", "error_id": 2048}),
        (
            IOErrorEvent("ioError", False, False, "bad", 2031, errno=errno.EPIPE, strerror="Broken pipe"),
            {"text": "bad", "error_id": 2031, "errno": errno.EPIPE, "strerror": "Broken pipe"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_are_kept_by_a_clone(event: Any, names: dict[str, object]) -> None:
    for each in (event, event.clone()):
        assert {name: getattr(each, name) for name in names} == names


def test_fields_of_progress_are_writable() -> None:
    event: Any = ProgressEvent("progress")
    event.bytes_loaded, event.bytesTotal = 5, 6
    assert (event.bytesLoaded, event.bytes_total) == (5, 6)
    event = OutputProgressEvent("outputProgress")
    event.bytesPending, event.bytes_total = 5, 6
    assert (event.bytes_pending, event.bytesTotal) == (5, 6)
    event = ServerSocketConnectEvent("connect")
    event.socket = "anything"
    assert event.socket == "anything"


def test_errno_and_strerror_are_none_by_default_and_keyword_only() -> None:
    event = IOErrorEvent("ioError")
    assert (event.errno, event.strerror, event.text, event.error_id) == (None, None, "", 0)
    with pytest.raises(TypeError):
        IOErrorEvent("ioError", False, False, "", 0, 32)  # type: ignore[misc]


def test_error_id_is_read_only() -> None:
    event: Any = ErrorEvent("error", id=3)
    assert event.error_id == event.errorID == 3
    with pytest.raises(AttributeError):
        event.error_id = 4


def test_uncaught_error_event() -> None:
    error = ValueError("no")
    event = UncaughtErrorEvent(error_in=error)
    assert (event.type, event.bubbles, event.cancelable, event.error) == ("uncaughtError", True, True, error)
    assert event.clone().error is error
    assert UncaughtErrorEvent().error is None


def test_event_phase() -> None:
    assert [EventPhase.CAPTURING_PHASE, EventPhase.AT_TARGET, EventPhase.BUBBLING_PHASE] == [1, 2, 3]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_names_of_actionscript(cls: Any) -> None:
    event = cls("ready", False, True)
    assert (event.currentTarget, event.eventPhase) == (None, 2)
    event.stopPropagation()
    event.stopImmediatePropagation()
    event.preventDefault()
    assert event.isDefaultPrevented()
    assert event.toString() == event.to_string() == str(event)
    assert event.formatToString("X") == "[X]"


def test_a_subclass_may_add_what_it_likes() -> None:
    class Custom(Event):
        def __init__(self, cargo: object) -> None:
            super().__init__("custom")
            self.cargo = self._type = cargo

    event = Custom(3)
    assert (event.type, event.cargo) == ("custom", 3)


@pytest.mark.parametrize(
    ("cls", "fields", "text"),
    [
        (Event, {}, ""),
        (ProgressEvent, {"bytes_loaded": 0, "bytes_total": 0}, " bytesLoaded=0 bytesTotal=0"),
        (OutputProgressEvent, {"bytes_pending": 0, "bytes_total": 0}, " bytesPending=0 bytesTotal=0"),
        (ServerSocketConnectEvent, {"socket": None}, " socket=null"),
    ],
)
def test_a_subclass_that_forgets_to_call_init_makes_events_without_type(
    cls: Any, fields: dict[str, object], text: str
) -> None:
    class Careless(cls):  # type: ignore[misc]
        def __init__(self, cargo: object) -> None:
            self.cargo = cargo

    event = Careless("cargo")
    assert (event.type, event.bubbles, event.cancelable, event.cargo) == (None, False, False, "cargo")
    assert (event.target, event.current_target, event.event_phase) == (None, None, EventPhase.AT_TARGET)
    assert {name: getattr(event, name) for name in fields} == fields
    assert str(event) == f"[{cls.__name__} type=null bubbles=false cancelable=false eventPhase=2{text}]"
    event.prevent_default()
    event.stop_immediate_propagation()
    assert not event.is_default_prevented()
    with pytest.raises(TypeError, match="#2007"):
        event.clone()
    assert vars(copy.copy(event)) == vars(event)
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", pytest.fail)
    assert dispatcher.dispatch_event(event)
    assert event.target is None
