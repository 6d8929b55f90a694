"""What is the same in every host."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

import serversocket
from serversocket import Reactor, ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import Log, connect_to, listening, on_linux
from .loops import Loop

MANY = 20


class Talk:
    """A server that answers in upper case, and a client, both hosted."""

    def __init__(self, server: ServerSocket, client: Socket) -> None:
        self.server = server
        self.client = client
        self.log = Log(client)
        self.accepted: list[Socket] = []
        server.add_event_listener("connect", self.accept)

    def accept(self, event: serversocket.ServerSocketConnectEvent) -> None:
        self.accepted.append(event.socket)
        event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read().upper()))


@contextmanager
def talk(loop: Loop) -> Iterator[Talk]:
    with listening() as server, Socket() as client:
        it = Talk(server, client)
        client.connect("127.0.0.1", server.local_port)
        loop.until(lambda: client.connected and it.accepted)
        yield it
        for each in it.accepted:
            if each.connected:
                each.close()


def test_a_conversation(loop: Loop) -> None:
    with loop.attach() as hosting, talk(loop) as it:
        assert hosting.reactor is current_reactor()
        it.client.write(b"hello")  # nobody flushes
        loop.until(lambda: it.log.data == b"HELLO")
        it.accepted[0].close()
        loop.until(lambda: it.log.count("close"))
        assert [type for type in it.log.types if type != "outputProgress"] == ["connect", "socketData", "close"]


def test_timers_and_calls_from_other_threads(loop: Loop) -> None:
    seen: list[str] = []
    with loop.attach() as hosting:
        hosting.reactor.call_later(0.001, seen.append, "timer")
        loop.until(lambda: seen == ["timer"])
        thread = threading.Thread(target=hosting.reactor.call_soon_threadsafe, args=(seen.append, "call"))
        thread.start()
        loop.until(lambda: seen == ["timer", "call"])
        thread.join(60)


def test_what_was_there_before_is_delivered_too(loop: Loop) -> None:
    seen: list[str] = []
    reactor = current_reactor()
    reactor.call_later(0, seen.append, "timer")
    reactor.call_soon_threadsafe(seen.append, "call")
    with loop.attach():
        loop.until(lambda: sorted(seen) == ["call", "timer"])


def test_a_reactor_of_ones_own(loop: Loop) -> None:
    seen: list[str] = []
    reactor = Reactor()
    with loop.attach(reactor) as hosting:
        assert hosting.reactor is reactor is not current_reactor()
        reactor.call_later(0, seen.append, "timer")
        loop.until(lambda: seen)
    reactor.close()


def test_closing_it_ends_the_delivery_alone(loop: Loop) -> None:
    seen: list[str] = []
    hosting = loop.attach()
    with talk(loop) as it:
        hosting.close()
        hosting.close()
        assert hosting.closed
        assert "closed" in repr(hosting)
        current_reactor().call_later(0, seen.append, "timer")
        it.client.write(b"hello")
        ticks: list[int] = []
        loop.later(30, lambda: ticks.append(1))
        loop.until(lambda: ticks)
        assert not seen
        assert not it.log.data
        it.log.events.clear()
        it.client.add_event_listener("socketData", serversocket.stop)
        serversocket.run()  # what the host does no more
        assert seen == ["timer"]
        assert it.log.data == b"HELLO"
        with loop.attach():
            it.client.write(b"again")
            loop.until(lambda: it.log.data == b"HELLOAGAIN")


def test_closing_the_reactor_ends_it(loop: Loop) -> None:
    hosting = loop.attach()
    reactor = hosting.reactor
    number = reactor.fileno()
    reactor.close()
    assert hosting.closed
    hosting.close()
    with loop.attach() as other:  # under the same number
        assert other.reactor is not reactor
        assert other.reactor.fileno() == number
        with talk(loop) as it:
            it.client.write(b"hello")
            loop.until(lambda: it.log.data == b"HELLO")


def test_closing_the_reactor_in_its_own_turn_is_refused_and_harmless(loop: Loop) -> None:
    refused: list[bool] = []

    def close() -> None:
        with pytest.raises(RuntimeError):
            current_reactor().close()
        refused.append(True)

    with loop.attach() as hosting:
        hosting.reactor.call_later(0, close)
        loop.until(lambda: refused)
        assert not hosting.closed
        hosting.reactor.call_later(0, refused.append, True)
        loop.until(lambda: len(refused) == 2)


def test_closing_it_in_a_listener(loop: Loop) -> None:
    hosting = loop.attach()
    hosting.reactor.call_later(0, hosting.close)
    loop.until(lambda: hosting.closed)


def test_run_is_refused(loop: Loop) -> None:
    with loop.attach(), pytest.raises(RuntimeError, match="delivers the events of this reactor; run"):
        serversocket.run()
    serversocket.run()


def test_one_host_for_a_reactor(loop: Loop) -> None:
    with loop.attach() as hosting:
        with pytest.raises(RuntimeError, match="delivers the events of this reactor already"):
            loop.attach()
        assert not hosting.closed


def test_attaching_in_run_is_refused(loop: Loop) -> None:
    refused: list[bool] = []

    def attach() -> None:
        with pytest.raises(RuntimeError, match="running already"):
            loop.attach()
        refused.append(True)

    current_reactor().call_later(0, attach)
    serversocket.run()
    assert refused


def test_attaching_a_closed_reactor_is_refused(loop: Loop) -> None:
    reactor = Reactor()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.attach(reactor)


def test_another_thread_is_refused(loop: Loop) -> None:
    refused: list[str] = []

    def use() -> None:
        for refuse in (hosting.close, hosting.reactor.close):
            with pytest.raises(RuntimeError) as caught:
                refuse()
            refused.append(str(caught.value))

    with loop.attach() as hosting:
        thread = threading.Thread(target=use, name="the other one")
        thread.start()
        thread.join(60)
        names = f"this object belongs to thread {threading.current_thread().name!r}, called from 'the other one'"
        assert refused == [names] * 2
        assert not hosting.closed


def test_exceptions_of_listeners_do_not_reach_the_host(loop: Loop) -> None:
    told: list[type] = []
    with loop.attach() as hosting:
        hosting.reactor.add_event_listener("uncaughtError", lambda event: told.append(type(event.error)))
        hosting.reactor.call_later(0, lambda: 1 // 0)
        loop.until(lambda: told)
        hosting.reactor.call_later(0, lambda: 1 // 0)
        loop.until(lambda: len(told) == 2)
    assert told == [ZeroDivisionError] * 2
    assert not loop.caught


def test_keyboard_interrupt_reaches_the_host(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    with loop.attach() as hosting:
        hosting.reactor.call_later(0.001, interrupt)
        loop.interrupted()
        assert [type(error) for error in loop.caught] == [KeyboardInterrupt]
        printed = capfd.readouterr().err
        assert not printed or "KeyboardInterrupt" in printed
        hosting.reactor.call_later(0.001, seen.append, "timer")
        loop.until(lambda: seen)


def test_a_busy_reactor_leaves_the_host_its_turn(loop: Loop) -> None:
    turns: list[int] = []
    ticks: list[int] = []
    idle: list[int] = []

    def flood() -> None:
        turns.append(1)
        if not over:
            hosting.reactor.call_soon_threadsafe(flood)

    def tick() -> None:
        ticks.append(1)
        loop.later(1, tick) if not over else None

    def rest() -> None:
        idle.append(1)
        loop.later(1, lambda: loop.idle(rest)) if not over else None

    over = False
    with loop.attach() as hosting:
        flood()
        tick()
        rest()
        loop.until(lambda: len(ticks) >= MANY and len(idle) >= 3 and len(turns) >= MANY)
        over = True
        end = len(turns), len(ticks), len(idle)
        loop.until(lambda: all(now > then for now, then in zip((len(turns), len(ticks), len(idle)), end, strict=True)))


@pytest.mark.parametrize("busy", ["timer", "idle"])
def test_a_busy_host_leaves_the_reactor_its_turn(loop: Loop, busy: str) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if not over:
            again()

    def again() -> None:
        loop.later(0, tick) if busy == "timer" else loop.idle(tick)

    over = False
    with loop.attach(), talk(loop) as it:
        again()
        for count in range(1, MANY + 1):
            it.client.write(b"x")
            loop.until(lambda count=count: len(it.log.data) == count)
        over = True
        assert len(ticks) >= MANY
        end = len(ticks)
        loop.until(lambda: len(ticks) > end)


def test_both_busy_at_once(loop: Loop) -> None:
    """Turns of the reactor and calls of the host's timers go hand in hand."""
    turns: list[int] = []
    ticks: list[int] = []

    def flood() -> None:
        turns.append(1)
        if not over:
            hosting.reactor.call_soon_threadsafe(flood)

    def tick() -> None:
        ticks.append(1)
        if not over:
            loop.later(0, tick)

    over = False
    with loop.attach() as hosting:
        flood()
        tick()
        loop.until(lambda: len(ticks) >= 10 * MANY and len(turns) >= MANY)
        over = True
        if loop.module != "glib":  # where it is time that counts: a turn every 20 milliseconds
            assert len(turns) < 4 * len(ticks) < 16 * len(turns)
        end = len(turns), len(ticks)
        loop.until(lambda: len(turns) > end[0] and len(ticks) > end[1])


