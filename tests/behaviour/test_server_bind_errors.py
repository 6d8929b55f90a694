from __future__ import annotations

import errno
import ipaddress
import os
import socket

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, on_linux, on_posix, open_descriptors, python, run_until


@pytest.mark.parametrize("host", FAMILIES)
def test_port_in_use_is_refused_with_the_systems_reason(host):
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, host)
        first.listen()
        port = first.local_port
        with pytest.raises(serversocket.IOError) as caught:
            second.bind(port, host)
        error = caught.value
        assert isinstance(error, OSError)
        assert (error.error_id, error.errno, error.strerror) == (2002, errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        assert str(error).startswith("Error #2002: Operation attempted on invalid socket.")
        assert error.message == str(error)
        for part in ("bind", host, str(port), os.strerror(errno.EADDRINUSE)):
            assert part in str(error)
        assert (second.bound, second.listening, second.local_address, second.local_port) == (False, False, None, 0)


def test_port_that_is_bound_and_does_not_listen_cannot_be_shared():
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "127.0.0.1")
        with pytest.raises(serversocket.IOError) as caught:
            second.bind(first.local_port, "127.0.0.1")
        assert caught.value.errno == errno.EADDRINUSE
        first.listen()


def test_port_of_a_foreign_socket_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as foreign, ServerSocket() as server:
        with pytest.raises(serversocket.IOError) as caught:
            server.bind(foreign.getsockname()[1], "127.0.0.1")
        assert caught.value.errno == errno.EADDRINUSE


def test_port_of_all_addresses_is_in_use_for_each():
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "0.0.0.0")
        first.listen()
        with pytest.raises(serversocket.IOError) as caught:
            second.bind(first.local_port, "127.0.0.1")
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("address", ["192.0.2.1", "203.0.113.7", "2001:db8::1"])
def test_address_of_another_machine_is_refused(address):
    server = ServerSocket()
    with pytest.raises(serversocket.IOError) as caught:
        server.bind(0, address)
    assert (caught.value.error_id, caught.value.errno) == (2002, errno.EADDRNOTAVAIL)
    assert address in str(caught.value)
    assert not server.bound


