from __future__ import annotations

import errno
import os
import socket

import pytest

import serversocket
from serversocket import IOErrorEvent, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, Log, dialling, on_linux, open_descriptors, run_until, settle, unused_port


@pytest.mark.parametrize("host", FAMILIES)
def test_one_io_error_and_no_close(host):
    reactor = current_reactor()
    it = Socket()
    log = Log(it)
    port = unused_port(host)
    it.connect(host, port)
    assert log.events == []
    run_until(reactor, lambda: log.events)
    settle(reactor)
    assert log.types == ["ioError"]
    (event,) = log.events
    assert type(event) is IOErrorEvent
    assert (event.error_id, event.errno, event.strerror) == (2031, errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert event.text.startswith(f"Error #2031: Socket Error. URL: {host}")
    assert os.strerror(errno.ECONNREFUSED) in event.text
    assert isinstance(event.error, ConnectionRefusedError)
    assert str(event.error) == event.text
    assert (it.connected, it.remote_address, it.remote_port, it.local_port) == (False, None, 0, 0)
    with pytest.raises(serversocket.IOError):
        it.close()


def test_without_listeners_nothing_is_said(uncaught):
    it = Socket()
    it.connect("127.0.0.1", unused_port())
    serversocket.run()
    assert not it.connected
    assert uncaught == []


def test_socket_may_connect_again_in_the_handler():
    with dialling() as it:
        it.socket.add_event_listener("ioError", lambda event: event.target.connect("127.0.0.1", it.port))
        it.socket.connect("127.0.0.1", unused_port())
        with it.accept():
            assert it.log.types == ["ioError", "connect"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_descriptor_is_left():
    reactor = current_reactor()
    before = open_descriptors()
    for _ in range(20):
        it = Socket("127.0.0.1", unused_port())
        log = Log(it)
        run_until(reactor, lambda log=log: log.count("ioError"))
    assert open_descriptors() == before


def test_name_that_is_not_found(monkeypatch):
    reactor = current_reactor()

    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    it = Socket("nowhere.example", 80)
    log = Log(it)
    assert log.events == []
    run_until(reactor, lambda: log.events)
    settle(reactor)
    assert log.types == ["ioError"]
    assert log.events[0].error_id == 2031
    assert log.events[0].text.startswith("Error #2031: Socket Error. URL: nowhere.example")
    assert "Name or service not known" in log.events[0].text
    assert (log.events[0].errno, log.events[0].strerror) == (socket.EAI_NONAME, "Name or service not known")
    assert isinstance(log.events[0].error, socket.gaierror)


def test_name_whose_look_up_the_system_refuses(monkeypatch):
    """Not getaddrinfo's own error but the system's, as where no file could be opened."""

    def fail(*args, **kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    it = Socket("nowhere.example", 80)
    log = Log(it)
    run_until(current_reactor(), lambda: log.events)
    assert [(event.type, event.errno) for event in log.events] == [("ioError", errno.EIO)]
    assert not isinstance(log.events[0].error, socket.gaierror)


def test_interface_that_does_not_exist_closes_the_connection_and_is_one_error():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as peer:
            it.socket.connect("fe80::1%nosuchif0", it.port)
            assert it.log.types == ["connect"]
            it.until(lambda: it.log.count("ioError"))
            assert peer.recv(1) == b""
            settle(it.reactor)
        event = it.log.events[-1]
        assert (it.log.types, event.errno) == (["connect", "ioError"], errno.ENODEV)
        assert event.text.startswith("Error #2031: Socket Error. URL: fe80::1%nosuchif0 connect [fe80::1%nosuchif0]:")


def test_name_without_addresses(monkeypatch):
    reactor = current_reactor()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    it = Socket("empty.example", 80)
    log = Log(it)
    run_until(reactor, lambda: log.events)
    assert log.types == ["ioError"]


def test_every_address_refused_is_one_error(monkeypatch):
    reactor = current_reactor()
    port = unused_port()
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ] * 3
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    it = Socket("both.example", port)
    log = Log(it)
    run_until(reactor, lambda: log.events)
    settle(reactor)
    assert [(event.type, event.errno) for event in log.events] == [("ioError", errno.ECONNREFUSED)]


@on_linux
def test_connect_that_nobody_answers_times_out():
    reactor = current_reactor()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # A full queue: the system drops what comes next, and a connect waits.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        it = Socket()
        it.timeout = 0
        log = Log(it)
        it.connect(*address)
        run_until(reactor, lambda: log.events)
        settle(reactor)
        assert [(event.type, event.errno) for event in log.events] == [("ioError", errno.ETIMEDOUT)]
        assert isinstance(log.events[0].error, TimeoutError)
        assert not it.connected
        for filler in fillers:
            filler.close()


@on_linux
@pytest.mark.parametrize("host", ["255.255.255.255", "0.0.0.0"])
def test_address_that_the_system_refuses_at_once_is_told_later(host):
    reactor = current_reactor()
    it = Socket()
    log = Log(it)
    it.connect(host, unused_port())
    assert log.events == []
    run_until(reactor, lambda: log.events)
    settle(reactor)
    assert log.types == ["ioError"]
    assert log.events[0].errno


def test_port_0_is_an_io_error_later():
    reactor = current_reactor()
    it = Socket()
    log = Log(it)
    it.connect("127.0.0.1", 0)
    run_until(reactor, lambda: log.events)
    assert log.types == ["ioError"]
