"""What becomes of the errors of a server's handlers."""

from __future__ import annotations

import socket

import anyio
import pytest

from serversocket import aio

from .coroutines import RESET, echo, listen, plain_client, until


def test_a_handler_that_raises_harms_nobody(run, uncaught):
    async def main():
        async def handler(client):
            if await client.receive() == b"bad":
                raise ValueError("a bad client")
            await client.send(b"good")

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"bad")
                assert await client.receive() == b""
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"fine")
                assert await client.receive() == b"good"
            server.close()

    run(main)
    (record,) = uncaught
    uncaught.clear()
    assert "a bad client" in str(record.exc_info[1])
    record.exc_info = None  # pytest keeps the record, and its traceback would keep the loop


def test_clients_that_break_are_not_worth_a_word(run):
    async def main():
        begun, ended = anyio.Event(), []

        async def handler(client):
            begun.set()
            try:
                await echo(client)
            finally:
                ended.append(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                await begun.wait()
            await until(lambda: ended)
            server.close()

    run(main)  # the suite fails at a log record


async def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


async def leave(client):
    client.close()


@pytest.mark.parametrize("end", [reset, leave])
@pytest.mark.parametrize(
    "ask", [lambda it: it.receive_exactly(100), lambda it: it.receive_until(b"\n"), lambda it: echo_for_ever(it)]
)
@pytest.mark.parametrize("grouped", [False, True])
def test_how_a_client_ends_is_not_worth_a_word(run, end, ask, grouped):
    async def main():
        begun, ended = anyio.Event(), []

        async def handler(client):
            begun.set()
            try:
                if not grouped:
                    await ask(client)
                else:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(ask, client)
                        tasks.start_soon(anyio.sleep_forever)
            finally:
                ended.append(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                client.send(b"half a mess")
                await begun.wait()
                await end(client)
            await until(lambda: ended)
            server.close()

    run(main)


async def echo_for_ever(client):
    while True:
        await client.send(await client.receive())


def test_a_client_that_another_task_closes_is_over(run):
    async def main():
        serving = {}

        async def handler(client):
            serving[client.remote_port] = client
            await echo_for_ever(client)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await until(lambda: serving)
                serving[client.local_port].close()
                assert await client.receive() == b""
            server.close()

    run(main)


def test_what_else_is_in_a_group_is_reported(run, uncaught):
    async def main():
        async def fail():
            raise ValueError("its own")

        begun = anyio.Event()

        async def handler(client):
            begun.set()
            group = []
            for call in (client.receive, fail):
                try:
                    await call()
                except Exception as error:
                    group.append(error)
            raise ExceptionGroup("both", group)

        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, handler)
            with plain_client(server) as client:
                await begun.wait()
                await reset(client)
            await until(lambda: uncaught)
            server.close()

    run(main)
    (record,) = uncaught
    uncaught.clear()
    (error,) = record.exc_info[1].exceptions
    assert str(error) == "its own"
    record.exc_info = None
    assert record.getMessage().startswith("uncaught error in the handler of <AsyncSocket of <serversocket.Socket")


def test_a_handler_that_is_no_coroutine_function_is_named(run, uncaught):
    async def main():
        async with anyio.create_task_group() as tasks, listen() as server:
            tasks.start_soon(server.serve, lambda client: None)
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                assert await client.receive() == b""
            server.close()

    run(main)
    (record,) = uncaught
    uncaught.clear()
    assert "what the handler returns must be awaitable: make it an `async def`" in str(record.exc_info[1])
    record.exc_info = None


def test_the_port_that_is_refused_is_called_as_the_argument(run):
    async def main():
        with pytest.raises(TypeError, match=r"^port must be "):
            aio.listen("127.0.0.1", 8000)

    run(main)
