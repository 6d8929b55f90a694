from __future__ import annotations

import socket
import sys

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, on_linux, receive_exactly, settle


def seconds_of(server: ServerSocket) -> int:
    with socket.socket(fileno=socket.dup(server.fileno())) as it:
        return it.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)


@on_linux
def test_a_silent_client_is_not_shown_and_a_talking_one_is_with_its_bytes():
    reactor = current_reactor()
    with ServerSocket() as server:
        accepted = []

        def echo(event):
            event.target.write(event.target.read())

        def connected(event):
            event.socket.add_event_listener("socketData", echo)
            accepted.append(event.socket)

        server.add_event_listener("connect", connected)
        server.bind(0, "127.0.0.1")
        server.listen(defer_accept=30)
        with (
            connect_to("127.0.0.1", server.local_port) as silent,
            connect_to("127.0.0.1", server.local_port) as talking,
        ):
            talking.sendall(b"hello")
            assert receive_exactly(reactor, talking, 5) == b"hello"
            settle(reactor)
            assert len(accepted) == 1
            silent.sendall(b"at last")
            assert receive_exactly(reactor, silent, 7) == b"at last"
            assert len(accepted) == 2
            for it in accepted:
                it.close()


@on_linux
def test_each_listen_says_anew():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.listen(defer_accept=5)
        assert seconds_of(server) > 0
        server.listen()
        assert seconds_of(server) == 0


@pytest.mark.parametrize("seconds", [True, None, 1.0, "5", b"5", []])
def test_what_is_no_integer_is_refused(seconds):
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        with pytest.raises(TypeError, match="defer_accept"):
            server.listen(defer_accept=seconds)
        assert not server.listening


@pytest.mark.parametrize("seconds", [-1, 2**31, -(10**30), 10**30])
def test_what_is_no_time_is_refused(seconds):
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        with pytest.raises(serversocket.RangeError, match=r"^Error #2006: .*defer_accept"):
            server.listen(defer_accept=seconds)
        assert not server.listening


def test_a_system_that_cannot_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        with pytest.raises(serversocket.IOError, match=r"^Error #2002: .*plan9"):
            server.listen(defer_accept=1)
        assert not server.listening
        server.listen()
        assert server.listening
