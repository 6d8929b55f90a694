from __future__ import annotations

import os
import socket
import struct

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, listening, on_linux, run_until, settle

_UNACKED, _SACKED = 24, 28  # of struct tcp_info; of a listening socket: who waits, and how many may


def queue_of(server: ServerSocket) -> tuple[int, int]:
    """How many connections wait to be accepted, and how many may."""
    with socket.socket(fileno=os.dup(server.fileno())) as it:
        info = it.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return struct.unpack_from("I", info, _UNACKED)[0], struct.unpack_from("I", info, _SACKED)[0]


def system_maximum() -> int:
    with open("/proc/sys/net/core/somaxconn") as setting:
        return int(setting.read())


@pytest.mark.parametrize("backlog", [-1, -100, -(2**31), -(2**63), -(10**30)])
def test_negative_backlog_is_refused(backlog):
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        with pytest.raises(serversocket.RangeError, match=r"^Error #2006: .*listen") as caught:
            server.listen(backlog)
        assert caught.value.error_id == 2006
        assert (server.bound, server.listening) == (True, False)


@pytest.mark.parametrize("backlog", [True, False, None, 1.0, "5", b"5", []])
def test_backlog_that_is_no_integer_is_refused(backlog):
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        with pytest.raises(TypeError):
            server.listen(backlog)
        assert not server.listening


@on_linux
@pytest.mark.parametrize("backlog", [1, 2, 7])
def test_backlog_reaches_the_system(backlog):
    with listening(backlog=backlog) as server:
        assert queue_of(server)[1] == backlog


@on_linux
@pytest.mark.parametrize("backlog", [0, 2**31 - 1, 2**31, 2**32, 2**64, 10**30])
def test_no_backlog_and_a_large_one_are_the_systems_maximum(backlog):
    with listening(backlog=backlog) as server:
        assert queue_of(server)[1] == system_maximum()


@on_linux
def test_listen_again_changes_the_backlog():
    with listening(backlog=3) as server:
        server.listen(5)
        assert queue_of(server)[1] == 5


@on_linux
@pytest.mark.parametrize("host", FAMILIES)
def test_clients_wait_until_somebody_listens(host):
    reactor = current_reactor()
    accepted = []
    with listening(host) as server:
        clients = [connect_to(host, server.local_port) for _ in range(3)]
        settle(reactor)
        assert queue_of(server)[0] == 3
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        run_until(reactor, lambda: len(accepted) == 3)
        assert {it.remote_port for it in accepted} == {it.getsockname()[1] for it in clients}
        for it in (*accepted, *clients):
            it.close()


@on_linux
def test_clients_wait_when_the_last_listener_has_gone():
    reactor = current_reactor()
    accepted = []

    def accept(event):
        accepted.append(event.socket)

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: accepted)
            server.remove_event_listener("connect", accept)
            with connect_to("127.0.0.1", server.local_port):
                settle(reactor)
                assert len(accepted) == 1
                assert queue_of(server)[0] == 1
                server.add_event_listener("connect", accept)
                run_until(reactor, lambda: len(accepted) == 2)
                for it in accepted:
                    it.close()


@on_linux
def test_capture_listener_accepts_nobody():
    reactor = current_reactor()
    told = []
    with listening() as server:
        server.add_event_listener("connect", told.append, use_capture=True)
        with connect_to("127.0.0.1", server.local_port):
            settle(reactor)
            assert told == []


def test_close_resets_those_who_wait():
    with listening() as server, connect_to("127.0.0.1", server.local_port) as client:
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
