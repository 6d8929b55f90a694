"""A coroutine function cannot listen, and a listener for what is nearly an event's name is warned of."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import signal
import types
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from unittest.mock import AsyncMock, Mock

import pytest

from serversocket import Event, EventDispatcher, Reactor, ServerSocket, Socket, run_in_thread
from serversocket.engine.listener_checks import _warned
from serversocket.loop.reactor import current_reactor

from .helpers import on_posix, python

# ---- coroutine functions


async def coroutine(*_: object) -> None: ...


async def generator(*_: object) -> AsyncIterator[int]:
    yield 1


class Program:
    async def method(self, event: Event) -> None: ...

    async def generating(self, event: Event) -> AsyncIterator[int]:
        yield 1

    @staticmethod
    async def static(event: Event) -> None: ...

    @classmethod
    async def of_class(cls, event: Event) -> None: ...

    partial = functools.partialmethod(method)

    def plain(self, event: Event) -> None: ...


class Asynchronous:
    async def __call__(self, event: Event) -> None: ...


class Plain:
    def __call__(self, event: Event) -> None: ...


ASYNCHRONOUS: dict[str, Callable[..., object]] = {
    "function": coroutine,
    "generator": generator,
    "lambda of one": types.FunctionType(coroutine.__code__, {}, "lambda"),
    "method": Program().method,
    "generating method": Program().generating,
    "static method": Program.static,
    "method of a class": Program.of_class,
    "partial": functools.partial(coroutine, 1),
    "partial of a partial": functools.partial(functools.partial(generator), 1),
    "partial method": Program().partial,
    "partial of a method": functools.partial(Program().method),
    "object": Asynchronous(),
    "partial of an object": functools.partial(Asynchronous()),
    "method of an object": Asynchronous().__call__,
    "mock": AsyncMock(),
}
PLAIN: dict[str, Callable[..., object]] = {
    "function": lambda event: None,
    "without event": lambda: None,
    "method": Program().plain,
    "partial": functools.partial(lambda event: None),
    "object": Plain(),
    "builtin": [].append,
    "builtin function": len,
    "class": list,
    "mock": Mock(),
    "method of a mock": Mock().method,
    "method of the engine": EventDispatcher().has_event_listener,
    "what makes a coroutine and starts it": lambda event: asyncio.ensure_future(coroutine()),
}
asynchronous = pytest.mark.parametrize("call", ASYNCHRONOUS.values(), ids=ASYNCHRONOUS)
plain = pytest.mark.parametrize("call", PLAIN.values(), ids=PLAIN)


@asynchronous
@pytest.mark.parametrize("make", [EventDispatcher, Socket, ServerSocket])
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_it_cannot_listen(call: Callable[..., object], make: type[EventDispatcher], weak: bool) -> None:
    dispatcher = make()
    for add in (dispatcher.add_event_listener, dispatcher.addEventListener):
        for options in ({}, {"priority": 3}, {"use_capture": True}):
            with pytest.raises(TypeError, match=r"^listener must be .*serversocket\.aio"):
                add("connect", call, use_weak_reference=weak, **options)
    assert not dispatcher.has_event_listener("connect")


@plain
@pytest.mark.parametrize("priority", [0, 3])
def test_all_others_can(call: Callable[..., object], priority: int) -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", call, priority=priority)
    assert dispatcher.has_event_listener("ready")


@asynchronous
def test_it_cannot_be_a_callback_of_a_reactor(call: Callable[..., object]) -> None:
    reactor = current_reactor()
    with pytest.raises(TypeError, match=r"^callback must be .*serversocket\.aio"):
        reactor.call_later(0, call)
    with pytest.raises(TypeError, match=r"^callback must be .*serversocket\.aio"):
        reactor.call_every(1, call)
    with pytest.raises(TypeError, match=r"^callback must be .*serversocket\.aio"):
        reactor.call_soon_threadsafe(call)
    assert reactor.poll(0) == 0
    assert not reactor._has_scheduled


@on_posix
@asynchronous
def test_it_cannot_be_called_for_a_signal(call: Callable[..., object]) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(TypeError, match=r"^callback must be .*serversocket\.aio"):
        current_reactor().on_signal(signal.SIGUSR1, call)
    assert signal.getsignal(signal.SIGUSR1) is before


def test_it_cannot_be_called_in_the_thread_of_a_reactor() -> None:
    with pytest.raises(TypeError, match=r"^function must be .*serversocket\.aio"):
        run_in_thread(coroutine)
    with run_in_thread(lambda: None) as background:
        for hand_over in (background.call, background.submit):
            with pytest.raises(TypeError, match=r"^function must be .*serversocket\.aio"):
                hand_over(coroutine)


@plain
def test_all_others_can_be_called_by_a_reactor(call: Callable[..., object]) -> None:
    reactor = current_reactor()
    reactor.call_later(1000, call).cancel()
    reactor.call_every(1000, call).cancel()


# ---- names that are nearly an event's


@pytest.fixture(autouse=True)
def nothing_was_warned_of() -> Iterator[None]:
    """Each test is the first to be warned: other tests are told once, too."""
    before = dict(_warned)
    _warned.clear()
    yield
    _warned.clear()
    _warned.update(before)


def warned(dispatcher: EventDispatcher, name: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dispatcher.add_event_listener(name, print)
    assert all(warning.category is UserWarning for warning in caught)
    assert dispatcher.has_event_listener(name)
    return [str(warning.message) for warning in caught]


NEARLY: dict[str, dict[type[EventDispatcher], str]] = {
    "connection": {Socket: "connect", ServerSocket: "connect"},
    "connected": {Socket: "connect", ServerSocket: "connect"},
    "conect": {Socket: "connect", ServerSocket: "connect"},
    "Connect": {Socket: "connect", ServerSocket: "connect"},
    "onConnect": {Socket: "connect", ServerSocket: "connect"},
    "connection_made": {Socket: "connect", ServerSocket: "connect"},
    "data": {Socket: "socketData"},
    "onData": {Socket: "socketData"},
    "socketdata": {Socket: "socketData"},
    "socket_data": {Socket: "socketData"},
    "SOCKET_DATA": {Socket: "socketData"},
    "scoketData": {Socket: "socketData"},
    "socketDate": {Socket: "socketData"},
    "socketDataa": {Socket: "socketData"},
    "ocketData": {Socket: "socketData"},
    "outputProgess": {Socket: "outputProgress"},
    "clsoe": {Socket: "close", ServerSocket: "close"},
    "clos": {Socket: "close", ServerSocket: "close"},
    "message": {Socket: "socketData"},
    "data_received": {Socket: "socketData"},
    "drain": {Socket: "outputProgress"},
    "outputprogress": {Socket: "outputProgress"},
    "error": {Socket: "ioError", ServerSocket: "ioError", Reactor: "uncaughtError"},
    "IOError": {Socket: "ioError", ServerSocket: "ioError"},
    "io_error": {Socket: "ioError", ServerSocket: "ioError"},
    "uncaught_error": {Reactor: "uncaughtError"},
    "exception": {Reactor: "uncaughtError"},
    "disconnect": {Socket: "close", ServerSocket: "close"},
    "closed": {Socket: "close", ServerSocket: "close"},
    " close": {Socket: "close", ServerSocket: "close"},
    "end ": {Socket: "end"},
    "End": {Socket: "end"},
    "eof": {Socket: "end"},
}
OTHERS = [
    "", " ", "on", "mine", "login", "send", "append", "reconnect", "clone", "progress", "open", "complete", "closing",
    "ready", "securityError", "é", "\0", "\ud800", "connectconnect", "closets", "conned", "e", "dat", "socketDeta1",
    "activate", "x" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("name", NEARLY)
@pytest.mark.parametrize("make", [EventDispatcher, Socket, ServerSocket, Reactor])
def test_what_is_nearly_an_event_of_the_class_is_warned_of_once(name: str, make: type[EventDispatcher]) -> None:
    dispatcher = make()
    meant = NEARLY[name].get(make)
    said = f"{make.__name__} does not dispatch {name!r} by itself: did you mean {meant!r}?"
    assert warned(dispatcher, name) == ([said] if meant else [])
    assert warned(dispatcher, name) == warned(make(), name) == []
    if isinstance(dispatcher, Reactor):
        dispatcher.close()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("make", [EventDispatcher, Socket, ServerSocket, Reactor])
def test_other_names_are_the_programs_own(name: str, make: type[EventDispatcher]) -> None:
    dispatcher = make()
    assert warned(dispatcher, name) == []
    if isinstance(dispatcher, Reactor):
        dispatcher.close()


@pytest.mark.parametrize(("make", "names"), [
    (Socket, ["connect", "socketData", "outputProgress", "end", "ioError", "close", "secureConnect"]),
    (ServerSocket, ["connect", "ioError", "close", "tlsError"]),
])  # fmt: skip
def test_what_the_class_dispatches_is_no_reason_to_warn(make: type[EventDispatcher], names: list[str]) -> None:
    assert sorted(make._dispatched) == sorted(names)  # type: ignore[attr-defined]
    dispatcher = make()
    for name in names:
        assert warned(dispatcher, name) == []


def test_a_subclass_is_warned_of_for_itself_and_not_kept() -> None:
    class Mine(Socket):
        pass

    it = Mine()
    assert len(warned(it, "data")) == len(warned(Socket(), "data")) == 1
    assert warned(Mine(), "data") == []
    assert len(_warned) == 2
    del it, Mine
    gc.collect()
    assert len(_warned) == 1


def test_where_warnings_are_errors_nothing_is_added() -> None:
    it = Socket()
    for _ in range(2):
        with pytest.raises(UserWarning, match="did you mean 'socketData'"):
            it.add_event_listener("data", print)
    assert not it.has_event_listener("data")


def test_a_warning_may_run_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Socket()
    seen: list[object] = []

    def show(*_: object, **__: object) -> None:
        it.add_event_listener("data", seen.append)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        monkeypatch.setattr(warnings, "_showwarnmsg_impl", show)
        it.add_event_listener("data", seen.append, priority=1)
    it.dispatch_event(Event("data"))
    assert len(seen) == 1


PROGRAM = """
import json, warnings
from serversocket import ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

