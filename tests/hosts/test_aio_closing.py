"""What leaving and closing wait for, and that closing the sockets below wakes the coroutines that wait."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import asynccontextmanager

import anyio
import pytest

import serversocket
from serversocket import IOError, Socket, aio

from ..behaviour.helpers import listening
from .coroutines import PATIENCE, ends, listen, pair, plain_client, until

SIZE = 8_000_000  # bytes: more than the system takes while the peer reads nothing


@asynccontextmanager
async def congested():
    """A plain client that reads nothing, and a connection that has more pending than the system takes."""
    async with listen() as server:
        with plain_client(server) as peer:
            accepted = await server.accept()
            accepted.socket.high_water_mark = SIZE
            await accepted.send(bytes(SIZE))
            assert accepted.socket.bytes_pending
            yield peer, accepted


async def received(peer):
    """How many bytes a plain client gets up to the end of its stream."""
    size = 0
    while True:
        try:
            chunk = peer.recv(262144)
        except BlockingIOError:
            await anyio.sleep(0.001)
        else:
            if not chunk:
                return size
            size += len(chunk)


async def leave(accepted):
    async with accepted:
        pass


async def close_twice(accepted):
    accepted.close()
    await accepted.aclose()


@pytest.mark.parametrize("way", [aio.AsyncSocket.aclose, leave, close_twice])
def test_it_waits_until_the_system_has_taken_everything(run, way):
    async def main():
        async with congested() as (peer, accepted):
            over = []

            async def end():
                await way(accepted)
                over.append(accepted.socket.reactor.bytes_kept)

            async with anyio.create_task_group() as group:
                group.start_soon(end)
                await until(lambda: not accepted.connected)
                assert not over
                assert await received(peer) == SIZE
            assert over == [0]

    run(main)


def test_it_does_not_wait_where_nothing_is_pending(run):
    async def main():
        async with ends() as (client, accepted):
            await accepted.send(b"short")
            await accepted.aclose()
            assert await client.receive_exactly(5) == b"short"
            await client.aclose()

    run(main)


def test_who_is_cancelled_while_closing_resets(run):
    async def main():
        async with congested() as (peer, accepted):
            async with anyio.create_task_group() as group:
                group.start_soon(accepted.aclose)
                await until(lambda: not accepted.connected)
                group.cancel_scope.cancel()
            with pytest.raises(ConnectionResetError):
                await received(peer)
            assert not accepted.socket.reactor.bytes_kept

    run(main)


def test_who_is_cancelled_inside_resets(run):
    async def main():
        async with congested() as (peer, accepted):

            async def serve():
                async with accepted:
                    await anyio.sleep_forever()

            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            with pytest.raises(ConnectionResetError):
                await received(peer)

    run(main)


def test_abort_after_close_resets(run):
    async def main():
        async with congested() as (peer, accepted):
            accepted.close()
            accepted.abort()
            with pytest.raises(ConnectionResetError):
                await received(peer)
            await accepted.aclose()

    run(main)


def test_a_peer_that_goes_meanwhile_ends_the_wait(run):
    async def main():
        async with congested() as (peer, accepted), anyio.create_task_group() as group:
            group.start_soon(accepted.aclose)
            await until(lambda: not accepted.connected)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

    run(main)


def test_the_end_of_a_handler_waits(run):
    async def main():
        async with listen() as server:

            async def handler(accepted):
                accepted.socket.high_water_mark = SIZE
                await accepted.send(bytes(SIZE))
                server.close()

            with plain_client(server) as peer:
                async with anyio.create_task_group() as group:
                    group.start_soon(server.serve, handler)
                    await until(lambda: not server.server.listening)
                    assert await received(peer) == SIZE

    run(main)


# ---- closed below


def close(it):
    it.close()


def abort(it):
    it.abort()


def connect_elsewhere(it):
    it.connect("127.0.0.1", 9)


def close_reactor(it):
    it.reactor.close()


@pytest.mark.parametrize("below", [close, abort, connect_elsewhere])
@pytest.mark.parametrize("call", ["receive", "receive_exactly", "receive_until", "send", "drain"])
def test_closing_the_socket_wakes_who_waits(run, call, below):
    arguments = {"receive_exactly": (5,), "send": (bytes(SIZE),)}.get(call, ())

    async def main():
        async with listen() as server:
            peer, accepted = plain_client(server), await server.accept()
            with peer:
                if call == "drain":
                    accepted.socket.write(bytes(SIZE))
                raised = []

                async def wait():
                    with pytest.raises(IOError, match="closed on this side") as caught:
                        await getattr(accepted, call)(*arguments)
                    raised.append(caught.value.error_id)

                async with anyio.create_task_group() as group:
                    group.start_soon(wait)
                    await anyio.wait_all_tasks_blocked()
                    below(accepted.socket)
                    assert not raised  # never from inside the call
                assert raised == [2002]
                accepted.socket.close() if accepted.socket._opened else None
                with pytest.raises(IOError, match="closed on this side"):
                    await accepted.receive()

    run(main)


@pytest.mark.parametrize("waiting", ["accept", "once"])
def test_closing_the_server_wakes_who_waits(run, waiting):
    async def main():
        server = listen()

        async def wait():
            with pytest.raises(IOError, match=waiting):
                await (server.accept() if waiting == "accept" else server.server.once("close"))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            server.server.close()
        with pytest.raises(IOError, match="accept"):
            await server.accept()

    run(main)


def test_closing_the_server_below_ends_serve(run):
    async def main():
        server = listen()
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, aio.AsyncSocket.receive)
            await anyio.wait_all_tasks_blocked()
            server.server.close()

    run(main)


def test_a_server_that_is_used_again_below_does_not_come_back(run):
    async def main():
        server = listen()
        server.server.close()
        server.server.bind(0, "127.0.0.1")
        server.server.listen()
        with pytest.raises(IOError, match="accept"):
            await server.accept()
        server.server.close()

    run(main)


def test_closing_a_socket_wakes_who_waits_for_an_event_of_it(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)

            async def wait():
                with pytest.raises(IOError, match="closed on this side before 'socketData' came"):
                    await it.once("socketData")

            async with client, accepted:
                it = Socket("127.0.0.1", server.local_port)
                await it.once("connect")
                async with anyio.create_task_group() as group:
                    group.start_soon(wait)
                    await anyio.wait_all_tasks_blocked()
                    it.close()

    run(main)


def test_closing_the_reactor_wakes_who_waits():
    async def main():
        server = listen()
        client, accepted = await pair(server)
        tasks = [asyncio.create_task(call()) for call in (client.receive, accepted.receive, server.accept)]
        await asyncio.sleep(0)
        server.server.reactor.close()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in done] == [IOError] * 3

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "slow.example"])
def test_closing_the_reactor_wakes_who_connects(monkeypatch, host):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer.wait(PATIENCE) and [])

    async def main():
        with socket.socket() as full, socket.socket() as first:  # nobody accepts: the queue of one is full
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            first.connect(full.getsockname())
            task = asyncio.create_task(aio.connect(host, full.getsockname()[1]))
            await asyncio.sleep(0)
            serversocket.Socket().reactor.close()
            with pytest.raises(IOError, match="closed on this side"):
                await task

    try:
        asyncio.run(main())
    finally:
        answer.set()


def test_a_number_that_is_given_out_again_wakes_who_waited():
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            task = asyncio.create_task(accepted.receive())
            await asyncio.sleep(0)
            socket.close(accepted.socket.fileno())
            other = await aio.connect("127.0.0.1", server.local_port)
            async with other, await server.accept():
                with pytest.raises(IOError, match="closed on this side"):
                    await task
            await client.aclose()

    asyncio.run(main())


def test_a_listener_may_close_what_a_coroutine_waits_for(run):
    async def main():
        async with listen() as server:
            peer = plain_client(server)
            accepted = await server.accept()
            accepted.socket.add_event_listener("socketData", lambda event: event.target.close(), priority=1)
            with peer:
                peer.send(b"x")
                with pytest.raises(serversocket.IOError, match="closed on this side"):
                    await accepted.receive_exactly(2)

    run(main)


def test_a_plain_server_tells_its_own_event_to_once(run):
    async def main():
        with listening() as server:
            coming = server.once("connect")
            with Socket("127.0.0.1", server.local_port):
                (await coming).socket.close()

    run(main)
