from __future__ import annotations

import gc
import ipaddress
import os
import socket

import pytest

import serversocket
from serversocket import Event, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import (
    FAMILIES,
    Log,
    dialling,
    ended,
    family_of,
    on_linux,
    receive_all,
    receive_exactly,
    reset,
    run_until,
    settle,
)


@pytest.mark.parametrize("host", FAMILIES)
def test_connect_is_told_later_and_both_ends_are_known_then(host):
    with dialling(host) as it:
        seen = []
        it.socket.add_event_listener("connect", lambda event: seen.append((it.socket.connected, type(event))))
        assert it.socket.connect(host, it.port) is None
        assert it.log.events == []
        assert not it.socket.connected
        assert (it.socket.local_address, it.socket.remote_address, it.socket.remote_port) == (None, None, 0)
        with it.accept() as peer:
            assert seen == [(True, Event)]
            assert it.log.types == ["connect"]
            assert (it.socket.remote_address, it.socket.remote_port) == (host, it.port)
            assert (it.socket.local_address, it.socket.local_port) == peer.getpeername()[:2]


def test_no_name_of_the_engine_is_in_the_way_of_the_programs_own_attributes():
    with dialling("127.0.0.1") as it:
        it.socket.connect("127.0.0.1", it.port)
        assert not [name for name in vars(it.socket) if not name.startswith("_")]
        with it.accept():
            assert not [name for name in vars(it.socket) if not name.startswith("_")]


def test_constructor_connects():
    with socket.create_server(("127.0.0.1", 0)) as listener, Socket("127.0.0.1", listener.getsockname()[1]) as it:
        run_until(current_reactor(), lambda: it.connected)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_objects_of_the_ipaddress_module_are_taken(host):
    with dialling(host) as it:
        it.socket.connect(ipaddress.ip_address(host), it.port)
        it.until(lambda: it.socket.connected)


def test_host_name_is_looked_up():
    with dialling() as it:
        it.socket.connect("localhost", it.port)
        it.until(lambda: it.socket.connected)
        assert it.socket.remote_address == "127.0.0.1"


def test_data_flows_both_ways():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            it.socket.write_utf_bytes("hello")
            it.socket.flush()
            assert receive_exactly(it.reactor, peer, 5) == b"hello"
            peer.sendall(b"world")
            it.until(lambda: it.log.data == b"world")
        it.until(lambda: it.log.count("close"))
        assert sorted(set(it.log.types)) == ["close", "connect", "outputProgress", "socketData"]
        assert (it.log.types[0], it.log.types[-1]) == ("connect", "close")


def test_what_is_written_in_the_connect_handler_arrives():
    with dialling() as it:
        it.socket.add_event_listener("connect", lambda event: event.target.write(b"first"))
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            assert receive_exactly(it.reactor, peer, 5) == b"first"


def test_connect_again_after_close():
    with dialling() as it:
        for round in range(3):
            it.socket.connect("127.0.0.1", it.port)
            with it.accept() as peer:
                it.socket.close()
                assert (it.socket.connected, it.socket.remote_address, it.socket.remote_port) == (False, None, 0)
                assert receive_all(it.reactor, peer) == b""
            assert it.log.count("connect") == round + 1
        assert it.log.count("close") == 0


def test_connect_again_after_the_peer_closed():
    with dialling() as it:
        for round in range(3):
            it.socket.connect("127.0.0.1", it.port)
            with it.accept() as peer:
                peer.sendall(bytes([round]))
            it.until(lambda round=round: it.log.count("close") == round + 1)
        assert it.log.types == ["connect", "socketData", "close"] * 3
        assert it.log.data == b"\0\1\2"


def test_connect_again_in_the_close_handler():
    with dialling() as it:

        def closed(event):
            if it.log.count("close") < 3:
                it.socket.connect("127.0.0.1", it.port)

        it.socket.add_event_listener("close", closed)
        it.socket.connect("127.0.0.1", it.port)
        for round in range(3):
            it.until(lambda round=round: it.log.count("connect") == round + 1)
            it.accept().close()
            it.until(lambda round=round: it.log.count("close") == round + 1)
        settle(it.reactor)
        assert it.log.types == ["connect", "close"] * 3


def test_connect_while_connected_closes_the_old_connection_first():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as first:
            it.socket.write(b"farewell")
            it.socket.connect("127.0.0.1", it.port)
            assert not it.socket.connected
            assert it.socket.bytes_pending == 0
            with it.accept() as second:
                assert receive_all(it.reactor, first) == b"farewell"
                second.sendall(b"new")
                it.until(lambda: it.log.data == b"new")
                assert it.log.count("close") == 0
                assert it.log.count("connect") == 2


def test_refused_arguments_leave_the_connection_alone():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            for host, port in (("127.0.0.1", 65536), ("127.0.0.1", "80"), (None, 80), ("a b", 80), ("http://a/", 80)):
                with pytest.raises((OSError, TypeError, ValueError)):
                    it.socket.connect(host, port)
            assert it.socket.connected
            it.socket.write(b"still")
            assert receive_exactly(it.reactor, peer, 5) == b"still"


