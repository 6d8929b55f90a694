from __future__ import annotations

import errno
import os
import socket

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import Reactor, current_reactor

from .helpers import FAMILIES, PATIENCE, connect_to, family_of, on_posix, open_descriptors, run_until

pytestmark = on_posix


@pytest.mark.parametrize("host", FAMILIES)
def test_a_listening_socket_is_taken_over(host):
    accepted = []
    with socket.create_server((host, 0), family=family_of(host)) as foreign, ServerSocket() as server:
        port = foreign.getsockname()[1]
        fd = foreign.detach()
        os.set_inheritable(fd, True)
        server._inherit(fd)
        assert server.fileno() == fd
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        assert (server.bound, server.listening, server.local_address, server.local_port) == (True, True, host, port)
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        with connect_to(host, port) as peer:
            run_until(current_reactor(), lambda: accepted)
            assert accepted[0].remote_port == peer.getsockname()[1]
            accepted[0].close()
        server.close()
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(fd)


def test_a_bound_socket_is_taken_over_and_listens_when_it_is_told():
    foreign = socket.socket()
    foreign.bind(("127.0.0.1", 0))
    port = foreign.getsockname()[1]
    with ServerSocket() as server:
        server._inherit(foreign.detach())
        assert (server.bound, server.listening, server.local_port) == (True, False, port)
        server.listen()
        connect_to("127.0.0.1", port).close()


def test_a_copy_elsewhere_keeps_the_port_and_who_waits():
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as kept:
        with ServerSocket() as first:
            first._inherit(os.dup(kept.fileno()))
        with connect_to("127.0.0.1", kept.getsockname()[1]), ServerSocket() as second:
            second._inherit(os.dup(kept.fileno()))
            second.add_event_listener("connect", lambda event: accepted.append(event.socket))
            run_until(current_reactor(), lambda: accepted)
            accepted[0].close()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: socket.socket(), errno.EINVAL),
        (lambda: socket.socket(type=socket.SOCK_DGRAM), errno.EINVAL),
        (lambda: socket.socket(socket.AF_UNIX), errno.EINVAL),
    ],
    ids=["unbound", "udp", "unix"],
)
def test_anything_else_is_refused_and_stays_as_it_was(make, code):
    with make() as foreign:
        _is_refused(foreign, code)


def test_a_connection_is_refused_and_stays_as_it_was():
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0],
    ):
        client.settimeout(None)
        _is_refused(client, errno.EISCONN)


def _is_refused(foreign: socket.socket, code: int) -> None:
    server = ServerSocket()
    foreign.set_inheritable(True)
    with pytest.raises(OSError, match=f"descriptor {foreign.fileno()}") as caught:
        server._inherit(foreign.fileno())
    assert caught.value.errno == code
    assert foreign.get_inheritable()
    assert os.get_blocking(foreign.fileno())
    foreign.getsockname()
    assert not server.bound


def test_what_is_no_socket_is_refused():
    server = ServerSocket()
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
            server._inherit(reading)
        os.fstat(reading)
    finally:
        os.close(reading)
        os.close(writing)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        server._inherit(reading)


def test_a_server_that_is_bound_or_whose_reactor_is_closed_takes_nothing():
    reactor = Reactor()
    orphan = ServerSocket(reactor=reactor)
    reactor.close()
    with socket.create_server(("127.0.0.1", 0)) as foreign, ServerSocket() as bound:
        bound.bind(0, "127.0.0.1")
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            bound._inherit(foreign.fileno())
        with pytest.raises(RuntimeError, match="closed"):
            orphan._inherit(foreign.fileno())
        assert bound.fileno() != foreign.fileno()
        foreign.getsockname()


def flags(descriptor):
    return os.get_blocking(descriptor), os.get_inheritable(descriptor)


@pytest.mark.parametrize("refusal", ["bound", "closed reactor", "no registration"])
def test_a_descriptor_that_is_not_taken_is_the_callers_as_it_was(refusal):
    reactor = Reactor()
    server = ServerSocket(reactor=reactor)
    server.add_event_listener("connect", print)
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        os.set_inheritable(foreign.fileno(), True)
        before = flags(foreign.fileno())
        match refusal:
            case "bound":
                server.bind(0, "127.0.0.1")
            case "closed reactor":
                reactor.close()
            case "no registration":  # epoll's own descriptor is gone
                os.close(reactor.fileno())
        with pytest.raises((OSError, RuntimeError)):
            server._inherit(foreign.fileno())
        assert flags(foreign.fileno()) == before
        assert server.bound == (refusal == "bound")
        assert server.listening is False
        with socket.create_connection(foreign.getsockname(), timeout=PATIENCE):
            foreign.accept()[0].close()
        if server.bound:
            server.close()
    reactor.close()


def test_what_was_refused_may_be_taken_by_another():
    closed = Reactor()
    orphan = ServerSocket(reactor=closed)
    closed.close()
    with socket.create_server(("127.0.0.1", 0)) as foreign, ServerSocket() as server:
        with pytest.raises(RuntimeError):
            orphan._inherit(foreign.fileno())
        server._inherit(foreign.detach())
        assert server.listening


def test_a_bind_whose_descriptor_is_not_taken_closes_it(monkeypatch):
    server = ServerSocket()
    before = open_descriptors()
    monkeypatch.setattr(ServerSocket, "_take", fail)
    with pytest.raises(serversocket.IOError, match="bind"):
        server.bind(0, "127.0.0.1")
    assert not server.bound
    assert open_descriptors() == before


def fail(*_):
    raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
