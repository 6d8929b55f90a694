"""What coroutines receive."""

from __future__ import annotations

import socket
import threading
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import serversocket
from serversocket import ServerSocket, aio

from .coroutines import connection, ends, lets_others_run, listen, plain_client, until


def test_what_arrives_is_received(run):
    async def main():
        async with connection() as (client, accepted):
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
        async with connection() as (client, accepted), anyio.create_task_group() as tasks:
            received = []

            async def receive():
                received.append(await accepted.receive())

            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            assert received == []
            await client.send(b"late")
        assert received == [b"late"]

    run(main)


def test_the_end_of_a_stream_is_empty_and_stays(run):
    async def main():
        async with ends() as (client, accepted), accepted:
            async with client:
                await client.send(b"last words")
            assert [chunk async for chunk in accepted] == [b"last words"]
            assert await accepted.receive() == b""
            assert await accepted.receive() == b""

    run(main)


def test_so_many_bytes(run):
    async def main():
        async with connection() as (client, accepted), anyio.create_task_group() as tasks:
            message = bytes(range(256)) * 4096
            tasks.start_soon(client.send, message)
            assert await accepted.receive_exactly(0) == b""
            assert await accepted.receive_exactly(1) == message[:1]
            assert await accepted.receive_exactly(len(message) - 1) == message[1:]

    run(main)


def test_too_few_bytes_consume_nothing(run):
    async def main():
        async with ends() as (client, accepted), accepted:
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
        async with connection() as (client, accepted), anyio.create_task_group() as tasks:

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
        async with connection() as (client, accepted):
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
        async with connection() as (client, accepted):
            await client.send(b"kept")
            with pytest.raises(error, match=text):
                await call(accepted)
            assert await accepted.receive() == b"kept"

    run(main)


def test_one_task_receives(run):
    async def main():
        async with connection() as (client, accepted), anyio.create_task_group() as tasks:
            tasks.start_soon(accepted.receive)
            await anyio.wait_all_tasks_blocked()
            for call in (accepted.receive, partial(accepted.receive_exactly, 1), accepted.receive_until):
                with pytest.raises(RuntimeError, match="another task is receiving"):
                    await call()
            await client.send(b"x")

    run(main)


def test_cancelled_receivers_lose_nothing(run):
    total = 200_000

    async def main():
        async with ends() as (client, accepted):
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
        async with connection() as (client, accepted):

            async def refill():
                if accepted.socket.bytes_available < 100:
                    client.socket.write(b"x" * 30_000)
                    await until(lambda: accepted.socket.bytes_available >= 100)
                await call(accepted)

            await lets_others_run(refill)

    run(main)


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
        async with connection() as (client, accepted):
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
        async with connection() as (client, accepted):
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
