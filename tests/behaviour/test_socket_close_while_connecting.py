from __future__ import annotations

import gc
import socket
import threading
import weakref

import pytest

import serversocket
from serversocket import Socket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, Log, dialling, on_posix, open_descriptors, run_until, settle, unused_port


@pytest.mark.parametrize("host", FAMILIES)
def test_close_cancels_and_nothing_is_told(host):
    with dialling(host) as it:
        before = open_descriptors()
        it.socket.connect(host, it.port)
        assert it.socket.close() is None
        assert open_descriptors() == before
        settle(it.reactor)
        assert it.log.events == []
        assert not it.socket.connected
        with pytest.raises(serversocket.IOError):
            it.socket.close()


def test_close_of_a_refused_connect_tells_nothing():
    reactor = current_reactor()
    it = Socket()
    log = Log(it)
    it.connect("127.0.0.1", unused_port())
    it.close()
    settle(reactor)
    assert log.events == []


def test_run_ends_after_the_close():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        it.socket.close()
        serversocket.run()


def test_connecting_again_gives_one_connection():
    with dialling() as it, socket.create_server(("127.0.0.1", 0)) as other:
        it.socket.connect("127.0.0.1", it.port)
        it.socket.connect("127.0.0.1", other.getsockname()[1])
        it.until(lambda: it.socket.connected)
        settle(it.reactor)
        assert it.log.types == ["connect"]
        assert it.socket.remote_port == other.getsockname()[1]


@pytest.mark.parametrize("call", ["read", "flush", "abort", "fileno", "read_byte"])
def test_other_calls_are_refused_while_connecting(call):
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
            getattr(it.socket, call)()
        with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
            it.socket.write(b"too early")
        with it.accept():
            assert it.log.types == ["connect"]


def test_close_in_the_connect_handler():
    with dialling() as it:
        it.socket.add_event_listener("connect", lambda event: event.target.close(), priority=1)
        it.socket.connect("127.0.0.1", it.port)
        it.until(lambda: it.log.events)
        settle(it.reactor)
        assert it.log.types == ["connect"]
        with it.listener.accept()[0] as peer:
            assert peer.recv(1) == b""


def test_connect_again_in_the_connect_handler():
    with dialling() as it:

        def connected(event):
            if it.log.count("connect") < 3:
                it.socket.connect("127.0.0.1", it.port)

        it.socket.add_event_listener("connect", connected)
        it.socket.connect("127.0.0.1", it.port)
        it.until(lambda: it.log.count("connect") == 3)
        settle(it.reactor)
        assert it.socket.connected
        assert it.log.types == ["connect"]


def test_close_while_the_name_is_looked_up(monkeypatch):
    answer, asked = threading.Event(), threading.Event()

    def look_up(*args, **kwargs):
        asked.set()
        answer.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reactor = current_reactor()
    it = Socket("slow.example", 9)
    log = Log(it)
    assert asked.wait(60)
    it.close()
    reactor.run()
    answer.set()
    settle(reactor)
    assert log.events == []


def test_with_closes_what_connects():
    with dialling() as it:
        with it.socket:
            it.socket.connect("127.0.0.1", it.port)
        settle(it.reactor)
        assert it.log.events == []


@on_posix
def test_closing_the_reactor_while_connecting():
    reactor = serversocket.Reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = open_descriptors()
        it = Socket("127.0.0.1", listener.getsockname()[1], reactor=reactor)
        log = Log(it)
        reactor.close()
        assert len(open_descriptors()) < len(before)
        assert log.events == []
        assert not it.connected


def test_nothing_keeps_a_socket_after_the_connect_was_given_up():
    reactor = current_reactor()
    it = Socket("127.0.0.1", unused_port())
    it.add_event_listener("ioError", print)
    it.close()
    reference = weakref.ref(it)
    del it
    settle(reactor)
    gc.collect()
    assert reference() is None


def test_nothing_keeps_a_socket_after_a_refused_connect():
    reactor = current_reactor()
    told = []
    it = Socket("127.0.0.1", unused_port())
    it.add_event_listener("ioError", lambda event: told.append(1))
    reference = weakref.ref(it)
    del it
    run_until(reactor, lambda: told)
    settle(reactor)
    gc.collect()
    assert reference() is None
