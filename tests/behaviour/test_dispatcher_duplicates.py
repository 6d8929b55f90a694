"""The same listener is registered once; what "the same" means; adding and removing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from serversocket import Event, EventDispatcher


class _Program:
    def __init__(self) -> None:
        self.calls = 0

    def on_ready(self, event: Event) -> None:
        self.calls += 1

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_a_listener_added_twice_is_called_once() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()

    def listener(event: Event) -> None:
        calls.append(event)

    dispatcher.add_event_listener("ready", listener)
    dispatcher.add_event_listener("ready", listener)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_removing_it_once_is_enough() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", print)
    dispatcher.add_event_listener("ready", print)
    dispatcher.remove_event_listener("ready", print)
    assert not dispatcher.has_event_listener("ready")


def test_a_bound_method_is_the_same_each_time() -> None:
    program = _Program()
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", program.on_ready)
    dispatcher.add_event_listener("ready", program.on_ready)
    dispatcher.dispatch_event(Event("ready"))
    assert program.calls == 1
    dispatcher.remove_event_listener("ready", program.on_ready)
    assert not dispatcher.has_event_listener("ready")


def test_a_builtin_bound_method_is_the_same_each_time() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", calls.append)
    dispatcher.add_event_listener("ready", calls.append)
    dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    dispatcher.remove_event_listener("ready", calls.append)
    assert not dispatcher.has_event_listener("ready")


def test_methods_of_equal_objects_are_different_listeners() -> None:
    one, other = _Program(), _Program()
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", one.on_ready)
    dispatcher.add_event_listener("ready", other.on_ready)
    dispatcher.dispatch_event(Event("ready"))
    assert (one.calls, other.calls) == (1, 1)


def test_equal_callables_are_different_listeners() -> None:
    class Equal:
        calls = 0

        def __call__(self, event: Event) -> None:
            Equal.calls += 1

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    dispatcher = EventDispatcher()
    first, second = Equal(), Equal()
    dispatcher.add_event_listener("ready", first)
    dispatcher.add_event_listener("ready", second)
    dispatcher.dispatch_event(Event("ready"))
    assert Equal.calls == 2
    dispatcher.remove_event_listener("ready", first)
    assert dispatcher.has_event_listener("ready")


def test_types_are_apart() -> None:
    calls: list[str] = []

    def listener(event: Event) -> None:
        calls.append(event.type)

    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("one", listener)
    dispatcher.add_event_listener("two", listener)
    dispatcher.dispatch_event(Event("two"))
    assert calls == ["two"]
    dispatcher.remove_event_listener("two", listener)
    assert dispatcher.has_event_listener("one")
    assert not dispatcher.has_event_listener("two")


def test_removing_what_is_not_there_does_nothing() -> None:
    dispatcher = EventDispatcher()
    dispatcher.remove_event_listener("ready", print)
    dispatcher.add_event_listener("ready", print)
    dispatcher.remove_event_listener("ready", repr)
    dispatcher.remove_event_listener("other", print)
    assert dispatcher.has_event_listener("ready")


def test_has_event_listener_and_will_trigger_agree() -> None:
    dispatcher = EventDispatcher()
    assert not dispatcher.has_event_listener("ready")
    assert not dispatcher.will_trigger("ready")
    dispatcher.add_event_listener("ready", print)
    assert dispatcher.has_event_listener("ready")
    assert dispatcher.will_trigger("ready")


_CALLS: list[Callable[[EventDispatcher, object], object]] = [
    lambda dispatcher, type: dispatcher.add_event_listener(type, print),
    lambda dispatcher, type: dispatcher.remove_event_listener(type, print),
    lambda dispatcher, type: dispatcher.has_event_listener(type),
    lambda dispatcher, type: dispatcher.will_trigger(type),
]


@pytest.mark.parametrize("call", _CALLS, ids=["add", "remove", "has", "will_trigger"])
@pytest.mark.parametrize("type", [None, 1, b"ready", ["ready"]])
def test_a_type_is_a_string(call: Callable[[EventDispatcher, object], object], type: object) -> None:
    with pytest.raises(TypeError):
        call(EventDispatcher(), type)


def test_a_listener_must_be_callable() -> None:
    dispatcher = EventDispatcher()
    with pytest.raises(TypeError, match="listener"):
        dispatcher.add_event_listener("ready", "print")
    assert not dispatcher.has_event_listener("ready")


def test_no_listener_is_error_2007() -> None:
    dispatcher = EventDispatcher()
    for call in (dispatcher.add_event_listener, dispatcher.remove_event_listener):
        with pytest.raises(TypeError, match=r"^Error #2007: Parameter listener must be non-null\.") as caught:
            call("ready", None)
        assert caught.value.error_id == 2007


def test_the_names_of_actionscript() -> None:
    calls: list[Event] = []
    dispatcher = EventDispatcher()
    dispatcher.addEventListener("ready", calls.append, False, 0, False)
    assert dispatcher.hasEventListener("ready")
    assert dispatcher.willTrigger("ready")
    assert dispatcher.dispatchEvent(Event("ready")) is True
    dispatcher.removeEventListener("ready", calls.append, False)
    assert not dispatcher.hasEventListener("ready")
    assert len(calls) == 1
    assert dispatcher.toString() == "[object EventDispatcher]"


def test_a_dispatcher_prints_its_class() -> None:
    class Door(EventDispatcher):
        pass

    assert str(Door()) == Door().to_string() == "[object Door]"


def test_a_subclass_that_forgets_init_works() -> None:
    class Forgetful(EventDispatcher):
        def __init__(self, name: str) -> None:
            self.name = name

    dispatcher = Forgetful("door")
    calls: list[Event] = []
    assert dispatcher.dispatch_event(Event("ready"))
    dispatcher.add_event_listener("ready", calls.append)
    dispatcher.dispatch_event(Event("ready"))
    assert calls[0].target is dispatcher


def test_fields_of_a_subclass_do_not_meet_those_of_the_engine() -> None:
    class Program(EventDispatcher):
        def __init__(self) -> None:
            super().__init__()
            self._listeners = self._target = self.listeners = self._type = self._state = "mine"

    dispatcher = Program()
    calls: list[Event] = []
    dispatcher.add_event_listener("ready", calls.append)
    dispatcher.dispatch_event(Event("ready"))
    assert calls[0].target is dispatcher
    assert dispatcher._listeners == "mine"
