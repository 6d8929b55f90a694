"""Single events that coroutines await."""

from __future__ import annotations

import asyncio
import errno
import socket

import anyio
import pytest

import serversocket
from serversocket import Socket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import listening
from .conftest import LIBRARIES


def test_once(run):
    async def main():
        with listening() as server:
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
        with listening() as server:
            with anyio.move_on_after(0.01):
                await server.once("connect")
            assert not server.has_event_listener("connect")

    run(main)


def test_a_once_that_never_begins_listens_no_more(run):
    async def main():
        with listening() as server:
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
        with listening() as server:
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


def test_once_of_what_is_no_type_leaves_no_listeners(run):
    async def main():
        socket = Socket()
        for _ in range(10):
            with pytest.raises(TypeError):
                socket.once(7)
        assert not socket.has_event_listener("ioError")
        assert not socket.has_event_listener("close")

    run(main)
