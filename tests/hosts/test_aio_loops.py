"""Loops that run coroutines: several of them, signals, timers, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import anyio
import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import complaints
from .conftest import LIBRARIES
from .coroutines import PATIENCE, echo, ends, listen, pair, until


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


def test_loops_one_after_the_other_and_in_several_threads(run):
    async def exchange():
        async with ends() as (client, accepted), client:
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
import os, signal, threading
import anyio
from serversocket import aio

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
    assert (ended.stdout, complaints(ended.stderr), ended.returncode) == ("interrupted\n", "", 0)