@pytest.mark.parametrize("address", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"])
def test_multicast_and_broadcast_addresses_are_refused(address):
    server = ServerSocket()
    with pytest.raises(serversocket.IOError) as caught:
        server.bind(0, address)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert not server.bound


@on_linux
def test_privileged_port_is_refused_to_others():
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as setting:
        if int(setting.read()) <= 79:
            pytest.skip("this system has no privileged ports")
    python(
        """
        import errno, os
        import serversocket
        from serversocket import ServerSocket
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        server = ServerSocket()
        before = sorted(os.listdir("/proc/self/fd")) if os.access("/proc/self/fd", os.R_OK) else None
        try:
            server.bind(79, "127.0.0.1")
        except serversocket.IOError as error:
            assert error.errno == errno.EACCES, error
            assert isinstance(error, PermissionError)
            assert "79" in str(error)
        else:
            raise SystemExit("it was bound")
        assert not server.bound
        if before is not None:
            assert sorted(os.listdir("/proc/self/fd")) == before
        server.bind(0, "127.0.0.1")
        server.close()
        """
    )


@pytest.mark.parametrize("port", [-1, 65536, 70000, 2**31, -(2**31), 2**63, 2**64, 10**100])
def test_port_out_of_range_is_refused(port):
    server = ServerSocket()
    with pytest.raises(serversocket.RangeError, match=r"^Error #2003: ") as caught:
        server.bind(port)
    assert isinstance(caught.value, ValueError)
    assert caught.value.error_id == 2003
    assert not server.bound


@pytest.mark.parametrize("port", [80.0, 80.5, float("nan"), "80", "８０", True, False, None, b"80", [], 1j])
def test_port_that_is_no_integer_is_refused(port):
    server = ServerSocket()
    with pytest.raises(TypeError):
        server.bind(port)
    assert not server.bound


def test_port_with_index_is_taken():
    class Zero:
        def __index__(self):
            return 0

    with ServerSocket() as server:
        server.bind(Zero(), "127.0.0.1")
        assert server.bound


def test_error_of_an_index_passes():
    class Broken:
        def __index__(self):
            raise ZeroDivisionError

    server = ServerSocket()
    with pytest.raises(ZeroDivisionError):
        server.bind(Broken(), "127.0.0.1")
    assert not server.bound


@pytest.mark.parametrize(
    "address",
    [
        "localhost", "example.com", "127.1", "1.2.3", "010.0.0.1", "127.0.0.01", "0x7f.0.0.1", "0177.0.0.1",
        "2130706433", "1.2.3.4.5", "256.0.0.1", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "127.0.0.1\0",
        "127.0.0.1\0.example", "127.0.0.1:80", "[::1]", "[::1]:80", "::1%", "::1 ", ":::", "::1\0",
        "１２７.0.0.1", "127。0。0。1", "\udc80", "1" * 70_000, "0.0.0.0%lo", "-1.0.0.0", "::1%999999",
    ],
)  # fmt: skip
def test_address_that_is_no_literal_is_refused(address):
    server = ServerSocket()
    with pytest.raises(serversocket.ArgumentError) as caught:
        server.bind(0, address)
    assert caught.value.error_id == 2004
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("Error #2004: One of the parameters is invalid.")
    assert not server.bound


@pytest.mark.parametrize("address", [b"127.0.0.1", 0, 1.5, True, ["127.0.0.1"], ("127.0.0.1", 0)])
def test_address_that_is_no_string_is_refused(address):
    server = ServerSocket()
    with pytest.raises(TypeError):
        server.bind(0, address)
    assert not server.bound


def test_no_address_is_refused_with_airs_number():
    server = ServerSocket()
    with pytest.raises(TypeError, match=r"^Error #2007: ") as caught:
        server.bind(0, None)
    assert caught.value.error_id == 2007


@pytest.mark.parametrize("address", [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")])
def test_objects_of_the_ipaddress_module_are_taken(address):
    with ServerSocket() as server:
        server.bind(0, address)
        assert server.local_address == str(address)


@on_posix
def test_failed_bind_leaves_nothing_and_may_be_tried_again():
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "127.0.0.1")
        first.listen()
        before = open_descriptors()
        for _ in range(10):
            for port, address in ((first.local_port, "127.0.0.1"), (0, "192.0.2.1"), (-1, "127.0.0.1"), (0, "no")):
                with pytest.raises((OSError, ValueError)):
                    second.bind(port, address)
        assert open_descriptors() == before
        second.bind(0, "127.0.0.1")
        second.listen()
        assert second.listening


@on_linux
def test_failed_listen_leaves_it_bound_and_it_may_be_tried_again():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        port = server.local_port
        # Two sockets may be bound to one port as long as only one of them listens, if both want that.
        with socket.socket() as thief:
            for it in (thief, socket.socket(fileno=os.dup(server.fileno()))):
                it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if it is not thief:
                    it.close()
            thief.bind(("127.0.0.1", port))
            thief.listen()
            before = open_descriptors()
            with pytest.raises(serversocket.IOError) as caught:
                server.listen()
            assert (caught.value.error_id, caught.value.errno) == (2002, errno.EADDRINUSE)
            assert "listen" in str(caught.value)
            assert (server.bound, server.listening, server.local_port) == (True, False, port)
            assert open_descriptors() == before
        server.listen()
        assert server.listening
        connect_to("127.0.0.1", port).close()


@pytest.mark.parametrize("host", FAMILIES)
def test_port_in_time_wait_can_be_bound(host):
    reactor = current_reactor()
    server = ServerSocket()
    served = []
    # The side that closes first is the one that waits.
    server.add_event_listener("connect", lambda event: served.append(event.socket.close()))
    port = 0
    for round in range(1, 6):
        server.bind(port, host)
        server.listen()
        port = server.local_port
        with connect_to(host, port) as peer:
            run_until(reactor, lambda round=round: len(served) == round)
            assert peer.recv(1) == b""
        server.close()


@pytest.mark.parametrize("host", FAMILIES)
def test_restart_with_connections_that_live_on(host):
    reactor = current_reactor()
    accepted = []
    with ServerSocket() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server.bind(0, host)
        server.listen()
        port = server.local_port
        with connect_to(host, port):
            run_until(reactor, lambda: accepted)
            server.close()
            server.bind(port, host)
            server.listen()
            assert accepted[0].connected
            with connect_to(host, port):
                run_until(reactor, lambda: len(accepted) == 2)
                for socket_ in accepted:
                    socket_.close()


def test_dual_stack_needs_an_ipv6_address():
    server = ServerSocket()
    with pytest.raises(serversocket.ArgumentError):
        server.bind(0, "127.0.0.1", dual_stack=True)
    assert not server.bound
