"""`Socket.connect` from an address or a port of this machine."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

import pytest

import serversocket
from serversocket import Socket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, LINUX, Log, dialling, on_linux, reset, run_until, settle, unused_port

NOT_OURS = "192.0.2.1"  # of the documentation, so of nobody
NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT


def refused(host, port, **origin):
    """The only event of a connect that fails, none of which comes from inside the call."""
    it = Socket()
    log = Log(it)
    it.connect(host, port, **origin)
    assert log.events == []
    run_until(current_reactor(), lambda: log.events)
    settle(current_reactor())
    assert log.types == ["ioError"]
    assert not it.connected
    (event,) = log.events
    return event


# ---- what a peer sees


@on_linux  # where all of 127.0.0.0/8 is this machine
@pytest.mark.parametrize("local", ["127.0.0.2", ipaddress.ip_address("127.0.0.2")], ids=type)
def test_the_address(local):
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port, local_address=local)
        with it.accept() as peer:
            assert peer.getpeername() == ("127.0.0.2", it.socket.local_port)
            assert it.socket.local_address == "127.0.0.2"
            assert it.socket.remote_address == "127.0.0.1"


@pytest.mark.parametrize("host", FAMILIES)
def test_the_port(host):
    port = unused_port(host)
    with dialling(host) as it:
        it.socket.connect(host, it.port, local_port=port)
        with it.accept() as peer:
            assert peer.getpeername()[:2] == (host, port)
            assert it.socket.local_port == port


@pytest.mark.parametrize("host", FAMILIES)
def test_both(host):
    port = unused_port(host)
    with dialling(host) as it:
        it.socket.connect(host, it.port, local_address=host, local_port=port)
        with it.accept() as peer:
            assert peer.getpeername()[:2] == (host, port)


def test_the_same_port_again_and_to_several_peers():
    """One's own end stays in TIME_WAIT for a minute, and two connections differ by their peers."""
    port = unused_port()
    with dialling() as first, dialling() as second:
        first.socket.connect("127.0.0.1", first.port, local_port=port)
        with first.accept() as peer:
            first.socket.close()
            assert peer.recv(1) == b""
        second.socket.connect("127.0.0.1", second.port, local_port=port)
        with second.accept() as peer:
            assert peer.getpeername()[1] == port
            with socket.create_server(("127.0.0.1", 0)) as third, Socket() as it:
                it.connect("127.0.0.1", third.getsockname()[1], local_address="127.0.0.1", local_port=port)
                run_until(current_reactor(), lambda: it.connected)
                assert it.local_port == second.socket.local_port == port
            reset(peer)


@pytest.mark.parametrize("options", [{}, {"local_address": None}, {"local_port": 0}])
def test_neither(options):
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port, **options)
        with it.accept() as peer:
            assert peer.getpeername()[0] == "127.0.0.1"


@on_linux
def test_a_port_is_taken_only_when_it_connects():
    """Else all the connections from an address together would have 28,000 ports, whoever their peers are."""
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port, local_address="127.0.0.1")
        with it.accept(), socket.socket(fileno=os.dup(it.socket.fileno())) as same:
            assert same.getsockopt(socket.IPPROTO_IP, NO_PORT_YET) == 1


@on_linux
def test_a_later_connect_is_not_bound_by_it():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port, local_address="127.0.0.2")
        it.accept().close()
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            assert peer.getpeername()[0] == "127.0.0.1"


# ---- what the system refuses


@pytest.mark.parametrize("address", [NOT_OURS, "2001:db8::1"])
@pytest.mark.parametrize("port", [0, 5000])
def test_an_address_of_another_machine(address, port):
    host = "::1" if ":" in address else "127.0.0.1"
    event = refused(host, unused_port(host), local_address=address, local_port=port)
    assert event.errno == errno.EADDRNOTAVAIL
    shown = {0: address, 5000: f"[{address}]:5000" if ":" in address else f"{address}:5000"}[port]
    assert event.text.endswith(f" from {shown}: {os.strerror(errno.EADDRNOTAVAIL)}")


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "ff02::1"])
def test_an_address_of_no_machine(address):
    event = refused("::1" if ":" in address else "127.0.0.1", 80, local_address=address)
    assert event.errno == errno.EADDRNOTAVAIL
    assert f" from {address}: " in event.text


def test_an_interface_that_is_not_there():
    event = refused("::1", 80, local_address="fe80::1%nosuch0")
    assert event.errno == errno.ENODEV
    assert " from fe80::1%nosuch0: " in event.text


def test_a_port_that_somebody_listens_on():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as target:
        port = listener.getsockname()[1]
        event = refused("127.0.0.1", target.getsockname()[1], local_port=port)
        assert event.errno == errno.EADDRINUSE
        assert f" from port {port}: " in event.text


