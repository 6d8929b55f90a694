from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
import weakref

import pytest

import serversocket
from serversocket import ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import PATIENCE, Log, connection, unused_port


async def until(predicate):
    async with asyncio.timeout(PATIENCE):
        while not predicate():  # noqa: ASYNC110 - it is the condition that is foreign to asyncio
            await asyncio.sleep(0.001)


def test_objects_made_in_a_running_loop_need_no_run():
    async def main():
        served = []

        def accept(event):
            served.append(event.socket)
            event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read().upper()))

        with ServerSocket() as server:
            server.add_event_listener("connect", accept)
            server.bind(0, "127.0.0.1")
            server.listen()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), PATIENCE) == b"HELLO"
            served[0].close()
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_client_in_a_running_loop():
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(4))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            with Socket(*server.sockets[0].getsockname()) as it:
                log = Log(it)
                it.add_event_listener("connect", lambda event: event.target.write(b"ping"))
                await until(lambda: log.count("close"))
                assert log.data == b"ping"

    asyncio.run(main())


def test_refused_connect_in_a_running_loop():
    async def main():
        it = Socket("127.0.0.1", unused_port())
        log = Log(it)
        await until(lambda: log.events)
        assert log.types == ["ioError"]

    asyncio.run(main())


def test_unflushed_output_goes_out_without_further_calls():
    async def main():
        accepted = []
        with ServerSocket() as server:
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            server.bind(0, "127.0.0.1")
            server.listen()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            await until(lambda: accepted)
            accepted[0].write(b"by itself")
            assert await asyncio.wait_for(reader.readexactly(9), PATIENCE) == b"by itself"
            accepted[0].close()
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_timers_and_calls_run_in_the_loop():
    async def main():
        reactor = current_reactor()
        seen = []
        reactor.call_later(0.002, seen.append, "timer")
        reactor.call_soon_threadsafe(seen.append, "call")
        await until(lambda: len(seen) == 2)
        assert set(seen) == {"call", "timer"}
        await asyncio.to_thread(reactor.call_soon_threadsafe, seen.append, "thread")
        await until(lambda: len(seen) == 3)

    asyncio.run(main())


def test_one_reactor_for_each_loop():
    outside = current_reactor()

    async def main():
        reactor = current_reactor()
        assert current_reactor() is reactor is ServerSocket().reactor is Socket().reactor
        assert reactor is not outside
        return reactor

    first = asyncio.run(main())
    second = asyncio.run(main())
    assert first is not second
    assert current_reactor() is outside


def test_run_is_refused_inside_the_loop():
    async def main():
        current_reactor()
        with pytest.raises(RuntimeError):
            serversocket.run()

    asyncio.run(main())


def test_objects_of_the_thread_may_still_be_polled_inside_a_loop():
    async def main(it):
        it.peer.sendall(b"x")
        it.until(lambda: it.log.data == b"x")

    with connection() as it:
        asyncio.run(main(it))


def test_error_in_a_listener_does_not_end_the_loop():
    told = []

    async def main():
        current_reactor().add_event_listener("uncaughtError", lambda event: told.append(type(event.error)))
        with ServerSocket() as server:
            server.add_event_listener("connect", lambda event: 1 / 0)
            server.add_event_listener("connect", lambda event: event.socket.close())
            server.bind(0, "127.0.0.1")
            server.listen()
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
                writer.close()
                await writer.wait_closed()

    asyncio.run(main())
    assert told == [ZeroDivisionError] * 2


def test_nothing_is_left_of_loop_and_reactor():
    references = []

    async def main():
        references.append(weakref.ref(current_reactor()))
        references.append(weakref.ref(asyncio.get_running_loop()))

    asyncio.run(main())
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_what_is_open_when_the_loop_ends_does_no_harm():
    async def main():
        server = ServerSocket()
        server.add_event_listener("connect", print)
        server.bind(0, "127.0.0.1")
        server.listen()

    asyncio.run(main())
    gc.collect()


if importlib.util.find_spec("uvloop"):
    # It keeps a pair of sockets from the first run on, which no test must be blamed for.
    importlib.import_module("uvloop").run(asyncio.sleep(0))


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    it = pytest.importorskip(request.param).new_event_loop()
    yield it
    it.close()


async def open_things():
    server = ServerSocket()
    server.add_event_listener("connect", [].append)
    server.bind(0, "127.0.0.1")
    server.listen()
    client = Socket("127.0.0.1", server.local_port)
    await client.once("connect")
    return server, client


def test_closing_the_loop_closes_its_reactor(loop):
    server, client = loop.run_until_complete(open_things())
    ended = Log(client)
    assert loop.run_until_complete(asyncio.sleep(0, client.connected))  # between two runs it goes on
    loop.close()
    assert server.reactor is client.reactor
    assert server.reactor.closed
    assert not server.bound
    assert not client.connected
    assert ended.events == []
    loop.close()


def test_a_reactor_that_was_closed_before_its_loop(loop):
    first, first_client = loop.run_until_complete(open_things())
    first.reactor.close()
    server, client = loop.run_until_complete(open_things())
    assert server.reactor is not first.reactor
    loop.close()
    assert not first_client.connected
    assert not client.connected
    assert server.reactor.closed


def test_a_loop_that_runs_is_not_closed(loop):
    async def main():
        server, client = await open_things()
        with pytest.raises(RuntimeError, match="running"):
            loop.close()
        assert not server.reactor.closed
        client.close()
        server.close()

    loop.run_until_complete(main())


def test_a_loop_that_another_thread_closes(loop):
    kept = loop.run_until_complete(open_things())
    thread = threading.Thread(target=loop.close)
    thread.start()
    thread.join()
    assert loop.is_closed()
    kept[0].reactor.close()


def test_many_connections_in_a_running_loop():
    async def main():
        def accept(event):
            event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
            event.socket.add_event_listener("close", closed.append)

        async def client(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            for round in range(5):
                message = b"%03d %d" % (number, round)
                writer.write(message)
                assert await asyncio.wait_for(reader.readexactly(len(message)), PATIENCE) == message
            writer.close()
            await writer.wait_closed()

        closed = []
        with ServerSocket() as server:
            server.add_event_listener("connect", accept)
            server.bind(0, "127.0.0.1")
            server.listen()
            await asyncio.gather(*(client(number) for number in range(50)))
            await until(lambda: len(closed) == 50)

    asyncio.run(main())
