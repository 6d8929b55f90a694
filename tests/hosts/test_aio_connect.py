"""Connections that coroutines make, and objects of their own."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import textwrap
import threading

import anyio
import pytest

import serversocket
from serversocket import ServerSocket, Socket, aio

from ..behaviour.helpers import unused_port
from .coroutines import PATIENCE, listen


def test_refused_connections(run):
    async def main():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError) as caught:
                await aio.connect("127.0.0.1", free.getsockname()[1])
            assert isinstance(caught.value, serversocket.IOError)
            assert caught.value.errno == errno.ECONNREFUSED
        with pytest.raises(serversocket.SecurityError, match="70000"):
            await aio.connect("127.0.0.1", 70000)
        with pytest.raises(serversocket.ArgumentError, match="no host"):
            await aio.connect("no host", 80)

    run(main)


def test_names_that_are_looked_up_in_vain(run, monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main():
        with pytest.raises(socket.gaierror, match=r"nowhere\.example:80: Name or service not known") as caught:
            await aio.connect("nowhere.example", 80)
        assert isinstance(caught.value, serversocket.IOError)
        assert (caught.value.errno, caught.value.error_id) == (socket.EAI_NONAME, 2031)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    run(main)


def test_a_connect_that_takes_too_long(run, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer.wait(PATIENCE) and [])
    monkeypatch.setattr(Socket, "_timeout", 250)

    async def main():
        with pytest.raises(TimeoutError, match=r"no answer within 0\.25 s") as caught:
            await aio.connect("slow.example", 80)
        assert isinstance(caught.value, serversocket.IOError)
        assert caught.value.errno == errno.ETIMEDOUT

    try:
        run(main)
    finally:
        answer.set()


def test_from_an_address_and_a_port_of_this_machine(run):
    async def main():
        async with listen() as server:
            port = unused_port()
            client = await aio.connect("127.0.0.1", server.local_port, local_address="127.0.0.1", local_port=port)
            async with client, await server.accept() as accepted:
                assert (accepted.remote_address, accepted.remote_port) == ("127.0.0.1", port)
                assert client.local_port == port
            with pytest.raises(serversocket.IOError, match=r" from 192\.0\.2\.1: ") as caught:
                await aio.connect("127.0.0.1", server.local_port, local_address="192.0.2.1")
            assert caught.value.errno == errno.EADDRNOTAVAIL
            with pytest.raises(serversocket.ArgumentError, match="'localhost' is not an IPv4 or IPv6 address"):
                await aio.connect("127.0.0.1", server.local_port, local_address="localhost")
            with pytest.raises(serversocket.RangeError, match="local_port 65536"):
                await aio.connect("127.0.0.1", server.local_port, local_port=65536)

    run(main)


def test_a_connection_that_is_given_up_is_closed(run):
    async def main():
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            address = full.getsockname()
            crowd = []
            for _ in range(4):  # nobody accepts: further ones get no answer
                it = socket.socket()
                it.setblocking(False)
                it.connect_ex(address)
                crowd.append(it)
            with anyio.move_on_after(0.05) as scope:
                await aio.connect(*address)
            assert scope.cancelled_caught
            for it in crowd:
                it.close()

    run(main)  # the suite fails at a descriptor that is left


def test_a_peer_that_answers_and_leaves_at_once_is_connected_to(run):
    """It may have gone before the task that connects has its turn."""
    program = "import socket, sys\n" + textwrap.dedent(
        """
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            client = listener.accept()[0]
            client.sendall(b"hello")
            client.close()
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as peer:
        port = int(peer.stdout.readline())

        async def main():
            for _ in range(100):
                async with await aio.connect("127.0.0.1", port) as client:
                    assert await client.receive_exactly(5) == b"hello"
                    assert await client.receive() == b""

        try:
            run(main)
        finally:
            peer.kill()


def test_outside_of_coroutines():
    with pytest.raises(RuntimeError, match=r"once\(\) is for coroutines"):
        serversocket.EventDispatcher().once("connect")
    with pytest.raises(RuntimeError, match="AsyncServer is for coroutines"):
        aio.listen(0, "127.0.0.1")


def test_only_what_is_open_can_be_given(run):
    async def main():
        with pytest.raises(serversocket.IOError, match="AsyncSocket"):
            aio.AsyncSocket(Socket())
        with pytest.raises(serversocket.IOError, match="AsyncServer"):
            aio.AsyncServer(ServerSocket())

    run(main)


def test_a_socket_of_ones_own(run):
    async def main():
        async with listen() as server:
            it = Socket("127.0.0.1", server.local_port)
            await it.once("connect")
            async with aio.AsyncSocket(it) as client, await server.accept() as accepted:
                await client.send(b"x")
                assert await accepted.receive() == b"x"
                assert client.socket is it
                assert repr(client).startswith("<AsyncSocket of <serversocket.Socket 127.0.0.1:")

    run(main)
