"""How connections of coroutines end: by either side, by a reset, or forgotten."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from contextlib import suppress
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import serversocket
from serversocket import aio

from .coroutines import RESET, connection, ends, in_a_thread, listen, pair, plain_client, until


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
        async with ends() as (client, accepted):
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


def test_half_close(run):
    async def main():
        async with connection() as (client, accepted):
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


def test_closing_ends_the_waits_of_others(run):
    async def main():
        async with ends() as (client, accepted):
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


def test_who_reads_what_is_there_while_another_closes_hears_of_the_close(run):
    async def main():
        async with ends() as (client, accepted):
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


def test_close_sends_what_is_pending(run):
    async def main():
        async with ends() as (client, accepted):
            async with client:
                with anyio.move_on_after(0.01):
                    await accepted.send(bytes(4 << 20))
                accepted.close()
                received = 0
                async for chunk in client:
                    received += len(chunk)
            assert received == 4 << 20

    run(main)


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
        async with ends() as (client, accepted):
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
