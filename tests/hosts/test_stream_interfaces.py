"""Connections and servers behind the interfaces of trio and of anyio."""

from __future__ import annotations

import socket
import struct

import anyio
import anyio.abc
import pytest
from anyio.abc import SocketAttribute

import serversocket
from serversocket import aio

from ..behaviour.helpers import PATIENCE, unused_port
from .coroutines import no_delay

RESET = struct.pack("ii", 1, 0)

trio = pytest.importorskip("trio", reason="needs trio")
testing = pytest.importorskip("trio.testing")

import serversocket.aio.anyio as on_anyio  # noqa: E402
import serversocket.aio.trio as on_trio  # noqa: E402

# ---- trio


async def trio_pair():
    async with await on_trio.open_tcp_listener(0, "127.0.0.1") as listener:
        client = await on_trio.open_tcp_stream("127.0.0.1", listener.server.local_port)
        return client, await listener.accept()


async def clogged_trio_pair():
    ends = await trio_pair()
    for stream in ends:
        below, settled = stream.socket.socket, 0
        while settled < 10:  # the system may find room for more yet
            before = below.bytes_pending
            while not below.congested:
                with trio.move_on_after(0.02):
                    await stream.send_all(bytes(65536))
            await trio.sleep(0.01)
            settled = settled + 1 if below.bytes_pending == before else 0
    return ends


def test_trios_own_checks_of_streams():
    async def main():
        with trio.fail_after(PATIENCE):
            await testing.check_half_closeable_stream(trio_pair, clogged_trio_pair)

    trio.run(main)


def test_trio_serves_and_connects():
    async def echo(stream):
        assert isinstance(stream, on_trio.SocketStream)
        async for chunk in stream:
            await stream.send_all(chunk)

    async def main():
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                listener = await on_trio.open_tcp_listener(0, "127.0.0.1", backlog=5)
                nursery.start_soon(trio.serve_listeners, echo, [listener])
                stream = await on_trio.open_tcp_stream("localhost", listener.server.local_port)
                async with stream:
                    await stream.send_all(b"hello")
                    assert await stream.receive_some(3) == b"hel"
                    assert await stream.receive_some() == b"lo"
                    await stream.send_eof()
                    assert await stream.receive_some() == b""
                nursery.cancel_scope.cancel()
            await listener.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

    trio.run(main)


def test_trios_staple_of_bad_input():
    async def main():
        client, accepted = await trio_pair()
        async with client, accepted:
            for size in (0, -1):
                with pytest.raises(ValueError, match=f"max_bytes: {size} is not positive"):
                    await client.receive_some(size)
            with pytest.raises(serversocket.IOError, match=r"#2002"):
                on_trio.SocketStream(serversocket.Socket())
            assert repr(client).startswith("<serversocket.aio.trio.SocketStream of <serversocket.Socket 127.0.0.1:")

    trio.run(main)


def test_trios_small_writes_leave_at_once():
    async def main():
        client, accepted = await trio_pair()
        async with client, accepted:
            assert no_delay(client.socket.socket)
            assert no_delay(accepted.socket.socket)

    trio.run(main)


def test_trio_connects_from_an_address_and_a_port_of_this_machine():
    async def main():
        async with await on_trio.open_tcp_listener(0, "127.0.0.1") as listener:
            port = unused_port()
            options = {"local_address": "127.0.0.1", "local_port": port}
            client = await on_trio.open_tcp_stream("127.0.0.1", listener.server.local_port, **options)
            async with client, await listener.accept() as accepted:
                assert (accepted.socket.remote_address, accepted.socket.remote_port) == ("127.0.0.1", port)

    trio.run(main)


# ---- anyio


async def pair():
    async with await on_anyio.create_tcp_listener(0, "127.0.0.1") as listener:
        client = await on_anyio.connect_tcp("127.0.0.1", listener.server.local_port)
        return client, await listener.accept()