def test_a_loop_in_a_listener_delivers_nothing_and_does_not_spin(loop: Loop) -> None:
    """As a dialog does that waits for its answer."""
    seen: list[str] = []
    used: list[float] = []

    def ask(event: serversocket.ProgressEvent) -> None:
        event.target.read()
        it.client.remove_event_listener("socketData", ask)
        it.client.write(b"meanwhile")
        hosting.reactor.call_soon_threadsafe(seen.append, "call")
        answered: list[bool] = []
        loop.later(300, lambda: answered.append(True))
        before = time.process_time()
        loop.until(lambda: answered)
        used.append(time.process_time() - before)
        seen.append("answer")

    with loop.attach() as hosting, talk(loop) as it:
        it.client.add_event_listener("socketData", ask, priority=1)
        it.client.write(b"question")
        loop.until(lambda: used)
        loop.until(lambda: len(seen) >= 2)
        assert seen[:2] == ["answer", "call"]
        assert used[0] < 0.2
        loop.until(lambda: it.log.data == b"MEANWHILE")


@on_linux
def test_a_reactor_that_had_to_begin_anew(loop: Loop) -> None:
    with loop.attach(), talk(loop) as it, connect_to("127.0.0.1", it.server.local_port) as other:
        loop.until(lambda: len(it.accepted) == 2)
        number = it.accepted[0].fileno()
        duplicate = os.dup(number)
        try:
            loop.later(1, lambda: os.close(number))  # where the loop runs, and opens nothing under this number
            loop.later(2, lambda: it.client.write(b"to the duplicate, for ever"))
            loop.until(lambda: not it.accepted[0].connected)
            other.sendall(b"hello")
            assert_answer(loop, other, b"HELLO")
            before = time.process_time()
            ticks: list[int] = []
            loop.later(300, lambda: ticks.append(1))
            loop.until(lambda: ticks)
            assert time.process_time() - before < 0.2
        finally:
            os.close(duplicate)


def assert_answer(loop: Loop, peer: socket.socket, answer: bytes) -> None:
    peer.setblocking(False)
    received = bytearray()

    def complete() -> bool:
        with suppress(BlockingIOError):
            received.extend(peer.recv(100))
        return received == answer

    loop.until(complete)


def test_nothing_is_opened_anew_by_each(loop: Loop) -> None:
    """The fixture that counts descriptors sees it if anything is left."""
    for _ in range(50):
        loop.attach().close()


def test_a_signal_ends_its_wait(loop: Loop) -> None:
    with loop.attach() as hosting, loop.running() as stop:
        handle = hosting.reactor.on_signal(signal.SIGUSR1, stop)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    handle.cancel()


def test_periodic_calls(loop: Loop) -> None:
    seen: list[int] = []
    with loop.attach() as hosting:
        handle = hosting.reactor.call_every(0.002, seen.append, 1)
        loop.until(lambda: len(seen) >= 3)
        handle.cancel()
