"""What a listener raises ends nobody else, whatever it is; but what ends the program, or a greenlet, leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serversocket import Event, EventDispatcher, Reactor, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import PATIENCE, connection, listening, on_posix, run_until


class Outcome(BaseException):
    """As test runners and async libraries have: no error, and nothing that ends a program."""


class Unprintable(BaseException):
    def __str__(self) -> str:
        raise Outcome


STAYING: list[BaseException] = [
    ValueError("mine"),
    asyncio.CancelledError("mine"),
    GeneratorExit(),
    Outcome(),
    Unprintable(),
    BaseExceptionGroup("mine", [asyncio.CancelledError(), ValueError()]),
]
LEAVING: list[BaseException] = [
    KeyboardInterrupt(),
    SystemExit(3),
    BaseExceptionGroup("mine", [ValueError(), BaseExceptionGroup("inner", [KeyboardInterrupt()])]),
]
staying = pytest.mark.parametrize("error", STAYING, ids=lambda error: type(error).__name__)
leaving = pytest.mark.parametrize("error", LEAVING, ids=lambda error: type(error).__name__)


def fail_with(error: BaseException, *_: object) -> None:
    raise error


@pytest.fixture
def reactor() -> Reactor:
    return current_reactor()


@pytest.fixture
def told(reactor: Reactor) -> Iterator[list[BaseException]]:
    """The exceptions that became events of the reactor."""
    errors: list[BaseException] = []

    def note(event: Any) -> None:
        errors.append(event.error)

    reactor.add_event_listener("uncaughtError", note)
    yield errors
    reactor.remove_event_listener("uncaughtError", note)


# ---- a dispatch


@staying
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_the_other_listeners_run(error: BaseException, weak: bool, uncaught: list[logging.LogRecord]) -> None:
    calls: list[Event] = []

    def fail(event: Event) -> None:
        raise error

    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", fail, priority=1, use_weak_reference=weak)
    dispatcher.add_event_listener("ready", calls.append)
    assert dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1
    assert [record.exc_info and record.exc_info[1] for record in uncaught] == [error]
    uncaught.clear()


@leaving
def test_what_ends_a_program_leaves_the_dispatch(error: BaseException) -> None:
    calls: list[Event] = []

    def leave(event: Event) -> None:
        raise error

    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", leave)
    dispatcher.add_event_listener("ready", calls.append)
    event = Event("ready")
    with pytest.raises(type(error)) as caught:
        dispatcher.dispatch_event(event)
    assert caught.value is error
    assert not calls
    assert event.target is dispatcher
    dispatcher.remove_event_listener("ready", leave)
    assert dispatcher.dispatch_event(Event("ready"))
    assert len(calls) == 1


def test_what_ends_a_greenlet_leaves_the_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    class GreenletExit(BaseException):
        pass

    monkeypatch.setitem(sys.modules, "greenlet", types.SimpleNamespace(GreenletExit=GreenletExit))  # type: ignore[arg-type]
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("ready", lambda: fail_with(GreenletExit()))
    with pytest.raises(GreenletExit):
        dispatcher.dispatch_event(Event("ready"))


# ---- a turn of the reactor

CALLERS: dict[str, Callable[[Reactor, Callable[[], object]], object]] = {
    "timer": lambda reactor, call: reactor.call_later(0, call),
    "call": lambda reactor, call: reactor.call_soon_threadsafe(call),
}


@pytest.mark.parametrize("way", CALLERS)
@staying
def test_the_other_timers_and_calls_run(
    reactor: Reactor, told: list[BaseException], way: str, error: BaseException
) -> None:
    calls: list[int] = []
    CALLERS[way](reactor, lambda: fail_with(error))
    CALLERS[way](reactor, lambda: calls.append(1))
    reactor.run()
    assert (told, calls) == ([error], [1])


@staying
def test_what_comes_again_and_again_goes_on(reactor: Reactor, told: list[BaseException], error: BaseException) -> None:
    def tick() -> None:
        if len(told) == 3:
            handle.cancel()
        raise error

    handle = reactor.call_every(0.001, tick)
    reactor.run()
    assert told == [error] * 4


@on_posix
@staying
def test_a_signal(reactor: Reactor, told: list[BaseException], error: BaseException) -> None:
    handle = reactor.on_signal(signal.SIGUSR1, fail_with, error)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        run_until(reactor, lambda: told)
    finally:
        handle.cancel()
    assert told == [error]


@staying
def test_each_event_of_a_connection(reactor: Reactor, told: list[BaseException], error: BaseException) -> None:
    """From each of its listeners the same; the connection lives and ends as if they had raised nothing."""
    with connection() as it:
        for type in ("socketData", "outputProgress", "close"):
            it.socket.add_event_listener(type, lambda: fail_with(error), priority=1)
        it.peer.sendall(b"hello")
        it.until_event("socketData")
        it.socket.write(b"answer")
        it.socket.flush()
        it.until_event("outputProgress")
        assert it.peer.recv(100) == b"answer"
        it.peer.close()
        it.until_event("close")
        assert it.log.data == b"hello"
    assert told == [error] * 3


@staying
def test_both_ends_of_a_connect_by_name(reactor: Reactor, told: list[BaseException], error: BaseException) -> None:
    accepted: list[Socket] = []

    def accept(event: Any) -> None:
        accepted.append(event.socket)
        raise error

    with listening() as server, Socket() as it:
        server.add_event_listener("connect", accept)
        it.add_event_listener("connect", lambda: fail_with(error))
        it.connect("localhost", server.local_port)
        run_until(reactor, lambda: len(told) == 2)
        assert it.connected
        accepted[0].close()
    assert told == [error] * 2


@staying
def test_a_failed_connect(reactor: Reactor, told: list[BaseException], error: BaseException) -> None:
    with listening() as server:
        port = server.local_port
    for host in ("127.0.0.1", "localhost"):
        it = Socket()
        it.add_event_listener("ioError", lambda: fail_with(error))
        it.connect(host, port)
    run_until(reactor, lambda: len(told) == 2)
    assert told == [error] * 2


@staying
def test_a_listener_of_uncaught_errors(
    reactor: Reactor, told: list[BaseException], error: BaseException, uncaught: list[logging.LogRecord]
) -> None:
    reactor.add_event_listener("uncaughtError", fail_with_it := lambda: fail_with(error))
    try:
        reactor.call_later(0, lambda: fail_with(Outcome("first")))
        reactor.run()
    finally:
        reactor.remove_event_listener("uncaughtError", fail_with_it)
    assert [str(each) for each in told] == ["first"]
    assert [record.exc_info and record.exc_info[1] for record in uncaught] == [error]
    uncaught.clear()


@staying
def test_a_filter_of_the_log(reactor: Reactor, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise error

    calls: list[int] = []
    monkeypatch.setattr(logging.getLogger("serversocket"), "filters", [refuse])
    reactor.call_later(0, fail_with, Outcome())
    reactor.call_later(0, calls.append, 1)
    reactor.run()
    assert calls == [1]


@leaving
def test_what_ends_a_program_leaves_the_turn_and_nothing_is_lost(
    reactor: Reactor, told: list[BaseException], error: BaseException
) -> None:
    calls: list[str] = []
    with connection() as it:
        it.socket.add_event_listener("socketData", lambda: fail_with(error), priority=1)
        it.peer.sendall(b"hello")
        reactor.call_soon_threadsafe(calls.append, "call")
        with pytest.raises(type(error)) as caught:
            run_until(reactor, lambda: not PATIENCE)
        assert caught.value is error
        assert it.socket.read() == b"hello"
        reactor.poll(0)
    assert calls == ["call"]
    assert not told


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), Outcome()], ids=repr)
def test_inside_asyncio(error: BaseException) -> None:
    """A turn is a callback of the loop, which lets some of these through and takes others for its own."""
    told: list[BaseException] = []

    async def main() -> list[dict[str, Any]]:
        contexts: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context))
        reactor = current_reactor()
        reactor.add_event_listener("uncaughtError", lambda event: told.append(event.error))
        done = asyncio.Event()
        reactor.call_later(0, fail_with, error)
        reactor.call_later(0, done.set)
        await asyncio.wait_for(done.wait(), PATIENCE)
        return contexts

    assert asyncio.run(main()) == []
    assert told == [error]
