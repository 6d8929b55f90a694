"""TLS for coroutines, in asyncio and in trio."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trio

from serversocket import IOError, aio

from ..behaviour.helpers import PATIENCE


def in_asyncio(main) -> None:
    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def in_trio(main) -> None:
    async def limited() -> None:
        with trio.fail_after(PATIENCE):
            await main()

    trio.run(limited)


@pytest.fixture(params=[in_asyncio, in_trio], ids=["asyncio", "trio"])
def run(request):
    return request.param


def test_listen_and_connect(authority, run):
    async def main() -> None:
        async with aio.listen(0, "127.0.0.1", tls=authority.server_context(), handshake_timeout=20) as server:
            assert server.server.handshake_timeout == 20
            async with await aio.connect(
                "127.0.0.1", server.local_port, tls=authority.client_context(), server_hostname="localhost"
            ) as client:
                async with await server.accept() as accepted:
                    assert accepted.tls.server_name == client.tls.server_name == "localhost"
                    await client.send(b"hello")
                    assert await accepted.receive_exactly(5) == b"hello"
                    await accepted.send(bytes(1_000_000))
                    await accepted.aclose()
                assert len(await client.receive_exactly(1_000_000)) == 1_000_000
                assert await client.receive() == b""

    run(main)


def test_the_host_is_the_name_that_is_checked(authority, run):
    async def main() -> None:
        async with aio.listen(0, "127.0.0.1", tls=authority.server_context()) as server:
            async with await aio.connect("127.0.0.1", server.local_port, tls=authority.client_context()) as client:
                assert client.tls.peer_certificate
            with pytest.raises(IOError, match="certificate verify failed"):
                await aio.connect("127.0.0.1", server.local_port, tls=True)
            with pytest.raises(IOError, match="ostname mismatch"):
                await aio.connect(
                    "127.0.0.1", server.local_port, tls=authority.client_context(), server_hostname="other.example"
                )
            with pytest.raises(TypeError, match="tls"):
                await aio.connect("127.0.0.1", server.local_port, tls="yes")

    run(main)


def test_start_tls_on_both_sides(authority, run):
    async def main() -> None:
        async with aio.listen(0, "127.0.0.1") as server:
            client = await aio.connect("127.0.0.1", server.local_port)
            accepted = await server.accept()
            assert client.tls is None
            await client.send(b"STARTTLS\n")
            assert await accepted.receive_until() == b"STARTTLS\n"
            client.socket.start_tls(authority.client_context(), server_hostname="localhost")
            await accepted.start_tls(authority.server_context(), server_side=True)
            await client.send(b"x")
            assert await accepted.receive() == b"x"
            await client.aclose()
            assert await accepted.receive() == b""
            await accepted.aclose()

    run(main)


def test_a_stream_that_was_cut(authority, run):
    async def main() -> None:
        async with aio.listen(0, "127.0.0.1", tls=authority.server_context()) as server:
            client = await aio.connect("127.0.0.1", server.local_port, tls=authority.client_context())
            accepted = await server.accept()
            await client.send(b"first")
            assert await accepted.receive() == b"first"
            raw = socket.socket(fileno=client.socket.fileno())
            raw.shutdown(socket.SHUT_WR)
            raw.detach()
            with pytest.raises(IOError, match="truncated"):
                await accepted.receive()
            client.abort()

    run(main)


def test_a_handshake_that_fails_is_raised(authority, run):
    async def main() -> None:
        async with aio.listen(0, "127.0.0.1") as server:
            client = await aio.connect("127.0.0.1", server.local_port)
            accepted = await server.accept()
            await accepted.send(b"this is no handshake")
            with pytest.raises(IOError, match="TLS handshake"):
                await client.start_tls(ssl.create_default_context(), server_hostname="localhost")
            await accepted.aclose()

    run(main)
