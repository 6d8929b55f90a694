"""What coroutines send."""

from __future__ import annotations

import socket
import threading
from functools import partial

import anyio

from serversocket import aio

from .coroutines import lets_others_run, listen, pair, plain_client


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
