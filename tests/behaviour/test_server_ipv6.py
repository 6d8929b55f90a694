from __future__ import annotations

import errno
import ipaddress
import socket

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, on_linux, run_until


def link_local_address() -> str:
    """A link-local address of this machine with its scope; skips where there is none."""
    try:
        with open("/proc/net/if_inet6") as table:
            for line in table:
                digits, _, _, scope, _, name = line.split()
                if scope == "20":
                    return f"{ipaddress.IPv6Address(int(digits, 16))}%{name}"
    except FileNotFoundError:
        pass
    pytest.skip("no interface of this machine has a link-local address")


def test_all_ipv6_addresses_are_ipv6_alone():
    with ServerSocket() as server:
        server.bind(0, "::")
        server.listen()
        assert server.local_address == "::"
        connect_to("::1", server.local_port).close()
        with pytest.raises(ConnectionRefusedError):
            connect_to("127.0.0.1", server.local_port)


def test_all_ipv4_addresses_are_ipv4_alone():
    with ServerSocket() as server:
        server.bind(0, "0.0.0.0")
        server.listen()
        connect_to("127.0.0.1", server.local_port).close()
        with pytest.raises(ConnectionRefusedError):
            connect_to("::1", server.local_port)


def test_both_families_may_share_a_port_number():
    with ServerSocket() as four, ServerSocket() as six:
        four.bind(0, "0.0.0.0")
        four.listen()
        six.bind(four.local_port, "::")
        six.listen()
        assert six.local_port == four.local_port


def test_dual_stack_takes_both_families():
    reactor = current_reactor()
    remotes = []
    with ServerSocket() as server:
        server.bind(0, "::", dual_stack=True)
        server.listen()
        server.add_event_listener(
            "connect", lambda event: (remotes.append(event.socket.remote_address), event.socket.close())
        )
        for host in ("127.0.0.1", "::1"):
            with connect_to(host, server.local_port):
                run_until(reactor, lambda host=host: remotes and remotes[-1].endswith(host))
    assert remotes == ["::ffff:127.0.0.1", "::1"]


def test_long_form_reads_in_its_short_form():
    with ServerSocket() as server:
        server.bind(0, "0:0:0:0:0:0:0:1")
        assert server.local_address == "::1"


def test_loopback_is_loopback_alone():
    with ServerSocket() as server:
        server.bind(0, "::1")
        with pytest.raises(serversocket.IOError) as caught:
            server.bind(0, "::1")
        assert "[::1]" in str(caught.value)


@on_linux
def test_link_local_address_is_bound_with_its_scope():
    address = link_local_address()
    with ServerSocket() as server:
        server.bind(0, address)
        server.listen()
        assert server.local_address == address
        with socket.create_connection((address, server.local_port), timeout=60) as client:
            reactor, remotes = current_reactor(), []
            server.add_event_listener(
                "connect", lambda event: (remotes.append(event.socket.remote_address), event.socket.close())
            )
            run_until(reactor, lambda: remotes)
            assert remotes == [address]
            assert client.getpeername()[1] == server.local_port


@on_linux
def test_link_local_address_without_a_scope_is_refused_with_advice():
    server = ServerSocket()
    with pytest.raises(serversocket.IOError, match=r"fe80::1%") as caught:
        server.bind(0, "fe80::1")
    assert caught.value.errno == errno.EINVAL
    assert not server.bound


def test_unknown_interface_is_refused():
    server = ServerSocket()
    with pytest.raises(serversocket.IOError) as caught:
        server.bind(0, "fe80::1%nosuchthing")
    assert caught.value.errno == errno.ENODEV
