"""What the tests of coroutines share: connections, plain peers, and waiting without timing."""

from __future__ import annotations

import socket
import struct
import threading

import anyio
import anyio.lowlevel

from serversocket import aio

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
