"""What holds in the hosts that are found by themselves: asyncio, with any of its loops, and trio.

`test_every_host` has the same for those that have to be named.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import serversocket
from serversocket import Reactor, Socket
from serversocket.hosts import Hosting
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE, Log, connect_to, listening

MANY = 200
FEW = 10
#: So many clients one turn of the reactor accepts at most.
ACCEPTED = 64


class Other(Hosting):
    """Another host, which watches nothing."""

    def watch(self, reactor: Reactor) -> None: ...

    def unwatch(self, reactor: Reactor) -> None: ...


async def until(predicate: Callable[[], object]) -> None:
    while not predicate():  # noqa: ASYNC110 - what is waited for knows nothing of anyio
        await anyio.sleep(0.001)


class Spinning:
    """Tasks of the host that always have something to do; `steps` counts theirs together."""

    def __init__(self) -> None:
        self.steps = 0
        self.over = False

    async def task(self) -> None:
        while not self.over:
            self.steps += 1
            await anyio.lowlevel.checkpoint()


# ---- the host and its reactor


def test_a_conversation(run):
    async def main():
        with listening() as server, Socket("127.0.0.1", server.local_port) as client:
            accepted: list[Socket] = []
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            log = Log(client)
            await until(lambda: client.connected and accepted)
            client.write(b"hello")  # nobody flushes
            await until(lambda: accepted[0].bytes_available == 5)
            accepted[0].write(accepted[0].read().upper())
            accepted[0].close()
            await until(lambda: log.count("close"))
            assert log.data == b"HELLO"

    run(main)


def test_timers_and_calls_from_other_threads(run):
    async def main():
        seen: list[str] = []
        reactor = current_reactor()
        reactor.call_later(0.001, seen.append, "timer")
        await until(lambda: seen == ["timer"])
        thread = threading.Thread(target=reactor.call_soon_threadsafe, args=(seen.append, "call"))
        thread.start()
        await until(lambda: seen == ["timer", "call"])
        thread.join(60)

    run(main)


def test_run_is_refused_inside_and_allowed_afterwards(run):
    async def main():
        for it in serversocket.run, current_reactor().run:
            with pytest.raises(
                RuntimeError, match=r"^the running (asyncio|trio) loop delivers the events.*run\(\) is not"
            ):
                it()
        return current_reactor()

    inside = run(main)
    serversocket.run()
    assert current_reactor() is not inside


def test_a_second_host_is_refused(run):
    async def main():
        seen: list[str] = []
        with pytest.raises(RuntimeError, match=r"^the running (asyncio|trio) loop delivers .* already$"):
            Other(None)
        current_reactor().call_later(0, seen.append, "timer")
        await until(lambda: seen)

    run(main)


def test_a_reactor_of_ones_own_is_anothers(run):
    async def main():
        reactor = Reactor()
        with Other(reactor) as hosting:
            assert hosting.reactor is reactor is not current_reactor()
            with pytest.raises(RuntimeError, match="delivers the events of this reactor already"):
                Other(reactor)
        reactor.close()

    run(main)


def test_closing_the_reactor_ends_it_and_the_next_one_is_hosted(run):
    async def main():
        reactor = current_reactor()
        number = reactor.fileno()
        reactor.close()
        reactor.close()
        assert current_reactor() is not reactor
        assert current_reactor().fileno() == number
        await anyio.sleep(0.01)
        with listening() as server:
            accepted: list[Socket] = []
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            with connect_to("127.0.0.1", server.local_port) as client:
                await until(lambda: accepted)
                client.sendall(b"hello")
                await until(lambda: accepted[0].bytes_available == 5)
                accepted[0].close()

    run(main)


def test_closing_the_reactor_in_its_own_turn_is_refused_and_harmless(run):
    async def main():
        refused: list[bool] = []

        def close() -> None:
            with pytest.raises(RuntimeError):
                current_reactor().close()
            refused.append(True)

        reactor = current_reactor()
        reactor.call_later(0, close)
        await until(lambda: refused)
        reactor.call_later(0, refused.append, True)
        await until(lambda: len(refused) == 2)
        assert current_reactor() is reactor

    run(main)


def test_another_thread_is_refused_with_the_names_of_both(run):
    async def main():
        refused: list[str] = []

        def use() -> None:
            for refuse in (reactor.close, server.close, client.close, lambda: reactor.call_later(0, print)):
                with pytest.raises(RuntimeError) as caught:
                    refuse()
                refused.append(str(caught.value))

        reactor = current_reactor()
        with listening() as server, Socket("127.0.0.1", server.local_port) as client:
            thread = threading.Thread(target=use, name="the other one")
            thread.start()
            thread.join(60)
            assert client.connected is False
        return refused

    names = f"this object belongs to thread {threading.current_thread().name!r}, called from 'the other one'"
    assert run(main) == [names] * 4


def test_exceptions_of_listeners_do_not_reach_the_host(run):
    async def main():
        told: list[type] = []
        reactor = current_reactor()
        reactor.add_event_listener("uncaughtError", lambda event: told.append(type(event.error)))
        for count in (1, 2):
            reactor.call_later(0, lambda: 1 // 0)
            await until(lambda count=count: len(told) == count)
        return told

    assert run(main) == [ZeroDivisionError] * 2


@contextmanager
def interrupted() -> Iterator[None]:
    """The run ends with a `KeyboardInterrupt`; trio tells of the system's task that it came from."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - it is looked at below
        yield
    error: Any = caught.value
    while isinstance(error, BaseExceptionGroup) or (not isinstance(error, KeyboardInterrupt) and error.__cause__):
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    assert isinstance(error, KeyboardInterrupt)


