"""Servers for coroutines: accepting, serving, closing."""

from __future__ import annotations

import asyncio
import errno
from contextlib import ExitStack

import anyio
import pytest

import serversocket
from serversocket import aio

from .coroutines import echo, in_a_thread, listen, pair, plain_client, until


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
            clients = [stack.enter_context(plain_client(server)) for _ in range(count)]
            await until(lambda: server.server.connections >= aio.servers.ACCEPT_AHEAD)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert server.server.connections == aio.servers.ACCEPT_AHEAD
            ports = []
            for _ in range(count):
                async with await server.accept() as accepted:
                    ports.append(accepted.remote_port)
            assert ports == [client.getsockname()[1] for client in clients]

    with ExitStack() as stack:
        run(main)


def test_cancelled_acceptors_lose_no_client(run):
    async def main():
        async with listen() as server:
            taken, cancelled = [], []
            scopes = [anyio.CancelScope() for _ in range(3)]

            async def accept(number):
                while len(taken) < 60:
                    with anyio.CancelScope() as scopes[number]:
                        taken.append(await server.accept())
                    cancelled.append(scopes[number].cancelled_caught)

            def cancel(event):
                scopes[event.socket.remote_port % 3].cancel()

            for priority in (1, -1):  # before an acceptor is told of the client, and after
                server.server.add_event_listener("connect", cancel, False, priority)
            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(accept, number)
                clients = []
                for number in range(60):
                    await anyio.wait_all_tasks_blocked()
                    scopes[number % 3].cancel()
                    clients.append(await aio.connect("127.0.0.1", server.local_port))
                await until(lambda: len(taken) == 60)
                tasks.cancel_scope.cancel()
            assert any(cancelled)
            assert {it.remote_port for it in taken} == {client.local_port for client in clients}
            for it in taken + clients:
                it.close()

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
                    with plain_client(server):  # which waits when the acceptor is cancelled
                        scope.cancel()
            with plain_client(server):
                await until(lambda: len(served) == 2)
            server.close()

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
        begun, closed, finished = anyio.Event(), anyio.Event(), []

        async def slow(client):
            await client.receive()
            begun.set()
            await closed.wait()
            await client.send(b"done")
            finished.append(client)

        async with anyio.create_task_group() as tasks:
            server = listen()
            tasks.start_soon(server.serve, slow)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"x")
                await begun.wait()
                server.close()
                closed.set()
                assert await client.receive() == b"done"
        assert len(finished) == 1
        assert not finished[0].connected

    run(main)


def test_a_cancelled_server_cancels_its_handlers(run):
    async def main():
        begun, cancelled = anyio.Event(), []

        async def forever(client):
            begun.set()
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.append(client)
                raise

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, forever)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await begun.wait()
                tasks.cancel_scope.cancel()
        assert len(cancelled) == 1
        assert not cancelled[0].connected
        assert not client.connected

    run(main)


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


def test_the_names_of_actionscript(run):
    async def main():
        async with listen() as server:
            client, accepted = await pair(server)
            async with client, accepted:
                assert accepted.remotePort == client.local_port
                assert server.localPort == client.remote_port
                assert client.sendNowait(b"hello\n")
                assert await accepted.receiveUntil(b"\n") == b"hello\n"

    run(main)