def test_unread_input_of_an_earlier_connection_is_gone():
    with dialling(reading=False) as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            peer.sendall(b"old")
        it.until(lambda: it.log.count("close"))
        assert it.socket.bytes_available == 3
        it.socket.connect("127.0.0.1", it.port)
        assert it.socket.bytes_available == 0
        assert (it.socket.local_address, it.socket.local_port) == (None, 0)
        with pytest.raises(serversocket.IOError):
            it.socket.read()
        with it.accept() as peer:
            peer.sendall(b"new")
            it.until(lambda: it.socket.bytes_available)
            assert it.socket.read() == b"new"


def test_total_of_output_begins_anew_with_each_connection():
    with dialling() as it:
        for _ in range(2):
            it.socket.connect("127.0.0.1", it.port)
            with it.accept():
                it.socket.write(b"12345")
                it.socket.flush()
                it.until(lambda: it.log.events[-1].type == "outputProgress")
                assert (it.log.events[-1].bytes_total, it.log.events[-1].bytes_pending) == (5, 0)
                it.socket.close()


@pytest.mark.parametrize("port", [-1, 65536, 2**31, 2**64, 10**100])
def test_port_out_of_range_is_a_security_error(port):
    it = Socket()
    with pytest.raises(serversocket.SecurityError, match=r"^Error #2003: ") as caught:
        it.connect("127.0.0.1", port)
    assert isinstance(caught.value, PermissionError)
    assert caught.value.error_id == 2003
    assert not it.connected
    settle(it.reactor)


@pytest.mark.parametrize("port", [None, True, 80.0, "80", b"80"])
def test_port_that_is_no_integer_is_refused(port):
    with pytest.raises(TypeError):
        Socket().connect("127.0.0.1", port)


def test_no_host_is_refused_with_airs_number():
    with pytest.raises(TypeError, match=r"^Error #1009: ") as caught:
        Socket().connect(None, 80)
    assert caught.value.error_id == 1009


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "http://example.com/", "a\0b", "127.0.0.1\0", "x" * 300, "127.1", "0x7f.1", "\udc80", "a/b"],
)
def test_host_that_cannot_be_one_is_refused(host):
    it = Socket()
    with pytest.raises(serversocket.ArgumentError, match=r"^Error #2004: "):
        it.connect(host, 80)
    settle(it.reactor)


@pytest.mark.parametrize("host", [b"localhost", 1, 1.5, True, []])
def test_host_that_is_no_string_is_refused(host):
    with pytest.raises(TypeError):
        Socket().connect(host, 80)


def test_addresses_are_tried_in_turn(monkeypatch):
    with dialling("127.0.0.1") as it:
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", it.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", it.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        it.socket.connect("both.example", it.port)
        with it.accept():
            assert it.socket.remote_address == "127.0.0.1"
            assert it.log.types == ["connect"]


def test_nothing_is_delivered_from_inside_connect():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        assert it.listener.accept()[0].close() is None
        assert it.log.events == []
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["connect", "close"]


def test_run_waits_for_a_connect_and_ends_after_the_close():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        it.socket.add_event_listener("connect", lambda event: event.target.close())
        serversocket.run()
        assert it.log.types == ["connect"]
        assert not it.socket.connected


def test_connect_to_the_own_server_on_one_reactor():
    reactor = current_reactor()
    logs = []
    with serversocket.ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.listen()
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        with Socket("127.0.0.1", server.local_port) as it:
            log = Log(it)
            it.add_event_listener("connect", lambda event: it.write(b"ping"))
            run_until(reactor, lambda: logs and logs[0].data == b"ping")
            logs[0].events[0].target.write(b"pong")
            logs[0].events[0].target.close()
            run_until(reactor, lambda: log.count("close"))
            assert log.data == b"pong"


@pytest.mark.parametrize("host", FAMILIES)
def test_no_delay_reaches_the_system(host):
    with dialling(host) as it:
        it.socket.tcp_no_delay = True
        it.socket.connect(host, it.port)
        with it.accept(), socket.socket(family_of(host), fileno=os.dup(it.socket.fileno())) as same:
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            it.socket.tcp_no_delay = False
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


def test_peer_that_accepts_and_resets_at_once():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        reset(it.listener.accept()[0])
        it.until(lambda: it.log.count("close") or it.log.count("ioError"))
        settle(it.reactor)
        assert it.log.types in (["connect", "ioError", "close"], ["ioError"])
        assert it.log.count("ioError") == 1


def test_unheld_socket_lives_while_it_connects():
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = []
        it = Socket("127.0.0.1", listener.getsockname()[1])
        it.add_event_listener(
            "connect", lambda event: (told.append(event.type), event.target.write(b"alive"), event.target.close())
        )
        del it
        gc.collect()
        run_until(reactor, lambda: told)
        with listener.accept()[0] as peer:
            assert receive_all(reactor, peer) == b"alive"
            assert ended(peer)


@on_linux
@pytest.mark.parametrize(("host", "loopback"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_the_address_that_was_asked_for_is_not_the_peers(host, loopback):
    with dialling(loopback) as it:
        it.socket.connect(host, it.port)
        with it.accept():
            assert it.socket.remote_address == it.socket.local_address == loopback
