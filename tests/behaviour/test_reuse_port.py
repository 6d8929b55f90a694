from __future__ import annotations

import errno
import socket
import sys

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, on_linux, open_descriptors, run_until


def option(server: ServerSocket, name: int) -> bool:
    with socket.socket(fileno=socket.dup(server.fileno())) as copy:
        return bool(copy.getsockopt(socket.SOL_SOCKET, name))


@on_linux
@pytest.mark.parametrize("host", FAMILIES)
def test_servers_share_a_port_and_each_gets_connections(host):
    reactor = current_reactor()
    counts = [0, 0]

    def count(index):
        def accepted(event):
            counts[index] += 1
            event.socket.close()

        return accepted

    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, host, reuse_port=True)
        second.bind(first.local_port, host, reuse_port=True)
        assert second.local_port == first.local_port
        for index, server in enumerate((first, second)):
            server.listen()
            server.add_event_listener("connect", count(index))
        for _ in range(200):
            with connect_to(host, first.local_port):
                pass
        run_until(reactor, lambda: sum(counts) == 200)
    assert all(counts)


@on_linux
@pytest.mark.parametrize("port", ["free", "given"])
def test_the_option_is_set_before_the_bind_and_stays(port):
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "127.0.0.1", reuse_port=True)
        number = first.local_port
        if port == "given":
            first.close()
            first.bind(number, "127.0.0.1", reuse_port=True)
        assert option(first, socket.SO_REUSEPORT)
        # Set after the bind it would let nobody in that the system has already refused; set before, it does.
        second.bind(number, "127.0.0.1", reuse_port=True)
        first.listen()
        assert option(first, socket.SO_REUSEPORT)


@on_linux
def test_without_it_the_option_is_not_set():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        assert not option(server, socket.SO_REUSEPORT)


@on_linux
@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("sharer", [0, 1])
def test_a_port_is_shared_only_if_both_want_it(sharer, listening):
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "127.0.0.1", reuse_port=sharer == 0)
        if listening:
            first.listen()
        with pytest.raises(serversocket.IOError) as caught:
            second.bind(first.local_port, "127.0.0.1", reuse_port=sharer == 1)
        assert caught.value.errno == errno.EADDRINUSE
        assert not second.bound


@on_linux
def test_port_0_is_a_port_of_its_own():
    servers = [ServerSocket() for _ in range(50)]
    for server in servers:
        server.bind(0, "127.0.0.1", reuse_port=True)
    assert len({server.local_port for server in servers}) == len(servers)
    for server in servers:
        server.close()


@on_linux
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_port_in_time_wait_can_be_bound_by_either_kind(before, after):
    reactor = current_reactor()
    served = []
    with ServerSocket() as server:
        server.add_event_listener("connect", lambda event: served.append(event.socket.close()))
        server.bind(0, "127.0.0.1", reuse_port=before)
        server.listen()
        port = server.local_port
        with connect_to("127.0.0.1", port) as peer:
            run_until(reactor, lambda: served)
            assert peer.recv(1) == b""
        server.close()
        server.bind(port, "127.0.0.1", reuse_port=after)
        server.listen()


@pytest.mark.parametrize("platform", ["darwin", "freebsd14", "win32"])
def test_where_connections_are_not_spread_it_is_refused_and_nothing_is_touched(monkeypatch, platform):
    with ServerSocket() as server:
        before = open_descriptors() if sys.platform == "linux" else set()
        monkeypatch.setattr(sys, "platform", platform)
        with pytest.raises(serversocket.IOError) as caught:
            server.bind(0, "127.0.0.1", reuse_port=True)
        with pytest.raises(serversocket.IOError):
            serversocket.Supervisor(print, 0, "127.0.0.1", workers=1)
        monkeypatch.undo()
        assert caught.value.errno == errno.ENOTSUP
        assert "reuse_port" in str(caught.value)
        assert platform in str(caught.value)
        assert not server.bound
        if sys.platform == "linux":
            assert open_descriptors() == before
        server.bind(0, "127.0.0.1")
