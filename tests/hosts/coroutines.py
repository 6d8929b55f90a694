"""What the tests of coroutines share: connections, plain peers, and waiting without timing."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from serversocket import aio

from ..behaviour.helpers import PATIENCE

RESET = struct.pack("ii", 1, 0)


def listen(**options):
    return aio.listen(0, "127.0.0.1", **options)


async def pair(server):
    """Both ends of a new connection."""
    client = await aio.connect("127.0.0.1", server.local_port)
    return client, await server.accept()


@asynccontextmanager
async def ends():
    """Both ends of a connection, for the test to close; its server is closed in the end."""
    async with listen() as server:
        yield await pair(server)


@asynccontextmanager
async def connection():
    """Both ends of a connection, which are closed in the end."""
    async with ends() as (client, accepted), client, accepted:
        yield client, accepted


def plain_client(server):
    client = socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE)
    client.setblocking(False)
    return client


def no_delay(it):
    """TCP_NODELAY of a `Socket`, as the system has it."""
    with socket.socket(fileno=os.dup(it.fileno())) as same:
        return same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


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


async def received_by(peer):
    """What a plain peer receives until the end."""
    received = bytearray()
    while True:
        try:
            chunk = peer.recv(1 << 20)
        except BlockingIOError:
            await anyio.sleep(0.001)
            continue
        if not chunk:
            return received
        received += chunk


async def lets_others_run(call):
    """Makes a call again and again that never waits: another task gets its turns meanwhile, and can cancel this one."""

    async def cancel_after_some_turns(scope):
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(cancel_after_some_turns, scope)
            for _ in range(10_000):
                await call()
        assert scope.cancelled_caught