def test_they_are_anyios(run):
    async def main():
        listener = await on_anyio.create_tcp_listener(0, "127.0.0.1")
        assert isinstance(listener, anyio.abc.Listener)
        async with listener:
            client = await on_anyio.connect_tcp("127.0.0.1", listener.server.local_port)
            assert isinstance(client, anyio.abc.ByteStream)
            async with client, await listener.accept():
                pass

    run(main)


def test_send_and_receive(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted:
            await client.send(b"hello")
            assert await accepted.receive(3) == b"hel"
            assert await accepted.receive() == b"lo"
            await accepted.send(b"world")
            assert await client.receive() == b"world"

    run(main)


def test_small_writes_leave_at_once(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted:
            assert no_delay(client.socket.socket)
            assert no_delay(accepted.socket.socket)

    run(main)


def test_from_an_address_and_a_port_of_this_machine(run):
    async def main():
        async with await on_anyio.create_tcp_listener(0, "127.0.0.1") as listener:
            port = unused_port()
            options = {"local_address": "127.0.0.1", "local_port": port}
            client = await on_anyio.connect_tcp("127.0.0.1", listener.server.local_port, **options)
            async with client, await listener.accept() as accepted:
                assert accepted.extra(SocketAttribute.remote_address) == ("127.0.0.1", port)

    run(main)


def test_a_megabyte_both_ways(run):
    data = bytes(range(256)) * 4096

    async def main():
        client, accepted = await pair()

        async def send(stream):
            await stream.send(data)
            await stream.send_eof()

        async with client, accepted, anyio.create_task_group() as tasks:
            for stream in client, accepted:
                tasks.start_soon(send, stream)
            for stream in client, accepted:
                assert b"".join([chunk async for chunk in stream]) == data

    run(main)


def test_the_ends_of_a_stream(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted:
            await client.send(b"question")
            await client.send_eof()
            await client.send_eof()
            assert await accepted.receive() == b"question"
            for _ in range(2):
                with pytest.raises(anyio.EndOfStream):
                    await accepted.receive()
            with pytest.raises(anyio.ClosedResourceError):
                await client.send(b"more")
            await accepted.send(b"answer")
            await accepted.aclose()
            assert await client.receive() == b"answer"
            with pytest.raises(anyio.EndOfStream):
                await client.receive()

    run(main)


def test_closed_is_not_broken(run):
    async def main():
        client, accepted = await pair()
        await client.aclose()
        await client.aclose()
        for call in (client.receive, client.send_eof, lambda: client.send(b"x")):
            with pytest.raises(anyio.ClosedResourceError):
                await call()
        with pytest.raises(anyio.EndOfStream):
            await accepted.receive()
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await accepted.send(b"x" * 100)
        with pytest.raises(anyio.BrokenResourceError):
            await accepted.send(b"x")
        with pytest.raises(anyio.BrokenResourceError):
            await accepted.send_eof()
        await accepted.aclose()

    run(main)


def test_a_reset_is_broken(run):
    async def main():
        async with await on_anyio.create_tcp_listener(0, "127.0.0.1") as listener:
            plain = socket.create_connection(("127.0.0.1", listener.server.local_port))
            async with await listener.accept() as accepted:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                plain.close()
                with pytest.raises(anyio.BrokenResourceError, match="Connection reset by peer"):
                    await accepted.receive()

    run(main)


def test_closing_wakes_who_waits(run):
    async def main():
        client, accepted = await pair()

        async def close():
            await anyio.sleep(0.02)
            await client.aclose()

        async with accepted, anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            with pytest.raises(anyio.ClosedResourceError):
                await client.receive()

    run(main)


def test_one_task_at_a_time(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted, anyio.create_task_group() as tasks:
            tasks.start_soon(client.receive)
            await anyio.sleep(0.02)
            with pytest.raises(
                anyio.BusyResourceError, match=r"^Another task is already receiving from this resource$"
            ):
                await client.receive()
            tasks.start_soon(client.send, bytes(20_000_000))
            await anyio.sleep(0.02)
            for call in (client.send_eof, lambda: client.send(b"x")):
                with pytest.raises(anyio.BusyResourceError, match="sending on"):
                    await call()
            tasks.cancel_scope.cancel()

    run(main)


def test_cancelling_leaves_a_stream_usable(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted:
            with anyio.move_on_after(0.01):
                await client.receive()
            await accepted.send(b"later")
            assert await client.receive() == b"later"

    run(main)


def test_a_listener_serves(run):
    async def main():
        async def echo(stream):
            async with stream:
                async for chunk in stream:
                    await stream.send(chunk)

        async with await on_anyio.create_tcp_listener(0, "127.0.0.1") as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, echo)
            for number in range(5):
                async with await on_anyio.connect_tcp("127.0.0.1", listener.server.local_port) as client:
                    await client.send(b"%d" % number)
                    assert await client.receive() == b"%d" % number
            tasks.cancel_scope.cancel()

    run(main)


def test_a_closed_listener(run):
    async def main():
        listener = await on_anyio.create_tcp_listener(0, "127.0.0.1")
        await listener.aclose()
        await listener.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(anyio.ClosedResourceError):
                await listener.serve(print, tasks)

    run(main)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_typed_attributes(run, host, family):
    async def main():
        async with await on_anyio.create_tcp_listener(0, host) as listener:
            port = listener.extra(SocketAttribute.local_port)
            assert listener.extra(SocketAttribute.local_address) == (host, port)
            assert listener.extra(SocketAttribute.family) == family
            client = await on_anyio.connect_tcp(host, port)
            async with client, await listener.accept() as accepted:
                assert client.extra(SocketAttribute.family) == family
                assert client.extra(SocketAttribute.remote_address) == (host, port)
                assert client.extra(SocketAttribute.remote_port) == port
                assert client.extra(SocketAttribute.local_port) == accepted.extra(SocketAttribute.remote_port)
                assert client.extra(SocketAttribute.local_address) == accepted.extra(SocketAttribute.remote_address)

    run(main)


def test_bad_input(run):
    async def main():
        client, accepted = await pair()
        async with client, accepted:
            for size in (0, -1):
                with pytest.raises(ValueError, match=f"max_bytes: {size} is not positive"):
                    await client.receive(size)
            with pytest.raises(TypeError, match="data must be bytes-like"):
                await client.send("text")
            assert repr(client).startswith("<serversocket.aio.anyio.SocketStream of <serversocket.Socket 127.0.0.1:")
        with pytest.raises(serversocket.IOError, match="Connection refused"):
            await on_anyio.connect_tcp("127.0.0.1", 1)

    run(main)


def test_a_socket_of_ones_own(run):
    async def main():
        async with aio.listen(0, "127.0.0.1") as server:
            client = await aio.connect("127.0.0.1", server.local_port)
            async with on_anyio.SocketStream(client) as stream, on_anyio.SocketStream(await server.accept()) as other:
                assert stream.socket is client
                await stream.send(b"hello")
                assert await other.receive() == b"hello"
            listener = on_anyio.SocketListener(server)
            assert listener.server is server

    run(main)


def test_each_call_on_anyio_can_be_cancelled(run):
    async def main():
        async with await on_anyio.create_tcp_listener(0, "127.0.0.1") as listener:
            port = listener.server.local_port
            client = await on_anyio.connect_tcp("127.0.0.1", port)
            accepted = await listener.accept()
            waiting = await on_anyio.connect_tcp("127.0.0.1", port)
            await client.send(b"there")
            while listener.server.server.connections < 2:
                await anyio.lowlevel.checkpoint()
            while not accepted.socket.socket.bytes_available:
                await anyio.lowlevel.checkpoint()
            for call in (
                lambda: client.send(b"!"),
                accepted.receive,
                listener.accept,
                client.send_eof,
                client.aclose,
                listener.aclose,
            ):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await call()
                assert scope.cancelled_caught, call
            assert not client.socket.connected
            assert not listener.server.server.listening
            assert await accepted.receive() == b"there!"
            await accepted.aclose()
            await waiting.aclose()

    run(main)