def test_keyboard_interrupt_ends_the_run(run):
    seen: list[object] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main():
        seen.append(current_reactor())
        current_reactor().call_later(0.001, interrupt)
        await anyio.sleep(PATIENCE)

    with interrupted():
        run(main)
    assert len(seen) == 1

    async def again():
        assert current_reactor() is not seen[0]
        current_reactor().call_later(0, seen.append, "timer")
        await until(lambda: len(seen) == 2)

    run(again)
    serversocket.run()


# ---- nobody starves: counted, not timed


def test_a_busy_reactor_leaves_the_host_its_turns(run):
    """Its turns and the steps of a task of the host's go hand in hand."""

    async def main():
        turns = 0

        def flood() -> None:
            nonlocal turns
            turns += 1
            if turns < MANY:
                current_reactor().call_soon_threadsafe(flood)

        it = Spinning()
        flood()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.task)
            while turns < MANY:
                await anyio.lowlevel.checkpoint()
            it.over = True
        return it.steps

    assert run(main) >= MANY // 2


def test_a_busy_host_leaves_the_reactor_its_turns(run):
    """For each turn of the reactor, fifty tasks make a few steps and no more."""

    async def main():
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            current_reactor().call_soon_threadsafe(turn)

        it = Spinning()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(it.task)
            turn()
            while it.steps < 50 * MANY // 2:
                await anyio.lowlevel.checkpoint()
            it.over = True
        return turns

    assert run(main) >= MANY // 8


def test_a_message_waits_for_few_steps_of_a_busy_host(run):
    """There and back between two sockets of ours are some turns of the reactor."""

    async def main():
        it = Spinning()
        with listening() as server, Socket("127.0.0.1", server.local_port) as client:
            accepted: list[Socket] = []

            def accept(event: serversocket.ServerSocketConnectEvent) -> None:
                accepted.append(event.socket)
                event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))

            server.add_event_listener("connect", accept)
            log = Log(client)
            await until(lambda: client.connected and accepted)
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(it.task)
                for count in range(1, FEW + 1):
                    client.write(b"x")
                    while len(log.data) < count:
                        await anyio.lowlevel.checkpoint()
                it.over = True
            accepted[0].close()
        return it.steps

    assert run(main) <= FEW * 50 * 20


def test_a_flood_of_clients_comes_in_portions(run):
    """Between two steps of a task of the host's the reactor has one turn, or two where trio shuffles its tasks."""

    async def main():
        with listening(backlog=1000) as server, ExitStack() as stack:
            accepted: list[Socket] = []
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            for _ in range(5 * ACCEPTED):
                stack.enter_context(connect_to("127.0.0.1", server.local_port))
            portions, before = [], 0
            while len(accepted) < 5 * ACCEPTED:
                await anyio.lowlevel.checkpoint()
                if len(accepted) > before:
                    portions.append(len(accepted) - before)
                    before = len(accepted)
            for each in accepted:
                each.close()
        return portions

    portions = run(main)
    assert max(portions) <= 2 * ACCEPTED
    assert len(portions) >= 3
