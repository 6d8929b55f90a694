"""Servers and connections for coroutines, in each of the libraries that may run them."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import serversocket
from serversocket import ServerSocket, Socket, aio
from serversocket.reactor import current_reactor

from .conftest import LIBRARIES

PATIENCE = 20
RESET = struct.pack("ii", 1, 0)


def listen(**options):
    return aio.listen(0, "127.0.0.1", **options)


async def pair(server):
    """Both ends of a new connection."""
    client = await aio.connect("127.0.0.1", server.local_port)
    return client, await server.accept()


def plain_client(server):
    client = socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE)
    client.setblocking(False)
    return client


async def until(predicate):
    while not predicate():  # noqa: ASYNC110 - what is waited for knows nothing of anyio
        await anyio.sleep(0.001)


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


async def echo(client):
    async for chunk in client:
        await client.send(chunk)


# ---- input


def test_what_arrives_is_received(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                await client.send(b"hello")
                assert await accepted.receive() == b"hello"
                await accepted.send(bytearray(b"world"))
                assert await client.receive(3) == b"wor"
                assert await client.receive(0) == b""
                assert await client.receive(100) == b"ld"
                assert accepted.remote_port == client.local_port
                assert accepted.local_address == client.remote_address == "127.0.0.1"

    run(main)


def test_receiving_waits(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted, anyio.create_task_group() as tasks:
                received = []

                async def receive():
                    received.append(await accepted.receive())

                tasks.start_soon(receive)
                await anyio.sleep(0.05)
                assert received == []
                await client.send(b"late")
        assert received == [b"late"]

    run(main)


def test_the_end_of_a_stream_is_empty_and_stays(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with accepted:
                async with client:
                    await client.send(b"last words")
                assert [chunk async for chunk in accepted] == [b"last words"]
                assert await accepted.receive() == b""
                assert await accepted.receive() == b""

    run(main)


def test_so_many_bytes(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted, anyio.create_task_group() as tasks:
                message = bytes(range(256)) * 4096
                tasks.start_soon(client.send, message)
                assert await accepted.receive_exactly(0) == b""
                assert await accepted.receive_exactly(1) == message[:1]
                assert await accepted.receive_exactly(len(message) - 1) == message[1:]

    run(main)


def test_too_few_bytes_consume_nothing(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with accepted:
                async with client:
                    await client.send(b"abc\ndef")
                assert await accepted.receive_until() == b"abc\n"
                with pytest.raises(serversocket.EOFError, match="receive_exactly: 4 bytes wanted, 3 available"):
                    await accepted.receive_exactly(4)
                with pytest.raises(serversocket.EOFError, match=r"receive_until: no b'\\n' in the last 3 bytes"):
                    await accepted.receive_until(b"\n")
                assert await accepted.receive() == b"def"
                with pytest.raises(EOFError):
                    await accepted.receive_exactly(1)

    run(main)


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_messages_that_end_with_a_separator(run, separator, step):
    messages = [
        b"",
        b"a",
        b"\r",
        b"one \n two"[: 3 if separator == b"\n" else 9],
        b"\n" if separator != b"\n" else b"x",
    ]
    stream = b"".join(message + separator for message in messages)

    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted, anyio.create_task_group() as tasks:

                async def drip():
                    for start in range(0, len(stream), step):
                        await client.send(stream[start : start + step])
                        await anyio.sleep(0.0005)

                tasks.start_soon(drip)
                for message in messages:
                    assert await accepted.receive_until(separator) == message + separator

    run(main)


def test_a_message_without_a_separator_is_refused_and_kept(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                await client.send(b"x" * 50 + b"\n")
                with pytest.raises(serversocket.RangeError, match=r"no b'\\n' in the first 50 bytes"):
                    await accepted.receive_until(b"\n", 50)
                assert await accepted.receive_until(b"\n", 51) == b"x" * 50 + b"\n"
                await client.send(b"tiny;")
                assert await accepted.receive_until(b";", 5) == b"tiny;"

    run(main)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda it: it.receive("1"), TypeError, "str"),
        (lambda it: it.receive_exactly(-1), ValueError, "-1"),
        (lambda it: it.receive_exactly(1 << 40), ValueError, "1099511627776"),
        (lambda it: it.receive_exactly(None), TypeError, "NoneType"),
        (lambda it: it.receive_until(b""), ValueError, "empty"),
        (lambda it: it.receive_until("\n"), TypeError, "separator must be bytes"),
        (lambda it: it.receive_until(b"\n", "x"), TypeError, "str"),
        (lambda it: it.receive_until(b"\n", -1), ValueError, "limit: -1 is negative"),
        (lambda it: it.send("text"), TypeError, "text"),
        (lambda it: it.send(None), TypeError, "None"),
    ],
)
def test_bad_input(run, call, error, text):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                await client.send(b"kept")
                with pytest.raises(error, match=text):
                    await call(accepted)
                assert await accepted.receive() == b"kept"

    run(main)


def test_one_task_receives(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted, anyio.create_task_group() as tasks:
                tasks.start_soon(accepted.receive)
                await anyio.sleep(0.01)
                for call in (accepted.receive, partial(accepted.receive_exactly, 1), accepted.receive_until):
                    with pytest.raises(RuntimeError, match="another task is receiving"):
                        await call()
                await client.send(b"x")

    run(main)


def test_cancelled_receivers_lose_nothing(run):
    total = 200_000

    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            received = bytearray()
            cancelled = 0

            async def feed():
                async with client:
                    for start in range(0, total, 1000):
                        await client.send(bytes((start + i) % 251 for i in range(1000)))
                        await anyio.lowlevel.checkpoint()

            async with accepted, anyio.create_task_group() as tasks:
                tasks.start_soon(feed)
                round = 0
                while len(received) < total:
                    round += 1
                    with anyio.move_on_after((round % 4) * 0.0002) as scope:
                        match round % 3:
                            case 0:
                                received += await accepted.receive(777)
                            case 1:
                                received += await accepted.receive_exactly(min(1234, total - len(received)))
                            case _:
                                received += await accepted.receive_until(bytes([len(received) % 251]))
                    cancelled += scope.cancelled_caught
            assert received == bytes(i % 251 for i in range(total))
            assert cancelled

    run(main)


def test_a_reset_is_an_error_behind_what_had_arrived(run):
    async def main():
        async with listen() as server:
            client = plain_client(server)
            accepted = await server.accept()
            async with accepted:
                client.send(b"before")
                await until(lambda: accepted.socket.bytes_available)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
                assert await accepted.receive() == b"before"
                for call in (accepted.receive, partial(accepted.receive_exactly, 1), partial(accepted.send, b"x")):
                    with pytest.raises(ConnectionResetError) as caught:
                        await call()
                    assert isinstance(caught.value, serversocket.IOError)
                    assert caught.value.errno == errno.ECONNRESET

    run(main)


def test_an_error_that_is_raised_again_is_another_one(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            client.abort()
            async with accepted:
                tracebacks = []
                for _ in range(5):
                    with pytest.raises(serversocket.IOError) as caught:
                        await accepted.receive()
                    assert caught.value.errno == errno.ECONNRESET
                    tracebacks.append(len(caught.traceback))
                assert len(set(tracebacks)) == 1

    run(main)


def test_input_that_nobody_takes_makes_the_peer_wait(run):
    async def main():
        async with listen() as server:
            client = plain_client(server)
            with client:
                accepted = await server.accept()
                async with accepted:
                    sent = 0
                    idle = 0
                    while idle < 20:
                        try:
                            sent += client.send(bytes(65536))
                            idle = 0
                        except BlockingIOError:
                            idle += 1
                            await anyio.sleep(0.005)
                    assert accepted.socket.paused
                    kept = accepted.socket.bytes_available
                    assert aio.sockets.READ_AHEAD <= kept < 8 * aio.sockets.READ_AHEAD
                    received = 0
                    client.shutdown(socket.SHUT_WR)
                    async for chunk in accepted:
                        received += len(chunk)
                    assert received == sent

    run(main)


# ---- output


def test_sending_waits_for_a_slow_reader(run):
    async def main():
        async with listen() as server:
            client = plain_client(server)
            accepted = await server.accept()
            with client:
                async with accepted, anyio.create_task_group() as tasks:
                    sent = []

                    async def produce():
                        for number in range(400):
                            await accepted.send(bytes([number % 256]) * 65536)
                            sent.append(number)
                        accepted.close()

                    tasks.start_soon(produce)
                    await anyio.sleep(0.1)
                    assert len(sent) < 400
                    assert accepted.socket.bytes_pending <= 3 * 65536
                    received = bytearray()
                    while True:
                        try:
                            chunk = client.recv(1 << 20)
                        except BlockingIOError:
                            await anyio.sleep(0.001)
                            continue
                        if not chunk:
                            break
                        received += chunk
                assert received == b"".join(bytes([number % 256]) * 65536 for number in range(400))

    run(main)


def test_what_a_cancelled_sender_gave_goes_out(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with accepted:
                async with client:
                    message = bytes(8 << 20)
                    with anyio.move_on_after(0.05) as scope:
                        await client.send(message)
                    assert scope.cancelled_caught
                    client.socket.write(b"!")
                received = bytearray()
                async for chunk in accepted:
                    received += chunk
                assert received == message + b"!"

    run(main)


def test_several_tasks_send(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with accepted:
                async with anyio.create_task_group() as tasks:

                    async def send(number):
                        for _ in range(20):
                            await client.send(bytes([number]) * 100_000)

                    async def finish():
                        async with anyio.create_task_group() as senders:
                            for number in range(5):
                                senders.start_soon(send, number)
                        client.close()

                    tasks.start_soon(finish)
                    received = bytearray()
                    async for chunk in accepted:
                        received += chunk
                assert len(received) == 5 * 20 * 100_000
                pieces = [received[i : i + 100_000] for i in range(0, len(received), 100_000)]
                assert all(len(set(piece)) == 1 for piece in pieces)

    run(main)


# ---- what never waits


async def ends_in_time(call):
    """Makes a call again and again that never waits; a timeout ends it, and another task goes on meanwhile."""
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        begun = anyio.current_time()
        with anyio.move_on_after(0.2) as scope:
            while anyio.current_time() < begun + 5:
                await call()
        assert scope.cancelled_caught
        assert ticks > 1
        tasks.cancel_scope.cancel()


def test_sending_to_one_who_reads_quickly_keeps_nobody_waiting(run):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = await aio.connect("127.0.0.1", listener.getsockname()[1])
            accepted, _ = listener.accept()

            def read():
                while accepted.recv(1 << 20):
                    pass

            thread = threading.Thread(target=read)
            thread.start()
            with accepted:
                async with client:
                    await ends_in_time(partial(client.send, bytes(100)))
                thread.join()

    run(main)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.receive(1),
        lambda it: it.receive_exactly(1),
        lambda it: it.receive_until(b"x"),
        lambda it: it.receive(0),
        lambda it: it.drain(),
    ],
)
def test_receiving_what_is_there_keeps_nobody_waiting(run, call):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:

                async def refill():
                    if accepted.socket.bytes_available < 100:
                        client.socket.write(b"x" * 30_000)
                        await until(lambda: accepted.socket.bytes_available >= 100)
                    await call(accepted)

                await ends_in_time(refill)

    run(main)


# ---- the end


def test_closing_ends_the_waits_of_others(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            errors = []

            async def expect(call):
                try:
                    await call()
                except serversocket.IOError as error:
                    errors.append(error)

            async with client, anyio.create_task_group() as tasks:
                tasks.start_soon(expect, accepted.receive)
                tasks.start_soon(expect, partial(accepted.send, bytes(32 << 20)))
                await anyio.sleep(0.02)
                accepted.abort()
                accepted.close()
            assert len(errors) == 2
            for call in (
                accepted.receive,
                partial(accepted.receive_exactly, 1),
                accepted.receive_until,
                partial(accepted.send, b"x"),
                accepted.drain,
            ):
                with pytest.raises(serversocket.IOError) as caught:
                    await call()
                errors.append(caught.value)
            for error in errors:
                assert "receive or send: the connection was closed on this side" in str(error)

    run(main)


def test_close_sends_what_is_pending(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client:
                with anyio.move_on_after(0.01):
                    await accepted.send(bytes(4 << 20))
                await accepted.aclose()
                received = 0
                async for chunk in client:
                    received += len(chunk)
            assert received == 4 << 20

    run(main)


# ---- what is forgotten


def test_forgotten_connections_are_closed(run):
    async def main():
        async with listen() as server:
            for _ in range(50):
                plain_client(server).close()
            taken = 0
            async for _ in server:
                taken += 1
                if taken == 50:
                    break
            del _
            await until(lambda: not server.server.connections)

    with pytest.warns(ResourceWarning, match="unclosed <AsyncSocket of <serversocket.Socket 127.0.0.1:") as warned:
        run(main)
    assert len(warned) == 50


def test_a_forgotten_server_stops_listening(run):
    async def main():
        server = listen()
        port = server.local_port
        with pytest.warns(ResourceWarning, match="unclosed <AsyncServer of <serversocket.ServerSocket listening"):
            del server

        async def refused():
            try:
                (await aio.connect("127.0.0.1", port)).abort()
            except serversocket.IOError as error:
                return error.errno == errno.ECONNREFUSED

        while not await refused():
            pass

    run(main)


def test_one_that_was_forgotten_in_another_thread(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            forgotten = [accepted]
            del accepted
            with pytest.warns(ResourceWarning, match="unclosed <AsyncSocket"):
                in_a_thread(forgotten.clear)
            async with client:
                assert await client.receive() == b""

    run(main)


def test_tasks_that_wait_keep_what_they_wait_for():
    async def main():
        received, served = [], []

        async def receive(client):
            async with client:
                received.append(await client.receive())

        async def handler(client):
            served.append(await client.receive())

        async def serve(server):
            async with server:
                await server.serve(handler)

        server = listen()
        port = server.local_port
        first, accepted = await pair(server)
        second = await aio.connect("127.0.0.1", port)
        asyncio.create_task(receive(accepted))  # noqa: RUF006 - nobody holds it, nor the next
        asyncio.create_task(serve(server))  # noqa: RUF006
        del server, accepted
        await asyncio.sleep(0.01)
        gc.collect()
        async with first, second:
            await first.send(b"x")
            await second.send(b"y")
            assert await first.receive() == await second.receive() == b""
        assert (received, served) == ([b"x"], [b"y"])

    asyncio.run(main())


# ---- servers


def test_serving(run):
    async def main():
        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, echo)
            for number in range(20):
                async with await aio.connect("127.0.0.1", server.local_port) as client:
                    await client.send(b"%d\n" % number)
                    assert await client.receive_until() == b"%d\n" % number
            server.close()

    run(main)


def test_clients_in_turn(run):
    async def main():
        async with listen() as server:
            clients = [await aio.connect("127.0.0.1", server.local_port) for _ in range(5)]
            ports = []
            async for accepted in server:
                ports.append(accepted.remote_port)
                accepted.close()
                if len(ports) == 5:
                    server.close()
            assert ports == [client.local_port for client in clients]
            for client in clients:
                client.close()

    run(main)


def test_more_clients_than_are_accepted_ahead(run):
    count = aio.servers.ACCEPT_AHEAD + 60

    async def main():
        async with listen() as server:
            clients = [plain_client(server) for _ in range(count)]
            await anyio.sleep(0.05)
            assert server.server.connections == aio.servers.ACCEPT_AHEAD
            ports = []
            for _ in range(count):
                async with await server.accept() as accepted:
                    ports.append(accepted.remote_port)
            assert ports == [client.getsockname()[1] for client in clients]
            for client in clients:
                client.close()

    run(main)


def test_cancelled_acceptors_lose_no_client(run):
    async def main():
        async with listen() as server:
            taken = []

            async def accept():
                while len(taken) < 60:
                    with anyio.move_on_after(0.0005):
                        taken.append(await server.accept())

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(accept)
                clients = [await aio.connect("127.0.0.1", server.local_port) for _ in range(60)]
                await until(lambda: len(taken) == 60)
                tasks.cancel_scope.cancel()
            assert {it.remote_port for it in taken} == {client.local_port for client in clients}
            for it in taken + clients:
                it.close()

    run(main)


def test_closing_a_server(run):
    async def main():
        server = listen()
        waiting = await aio.connect("127.0.0.1", server.local_port)
        await until(lambda: server.server.connections)
        async with anyio.create_task_group() as tasks:
            ended = []

            async def serve():
                await server.serve(echo)
                ended.append("served")

            async with server:
                pass
            tasks.start_soon(serve)
        assert ended == ["served"]
        with pytest.raises(serversocket.IOError, match="accept"):
            await server.accept()
        with pytest.raises(serversocket.IOError):  # nobody had taken it
            if await waiting.receive() == b"":
                raise serversocket.IOError
        waiting.close()
        server.close()

    run(main)


def test_a_server_waits_for_its_handlers(run):
    async def main():
        finished = []

        async def slow(client):
            await client.receive()
            await anyio.sleep(0.05)
            await client.send(b"done")
            finished.append(client)

        async with anyio.create_task_group() as tasks:
            server = listen()
            tasks.start_soon(server.serve, slow)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"x")
                await anyio.sleep(0.01)
                server.close()
                assert await client.receive() == b"done"
        assert len(finished) == 1
        assert not finished[0].connected

    run(main)


def test_a_cancelled_server_cancels_its_handlers(run):
    async def main():
        cancelled = []

        async def forever(client):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.append(client)
                raise

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, forever)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
        assert len(cancelled) == 1
        assert not cancelled[0].connected
        assert not client.connected

    run(main)


def test_a_handler_that_raises_harms_nobody(run, uncaught):
    async def main():
        async def handler(client):
            if await client.receive() == b"bad":
                raise ValueError("a bad client")
            await client.send(b"good")

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"bad")
                assert await client.receive() == b""
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"fine")
                assert await client.receive() == b"good"
            server.close()

    run(main)
    (record,) = uncaught
    uncaught.clear()
    assert "a bad client" in str(record.exc_info[1])
    record.exc_info = None  # pytest keeps the record, and its traceback would keep the loop


def test_clients_that_break_are_not_worth_a_word(run):
    async def main():
        ended = []

        async def handler(client):
            try:
                await echo(client)
            finally:
                ended.append(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                await anyio.sleep(0.01)
            await until(lambda: ended)
            server.close()

    run(main)  # the suite fails at a log record


async def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


async def leave(client):
    client.close()


@pytest.mark.parametrize("end", [reset, leave])
@pytest.mark.parametrize(
    "ask", [lambda it: it.receive_exactly(100), lambda it: it.receive_until(b"\n"), lambda it: echo_for_ever(it)]
)
@pytest.mark.parametrize("grouped", [False, True])
def test_how_a_client_ends_is_not_worth_a_word(run, end, ask, grouped):
    async def main():
        ended = []

        async def handler(client):
            try:
                if not grouped:
                    await ask(client)
                else:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(ask, client)
                        tasks.start_soon(anyio.sleep_forever)
            finally:
                ended.append(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                client.send(b"half a mess")
                await anyio.sleep(0.01)
                await end(client)
            await until(lambda: ended)
            server.close()

    run(main)


async def echo_for_ever(client):
    while True:
        await client.send(await client.receive())


def test_a_client_that_another_task_closes_is_over(run):
    async def main():
        serving = {}

        async def handler(client):
            serving[client.remote_port] = client
            await echo_for_ever(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await until(lambda: serving)
                serving[client.local_port].close()
                assert await client.receive() == b""
            server.close()

    run(main)


def test_what_else_is_in_a_group_is_reported(run, uncaught):
    async def main():
        async def fail():
            raise ValueError("its own")

        async def handler(client):
            group = []
            for call in (client.receive, fail):
                try:
                    await call()
                except Exception as error:
                    group.append(error)
            raise ExceptionGroup("both", group)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                await anyio.sleep(0.01)
                await reset(client)
            await until(lambda: uncaught)
            server.close()

    run(main)
    (record,) = uncaught
    uncaught.clear()
    (error,) = record.exc_info[1].exceptions
    assert str(error) == "its own"
    record.exc_info = None
    assert record.getMessage().startswith("uncaught error in the handler of <AsyncSocket of <serversocket.Socket")


def test_a_server_of_another_thread(run):
    async def main():
        async with listen() as server, await aio.connect("127.0.0.1", server.local_port):
            await until(lambda: server.server.connections)
            caught = []

            async def accept():
                try:
                    await server.accept()
                except RuntimeError as error:
                    caught.append(str(error))

            in_a_thread(lambda: asyncio.run(accept()))
            assert "thread" in caught[0]
            (await server.accept()).close()

    run(main)


def test_what_belongs_to_another_loop():
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def make():
        server = listen()
        return server, *await pair(server), ServerSocket().once("connect")

    server, client, accepted, coming = first.run_until_complete(make())
    for call in (
        server.accept,
        client.receive,
        client.receive_until,
        partial(client.send, bytes(32 << 20)),
        partial(server.serve, echo),
        lambda: coming,
    ):

        async def use(call=call):
            with pytest.raises(RuntimeError, match="belongs to another loop"):
                await call()

        second.run_until_complete(use())
    second.close()
    client.abort()
    accepted.close()
    server.close()
    first.close()
    asyncio.run(use_of_what_is_over(server, client))


async def use_of_what_is_over(server, client):
    for call in (server.accept, client.receive, partial(client.send, b"x")):
        with pytest.raises(serversocket.IOError, match=r"not open|closed on this side"):
            await call()


def test_refused_servers(run):
    async def main():
        async with listen() as server:
            with pytest.raises(serversocket.IOError) as caught:
                aio.listen(server.local_port, "127.0.0.1")
            assert caught.value.errno == errno.EADDRINUSE
            with pytest.raises(serversocket.RangeError, match="65536"):
                aio.listen(65536)
            with pytest.raises(serversocket.ArgumentError, match="localhost"):
                aio.listen(0, "localhost")
            with pytest.raises(serversocket.RangeError):
                listen(max_connections=-1)
            with pytest.raises(TypeError, match="handler must be a coroutine function, not 5"):
                await server.serve(5)

    run(main)


# ---- clients


def test_refused_connections(run):
    async def main():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError) as caught:
                await aio.connect("127.0.0.1", free.getsockname()[1])
            assert isinstance(caught.value, serversocket.IOError)
            assert caught.value.errno == errno.ECONNREFUSED
        with pytest.raises(serversocket.SecurityError, match="70000"):
            await aio.connect("127.0.0.1", 70000)
        with pytest.raises(serversocket.ArgumentError, match="no host"):
            await aio.connect("no host", 80)

    run(main)


def test_names_that_are_looked_up_in_vain(run, monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main():
        with pytest.raises(socket.gaierror, match=r"nowhere\.example:80: Name or service not known") as caught:
            await aio.connect("nowhere.example", 80)
        assert isinstance(caught.value, serversocket.IOError)
        assert (caught.value.errno, caught.value.error_id) == (socket.EAI_NONAME, 2031)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    run(main)


def test_a_connect_that_takes_too_long(run, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer.wait(PATIENCE) and [])
    monkeypatch.setattr(Socket, "_timeout", 250)

    async def main():
        with pytest.raises(TimeoutError, match=r"no answer within 0\.25 s") as caught:
            await aio.connect("slow.example", 80)
        assert isinstance(caught.value, serversocket.IOError)
        assert caught.value.errno == errno.ETIMEDOUT

    try:
        run(main)
    finally:
        answer.set()


def test_a_connection_that_is_given_up_is_closed(run):
    async def main():
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            address = full.getsockname()
            crowd = []
            for _ in range(4):  # nobody accepts: further ones get no answer
                it = socket.socket()
                it.setblocking(False)
                it.connect_ex(address)
                crowd.append(it)
            with anyio.move_on_after(0.05) as scope:
                await aio.connect(*address)
            assert scope.cancelled_caught
            for it in crowd:
                it.close()

    run(main)  # the suite fails at a descriptor that is left


# ---- single events


def test_once(run):
    async def main():
        with ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            coming = server.once("connect")
            with Socket("127.0.0.1", server.local_port) as client:
                assert (await client.once("connect")).target is client
                event = await coming
                with event.socket as accepted:
                    assert accepted.remote_port == client.local_port
                    assert not server.has_event_listener("connect")
                    more = accepted.once("socketData")
                    client.write(b"x")
                    assert (await more).bytes_loaded == 1
                    gone = client.once("close")
                    missed = client.once("socketData")
                    accepted.close()
                    assert (await gone).type == "close"
                    with pytest.raises(serversocket.IOError, match="closed before 'socketData' came"):
                        await missed
                    for each in ("connect", "close", "ioError", "socketData"):
                        assert not client.has_event_listener(each)

    run(main)


def test_once_raises_what_fails(run):
    async def main():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            it = Socket("127.0.0.1", free.getsockname()[1])
            with pytest.raises(serversocket.IOError, match="Connection refused"):
                await it.once("connect")
            it.connect("127.0.0.1", free.getsockname()[1])
            assert (await it.once("ioError")).errno == errno.ECONNREFUSED

    run(main)


def test_a_cancelled_once_listens_no_more(run):
    async def main():
        with ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            with anyio.move_on_after(0.01):
                await server.once("connect")
            assert not server.has_event_listener("connect")

    run(main)


def test_a_once_that_never_begins_listens_no_more(run):
    async def main():
        with ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await server.once("connect")
            assert not server.has_event_listener("connect")
            server.once("connect")
            assert not server.has_event_listener("connect")
            server.once("connect").close()
            assert not server.has_event_listener("connect")
            coming = server.once("connect")
            with Socket("127.0.0.1", server.local_port) as client:
                await client.once("connect")
                for _ in range(2):
                    event = await coming
                    assert event.socket.remote_port == client.local_port
                event.socket.close()

    run(main)


@pytest.mark.parametrize("library", [library for library in LIBRARIES if library != "trio"])
def test_once_is_a_task_of_asyncio(library):
    async def main():
        with ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(server.once("connect"), 0)
                assert not server.has_event_listener("connect")
            async with asyncio.TaskGroup() as tasks:
                coming = tasks.create_task(server.once("connect"))
                client = Socket("127.0.0.1", server.local_port)
                connected = tasks.create_task(client.once("connect"), name="connected")
                assert "connected" in repr(connected)
            assert connected.result().target is client
            task = asyncio.create_task(server.once("connect"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert not server.has_event_listener("connect")
            with client, coming.result().socket as accepted:
                both = asyncio.gather(client.once("socketData"), client.once("close"), return_exceptions=True)
                accepted.write(b"last")
                accepted.close()
                data, close = await both
                assert (data.type, close.type) == ("socketData", "close")

    anyio.run(main, **LIBRARIES[library])


def test_own_events_can_be_awaited(run):
    async def main():
        it = serversocket.EventDispatcher()
        coming = it.once("greeting")
        current_reactor().call_later(0.001, it.dispatch_event, serversocket.Event("greeting"))
        assert (await coming).type == "greeting"

    run(main)


def test_outside_of_coroutines():
    with pytest.raises(RuntimeError, match=r"once\(\) is for coroutines"):
        serversocket.EventDispatcher().once("connect")
    with pytest.raises(RuntimeError, match="AsyncServer is for coroutines"):
        aio.listen(0, "127.0.0.1")


def test_only_what_is_open_can_be_given(run):
    async def main():
        with pytest.raises(serversocket.IOError, match="AsyncSocket"):
            aio.AsyncSocket(Socket())
        with pytest.raises(serversocket.IOError, match="AsyncServer"):
            aio.AsyncServer(ServerSocket())

    run(main)


def test_a_socket_of_ones_own(run):
    async def main():
        async with listen() as server:
            it = Socket("127.0.0.1", server.local_port)
            await it.once("connect")
            async with aio.AsyncSocket(it) as client, await server.accept() as accepted:
                await client.send(b"x")
                assert await accepted.receive() == b"x"
                assert client.socket is it
                assert repr(client).startswith("<AsyncSocket of <serversocket.Socket 127.0.0.1:")

    run(main)


# ---- what a reactor has besides


def test_a_signal_ends_the_wait_of_a_loop(run):
    async def main():
        came = anyio.Event()
        handle = current_reactor().on_signal(signal.SIGUSR1, came.set)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        await came.wait()
        handle.cancel()
        timer.join()

    run(main)


def test_periodic_calls(run):
    async def main():
        seen = []
        handle = current_reactor().call_every(0.002, seen.append, 1)
        await until(lambda: len(seen) >= 3)
        handle.cancel()

    run(main)


def test_half_close(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                await client.send(b"question")
                await client.send_eof()
                await client.send_eof()
                assert [chunk async for chunk in accepted] == [b"question"]
                with pytest.raises(serversocket.IOError, match="write_eof was called"):
                    await client.send(b"more")
                await accepted.send(b"answer")
                assert await client.receive() == b"answer"
                await accepted.send_eof()
                assert await client.receive() == b""
                await until(lambda: not client.connected and not accepted.connected)

    run(main)


# ---- loops


def test_loops_one_after_the_other_and_in_several_threads(run):
    async def exchange():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client:
                async with accepted:
                    for _ in range(20):
                        await client.send(b"x")
                        assert await accepted.receive() == b"x"
                assert await client.receive() == b""

    run(exchange)
    failures = []

    def repeat():
        try:
            for _ in range(3):
                run(exchange)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# Echoes until it is interrupted: a loop is left by a KeyboardInterrupt, with everything closed.
INTERRUPTED = """
import logging, os, signal, threading
import anyio
from serversocket import aio

logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback was slow is no concern here

async def echo(client):
    async for chunk in client:
        await client.send(chunk)

async def exchange(server):
    async with await aio.connect("127.0.0.1", server.local_port) as client:
        while True:
            await client.send(bytes(100))
            await client.receive()

async def main():
    async with aio.listen(0, "127.0.0.1") as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, echo)
        for _ in range(3):
            tasks.start_soon(exchange, server)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        await anyio.sleep_forever()

try:
    anyio.run(main, **OPTIONS)
except KeyboardInterrupt:
    print("interrupted")
except BaseExceptionGroup as group:
    print("interrupted" if group.split(KeyboardInterrupt)[1] is None else group)
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_ctrl_c_under_load(library):
    options = LIBRARIES[library]
    if library == "uvloop":
        pytest.importorskip("uvloop")
    program = INTERRUPTED.replace("OPTIONS", repr(options))
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)


# ---- tasks that come a batch later


def test_a_peer_that_answers_and_leaves_at_once_is_connected_to(run):
    """It may have gone before the task that connects has its turn."""
    program = "import socket, sys\n" + textwrap.dedent(
        """
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            client = listener.accept()[0]
            client.sendall(b"hello")
            client.close()
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as peer:
        port = int(peer.stdout.readline())

        async def main():
            for _ in range(100):
                async with await aio.connect("127.0.0.1", port) as client:
                    assert await client.receive_exactly(5) == b"hello"
                    assert await client.receive() == b""

        try:
            run(main)
        finally:
            peer.kill()


@pytest.mark.parametrize("limit", [1000, 70_000, 200_000])
@pytest.mark.parametrize("exactly", [False, True])
def test_a_receiver_gets_no_more_than_it_can_keep(run, limit, exactly):
    size = 25 * limit

    async def main():
        async with listen() as server:
            peer = plain_client(server)
            peer.setblocking(True)
            async with await server.accept() as client:
                client.socket.buffer_limit = limit
                thread = threading.Thread(target=lambda: (peer.sendall(bytes(size)), peer.close()))
                thread.start()
                received = 0
                while received < size:
                    received += len(await (client.receive_exactly(limit) if exactly else client.receive()))
                    await anyio.lowlevel.checkpoint()
                assert await client.receive() == b""
                assert received == size
                thread.join()

    run(main)


def test_what_the_socket_may_not_keep_is_not_waited_for(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                accepted.socket.buffer_limit = 1000
                with pytest.raises(serversocket.RangeError, match="size must be 0 to 1000, not 1001"):
                    await accepted.receive_exactly(1001)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.send, bytes(3000))
                    with pytest.raises(serversocket.RangeError, match=r"no b'\\n' in the first 1000 bytes"):
                        await accepted.receive_until()
                assert await accepted.receive_exactly(1000) == bytes(1000)

                assert await accepted.receive_exactly(1000) == bytes(1000)
                assert await accepted.receive_exactly(1000) == bytes(1000)

                async def lower_the_limit():
                    await anyio.sleep(0.01)
                    accepted.socket.buffer_limit = 500
                    await client.send(bytes(3000))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lower_the_limit)
                    with pytest.raises(serversocket.RangeError, match="size must be 0 to 500, not 1000"):
                        await accepted.receive_exactly(1000)

    run(main)


@pytest.mark.parametrize("call", ["receive_exactly", "receive_until", "receive"])
def test_two_receivers_of_whom_one_lets_others_run_first(run, call):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                for allowed in range(3):  # one of them lets others run, or both
                    ended = []
                    accepted._library.unwaited = accepted._library.allowance - allowed + 1

                    async def receive(call, *arguments, ended=ended):
                        try:
                            ended.append(await getattr(accepted, call)(*arguments))
                        except RuntimeError as error:
                            ended.append(str(error))

                    async with anyio.create_task_group() as tasks:
                        for each in (call, "receive"):
                            tasks.start_soon(receive, each, *{"receive_exactly": (10,)}.get(each, ()))
                        await anyio.sleep(0.02)
                        await client.send(b"012345678\n")
                        await until(lambda: len(ended) == 2)  # noqa: B023
                    (refused,) = [each for each in ended if isinstance(each, str)]
                    assert "another task is receiving" in refused
                    assert b"".join(each for each in ended if isinstance(each, bytes)) == b"012345678\n"

    run(main)


def test_who_reads_what_is_there_while_another_closes_hears_of_the_close(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            errors = []

            async def read():
                try:
                    while await accepted.receive(1):
                        pass
                except serversocket.IOError as error:
                    errors.append(accepted._flow.besides_end(error))

            async with client, anyio.create_task_group() as tasks:
                await client.send(bytes(60_000))
                await until(lambda: accepted.socket.bytes_available)
                tasks.start_soon(read)
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                accepted.close()
            assert errors == [None]

    run(main)


def test_once_of_what_is_no_type_leaves_no_listeners(run):
    async def main():
        socket = Socket()
        for _ in range(10):
            with pytest.raises(TypeError):
                socket.once(7)
        assert not socket.has_event_listener("ioError")
        assert not socket.has_event_listener("close")

    run(main)


@pytest.mark.parametrize("call", ["receive_exactly", "receive"])
def test_a_reset_that_a_sender_hears_of_first_is_no_end(run, call):
    async def main():
        async with listen() as server:
            peer = plain_client(server)
            async with await server.accept() as client:
                told = []

                async def receive():
                    arguments = (100,) if call == "receive_exactly" else ()
                    try:
                        while chunk := await getattr(client, call)(*arguments):
                            told.append(chunk)
                    except OSError as error:
                        told.append(error.errno)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    peer.send(b"half of a mess")
                    await until(lambda: client.socket.bytes_available or told)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    peer.close()
                    with suppress(OSError):
                        await client.send(b"ping")
                assert told[-1] == errno.ECONNRESET

    run(main)


def test_a_client_that_no_acceptor_takes_any_more_is_served(run):
    async def main():
        served = []

        async def handler(client):
            served.append(client)

        async with listen() as server, anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, handler)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as accepting:
                    accepting.start_soon(server.accept)
                    await anyio.wait_all_tasks_blocked()
                    with plain_client(server):
                        time.sleep(0.01)  # noqa: ASYNC251 - the client waits when the acceptor is cancelled
                        scope.cancel()
            with plain_client(server):
                await until(lambda: len(served) == 2)
            server.close()

    run(main)


def test_a_socket_that_was_paused_is_received_from(run):
    async def main():
        sockets = []

        def take(event):
            event.socket.pause()
            sockets.append(event.socket)

        with ServerSocket() as server:
            server.add_event_listener("connect", take)
            server.bind(0, "127.0.0.1")
            server.listen()
            with socket.create_connection(("127.0.0.1", server.local_port)) as peer:
                peer.sendall(b"hello")
                await until(lambda: sockets)
                async with aio.AsyncSocket(sockets[0]) as client:
                    assert await client.receive_exactly(5) == b"hello"

    run(main)


def test_the_names_of_actionscript(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                assert accepted.remotePort == client.local_port
                assert server.localPort == client.remote_port
                await client.send(b"hello\n")
                assert await accepted.receiveUntil(b"\n") == b"hello\n"

    run(main)
