"""What coroutines send."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import serversocket
from serversocket import aio

from .coroutines import connection, ends, in_a_thread, lets_others_run, listen, pair, plain_client, received_by, until


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
                    received = await received_by(client)
                assert received == b"".join(bytes([number % 256]) * 65536 for number in range(400))

    run(main)


def test_what_a_cancelled_sender_gave_goes_out(run):
    async def main():
        async with ends() as (client, accepted), accepted:
            message = bytes(8 << 20)
            with anyio.move_on_after(0.05) as scope:
                await client.send(message)
            assert scope.cancelled_caught
            client.socket.write(b"!")
            client.close()
            received = bytearray()
            async for chunk in accepted:
                received += chunk
            assert received == message + b"!"

    run(main)


def test_several_tasks_send(run):
    async def main():
        async with ends() as (client, accepted), accepted:
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
                    await lets_others_run(partial(client.send, bytes(100)))
                thread.join()

    run(main)


# ---- without waiting


@asynccontextmanager
async def clogged():
    """A connection whose peer reads nothing, with output pending that the system does not take."""
    async with listen() as server:
        with plain_client(server) as peer:
            accepted = await server.accept()
            while accepted.send_nowait(bytes(65536)):
                await anyio.lowlevel.checkpoint()
            yield peer, accepted


def test_sending_without_waiting(run):
    async def main():
        async with connection() as (client, accepted):
            for data in (b"bytes ", bytearray(b"of "), memoryview(b"any "), b"", serversocket.ByteArray(b"kind")):
                assert client.send_nowait(data) is True
            assert await accepted.receive_exactly(17) == b"bytes of any kind"

    run(main)


def test_a_peer_that_does_not_keep_up_is_told_by_false(run):
    async def main():
        async with clogged() as (peer, accepted), accepted:
            below = accepted.socket
            before = below.bytes_pending
            below.high_water_mark = before + 10
            assert accepted.send_nowait(b"x" * 10) is True  # as much as the mark is not more than the mark
            assert accepted.send_nowait(b"x") is False
            assert accepted.send_nowait(b"") is False
            assert below.bytes_pending == before + 11
            below.high_water_mark = 0
            assert accepted.send_nowait(b"x") is False
            written = below.bytes_pending

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(received_by, peer)
                await accepted.drain()
                assert below.bytes_pending == 0 < written
                below.high_water_mark = 3
                assert accepted.send_nowait(b"end") is True
                await accepted.send_eof()

    run(main)


def test_what_is_sent_without_waiting_arrives_whole_and_in_order(run):
    async def main():
        async with ends() as (client, accepted):
            message = bytes(range(256)) * 4096
            told = []

            async def produce():
                for number in range(30):  # more than the system takes of what nobody fetches
                    told.append(client.send_nowait(message[number:]))
                    if not told[-1]:
                        await client.drain()
                await client.send_eof()

            async with client, accepted, anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                await until(lambda: False in told)
                received = b"".join([chunk async for chunk in accepted])
            assert received == b"".join(message[number:] for number in range(30))

    run(main)


def test_what_cannot_be_sent_without_waiting(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                for data in ("text", None, 5):
                    with pytest.raises(TypeError, match="data must be bytes-like"):
                        client.send_nowait(data)
                await client.send_eof()
                with pytest.raises(serversocket.IOError, match="write_eof was called"):
                    client.send_nowait(b"x")
                client.close()
                with pytest.raises(serversocket.IOError, match="the connection was closed on this side"):
                    client.send_nowait(b"x")
            client, accepted = await pair(server)
            async with client:
                accepted.abort()
                with pytest.raises(serversocket.IOError):
                    await client.receive()
                with pytest.raises(serversocket.IOError) as caught:
                    client.send_nowait(b"x")
                assert caught.value.errno == errno.ECONNRESET

    run(main)


def test_more_than_may_be_kept_is_refused_and_breaks_the_connection(run):
    async def main():
        async with clogged() as (peer, accepted):
            async with accepted:
                accepted.socket.buffer_limit = accepted.socket.bytes_pending + 1000
                assert accepted.send_nowait(bytes(1000)) is False
                with pytest.raises(serversocket.IOError) as caught:
                    accepted.send_nowait(b"x")
                assert caught.value.errno == errno.ENOBUFS
                with pytest.raises(serversocket.IOError) as caught:
                    await accepted.drain()
                    await accepted.receive()
                assert caught.value.errno == errno.ENOBUFS
            with pytest.raises(ConnectionResetError):
                await received_by(peer)

    run(main)


def test_sending_from_a_listener_and_from_another_thread(run):
    async def main():
        async with connection() as (client, accepted):
            client.socket.reactor.call_later(0, client.send_nowait, b"from a call of the reactor's")
            assert await accepted.receive() == b"from a call of the reactor's"
            errors = []

            def send():
                try:
                    client.send_nowait(b"x")
                except RuntimeError as error:
                    errors.append(str(error))

            in_a_thread(send)
            assert "thread" in errors[0]

    run(main)


def test_sending_without_waiting_and_draining_keeps_nobody_waiting(run):
    async def main():
        async with ends() as (client, accepted):

            async def send():
                client.send_nowait(b"x")
                await client.drain()

            async with client, accepted:
                await lets_others_run(send)

    run(main)