def test_a_port_that_is_connected_to_this_very_peer():
    port = unused_port()
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port, local_port=port)
        with it.accept():
            event = refused("127.0.0.1", it.port, local_port=port)
            assert event.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE)
            assert it.socket.connected


def test_nobody_listens():
    event = refused("127.0.0.1", unused_port(), local_address="127.0.0.1")
    assert isinstance(event.error, ConnectionRefusedError)


def test_a_socket_connects_again_in_the_handler():
    with dialling() as it:
        it.socket.add_event_listener("ioError", lambda event: event.target.connect("127.0.0.1", it.port))
        it.socket.connect("127.0.0.1", it.port, local_address=NOT_OURS)
        with it.accept():
            assert it.log.types == ["ioError", "connect"]


def test_an_attempt_that_cannot_begin_is_given_up_by_close():
    reactor = current_reactor()
    for address in (NOT_OURS, "::1", "224.0.0.1"):
        it = Socket()
        log = Log(it)
        it.connect("127.0.0.1", 80, local_address=address)
        it.close()
        settle(reactor)
        assert log.events == []


# ---- families


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_an_address_of_the_other_family(host, local):
    with dialling(host) as it:
        event = refused(host, it.port, local_address=local)
    assert event.errno == errno.EAFNOSUPPORT
    assert event.text.endswith(f" from {local}: the host has no address of the family of local_address")


@pytest.mark.parametrize(("local", "other"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_of_a_name_only_the_addresses_of_its_family_are_tried(local, other, monkeypatch):
    with dialling(local) as it, dialling(other) as elsewhere:
        found = [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, dialled.port))
            for host, dialled in ((other, elsewhere), (local, it))
        ]
        found = [(*each[:4], (*each[4], 0, 0) if each[0] == socket.AF_INET6 else each[4]) for each in found]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        it.socket.connect("both.example", 80, local_address=local)
        with it.accept():
            assert it.socket.remote_address == local
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found[:1])
        event = refused("other.example", 80, local_address=local)
        assert event.errno == errno.EAFNOSUPPORT
        assert f"other.example:80 from {local}: " in event.text


def test_of_a_name_the_next_address_is_tried_from_the_same_port(monkeypatch):
    port = unused_port()
    with dialling() as it:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, number))
            for host, number in (("127.0.0.1", unused_port()), ("127.0.0.1", it.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        it.socket.connect("two.example", 80, local_port=port)
        with it.accept() as peer:
            assert peer.getpeername()[1] == port


# ---- what the program gives


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"local_address": "localhost"}, serversocket.ArgumentError, "'localhost' is not an IPv4 or IPv6 address"),
        ({"local_address": ""}, serversocket.ArgumentError, "'' is not an IPv4 or IPv6 address"),
        ({"local_address": "127.1"}, serversocket.ArgumentError, "127.1"),
        ({"local_address": "127.0.0.1:80"}, serversocket.ArgumentError, "127.0.0.1:80"),
        ({"local_address": "::1%lo"}, serversocket.ArgumentError, "only a link-local address"),
        ({"local_address": 7}, TypeError, "local_address must be a string or an address"),
        ({"local_address": b"127.0.0.1"}, TypeError, "local_address must be a string or an address"),
        ({"local_address": ("127.0.0.1", 0)}, TypeError, "local_address must be a string or an address"),
        ({"local_port": -1}, serversocket.RangeError, "connect: local_port -1 is outside 0 to 65535"),
        ({"local_port": 65536}, serversocket.RangeError, "connect: local_port 65536 is outside 0 to 65535"),
        ({"local_port": "80"}, TypeError, "local_port must be an int"),
        ({"local_port": None}, TypeError, "local_port must be an int"),
        ({"local_port": True}, TypeError, "local_port must be an int"),
        ({"local_port": 1.5}, TypeError, "local_port must be an int"),
    ],
)
def test_what_is_malformed_changes_nothing(options, error, text):
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept():
            with pytest.raises(error, match=text):
                it.socket.connect("127.0.0.1", it.port, **options)
            assert it.socket.connected
            assert it.log.types == ["connect"]


def test_only_by_name():
    with Socket() as it, pytest.raises(TypeError, match="positional"):
        it.connect("127.0.0.1", 80, "127.0.0.1")


@pytest.mark.skipif(not LINUX, reason="needs all of 127.0.0.0/8 to be this machine")
def test_a_class_that_overrides_connect_hands_it_on():
    class Traced(Socket):
        def connect(self, host, port, **options):
            super().connect(host, port, **options)

    with dialling() as it, Traced() as traced:
        traced.connect("127.0.0.1", it.port, local_address="127.0.0.3")
        run_until(current_reactor(), lambda: traced.connected)
        assert traced.local_address == "127.0.0.3"