caught = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, category, filename, line, *_: caught.append((filename, line))
class Mine(Socket):
    def __init__(self):
        super().__init__()
        self.add_event_listener("message", print)
class Overrides(Socket):
    def add_event_listener(self, *args):
        super().add_event_listener(*args)
it = ServerSocket()
it.add_event_listener("connection", print)
it.addEventListener("disconnect", print)
it.add_event_listener(
    "error",
    print,
)
Mine()
Overrides().addEventListener("message", print)
getattr(Socket, "addEventListener")(Socket(), "data", print)
current_reactor().call_soon_threadsafe(lambda: it.add_event_listener("closed", print))
current_reactor().run()
print(json.dumps(caught))
"""


def test_the_warning_is_for_the_line_of_the_program() -> None:
    lines = PROGRAM.splitlines()
    caught = json.loads(python(PROGRAM).stdout)
    assert {file for file, _ in caught} == {"<string>"}
    assert [lines[line - 1].strip() for _, line in caught] == [
        'it.add_event_listener("connection", print)',
        'it.addEventListener("disconnect", print)',
        "it.add_event_listener(",
        'self.add_event_listener("message", print)',
        "super().add_event_listener(*args)",
        'getattr(Socket, "addEventListener")(Socket(), "data", print)',
        'current_reactor().call_soon_threadsafe(lambda: it.add_event_listener("closed", print))',
    ]


def test_a_coroutine_that_waits_for_what_never_comes_is_warned_at_its_line() -> None:
    async def main() -> None:
        with ServerSocket() as server:
            with pytest.warns(UserWarning, match="did you mean 'connect'") as caught:
                server.once("connection").close()
            (warning,) = caught
            assert warning.filename == __file__

    asyncio.run(main())
