from __future__ import annotations

import os
import socket

import pytest

import serversocket

from .helpers import (
    FAMILIES,
    connection,
    dialling,
    ended,
    on_linux,
    on_posix,
    open_descriptors,
    pattern,
    receive_all,
    reset,
    run_until,
    settle,
)


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("flush", [True, False])
def test_what_was_written_arrives(host, flush):
    with connection(host) as it:
        it.socket.write(b"goodbye")
        if flush:
            it.socket.flush()
        it.socket.close()
        assert not it.socket.connected
        assert receive_all(it.reactor, it.peer) == b"goodbye"


@pytest.mark.parametrize("flush", [True, False])
def test_much_that_was_written_arrives(flush):
    data = pattern(5_000_000)
    with connection() as it:
        for start in range(0, len(data), 700_000):
            it.socket.write(data[start : start + 700_000])
        if flush:
            it.socket.flush()
        it.socket.close()
        assert (it.socket.connected, it.socket.bytes_pending, it.socket.bytes_available) == (False, 0, 0)
        assert receive_all(it.reactor, it.peer) == data
        it.peer.close()
        settle(it.reactor)
        assert [type for type in it.log.types if type != "outputProgress"] == []


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_a_peer_that_has_sent_more_than_was_read_gets_everything(size):
    data = pattern(size)
    with connection() as it:
        it.socket.write(data)
        it.socket.flush()
        it.peer.sendall(b"nobody reads this")
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == data
        it.peer.sendall(b"nor this")
        it.peer.close()
        settle(it.reactor)


@on_linux
def test_a_peer_that_never_closes_does_not_keep_the_descriptor():
    with connection() as it:
        number = it.socket.fileno()
        it.socket.write(b"bye")
        it.socket.flush()
        it.peer.sendall(b"nobody reads this")
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == b"bye"
        run_until(it.reactor, lambda: not os.path.exists(f"/proc/self/fd/{number}"))


def test_run_ends_only_after_the_last_byte():
    data = pattern(3_000_000)
    with socket.create_server(("127.0.0.1", 0)) as listener, serversocket.Socket() as it:

        def connected(event):
            it.write(data)
            it.close()

        it.add_event_listener("connect", connected)
        it.connect(*listener.getsockname())
        received = bytearray()
        reactor = it.reactor

        def read_on():
            if not received:
                read_on.peer = listener.accept()[0]
                read_on.peer.setblocking(False)
            try:
                while chunk := read_on.peer.recv(65536):
                    received.extend(chunk)
            except BlockingIOError:
                reactor.call_later(0.001, read_on)
            else:
                read_on.peer.close()

        reactor.call_later(0.01, read_on)
        serversocket.run()
        assert received == data


def test_own_close_is_no_event():
    with connection() as it:
        it.socket.close()
        settle(it.reactor)
        assert it.log.events == []
        assert ended(it.peer)


def test_every_call_after_the_close_is_refused():
    with connection() as it:
        it.peer.sendall(b"unread")
        it.socket.remove_event_listener("socketData", it.log.note)
        it.until(lambda: it.socket.bytes_available == 6)
        it.socket.close()
        assert (it.socket.bytes_available, it.socket.remote_address, it.socket.remote_port) == (0, None, 0)
        assert (it.socket.local_address, it.socket.local_port) == (None, 0)
        for call, arguments in (
            ("read", ()),
            ("peek", ()),
            ("view", ()),
            ("skip", ()),
            ("readinto", (bytearray(1),)),
            ("read_byte", ()),
            ("write", (b"",)),
            ("flush", ()),
            ("close", ()),
            ("abort", ()),
            ("fileno", ()),
        ):
            with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
                getattr(it.socket, call)(*arguments)


def test_peer_that_resets_meanwhile_ends_it_quietly(uncaught):
    with connection(receive_buffer=4096) as it:
        before = open_descriptors() - {it.socket.fileno(), it.peer.fileno()}
        it.socket.write(bytes(8_000_000))
        it.socket.close()
        settle(it.reactor)
        reset(it.peer)
        it.until(lambda: open_descriptors() <= before)
        settle(it.reactor)
        assert [type for type in it.log.types if type != "outputProgress"] == []
        assert uncaught == []


def test_peer_that_closes_meanwhile_ends_it_quietly(uncaught):
    with connection(receive_buffer=4096) as it:
        before = open_descriptors() - {it.socket.fileno(), it.peer.fileno()}
        it.socket.write(bytes(8_000_000))
        it.socket.close()
        it.peer.close()
        it.until(lambda: open_descriptors() <= before)
        settle(it.reactor)
        assert uncaught == []


def test_peer_that_goes_on_sending_does_not_make_it_spin():
    data = pattern(4_000_000)
    with connection(receive_buffer=4096) as it:
        it.socket.write(data)
        it.socket.close()
        it.peer.setblocking(False)
        it.peer.send(b"you do not read this")
        settle(it.reactor)
        assert len(it.peer.recv(100)) > 0
        before = open_descriptors()
        reset(it.peer)
        it.until(lambda: len(open_descriptors()) == len(before) - 2)


def test_half_closed_peer_gets_everything():
    data = pattern(4_000_000)
    with connection() as it:
        it.socket.write(data)
        it.socket.close()
        it.peer.shutdown(socket.SHUT_WR)
        assert receive_all(it.reactor, it.peer) == data


@on_posix
def test_abort_drops_what_is_pending_and_resets():
    with connection() as it:
        it.socket.write(b"never sent")
        it.socket.abort()
        assert (it.socket.connected, it.socket.bytes_pending) == (False, 0)
        with pytest.raises(ConnectionResetError):
            it.peer.recv(100)
        settle(it.reactor)
        assert it.log.events == []


def test_abort_with_much_pending_leaves_nothing():
    with connection(receive_buffer=4096) as it:
        before = open_descriptors() - {it.socket.fileno()}
        it.socket.write(bytes(8_000_000))
        it.socket.flush()
        it.socket.abort()
        assert open_descriptors() == before
        settle(it.reactor)
        assert it.log.count("close") == it.log.count("ioError") == 0


def test_connect_anew_while_the_old_output_is_still_sent():
    data = pattern(3_000_000)
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as first:
            it.socket.write(data)
            it.socket.connect("127.0.0.1", it.port)
            with it.accept() as second:
                it.socket.write(b"second")
                it.socket.close()
                assert receive_all(it.reactor, second) == b"second"
                assert receive_all(it.reactor, first) == data
        settle(it.reactor)


def test_closing_in_the_close_handler_is_refused_there():
    with connection() as it:
        errors = []

        def closed(event):
            with pytest.raises(serversocket.IOError):
                event.target.close()
            errors.append(1)

        it.socket.add_event_listener("close", closed)
        it.peer.close()
        it.until(lambda: errors)


def test_closing_the_reactor_drops_what_is_still_being_sent():
    reactor = serversocket.Reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        it = serversocket.Socket("127.0.0.1", listener.getsockname()[1], reactor=reactor)
        told = []
        it.add_event_listener("connect", told.append)
        while not told:
            reactor.poll(1)
        peer = listener.accept()[0]
        before = open_descriptors()
        it.write(bytes(8_000_000))
        it.close()
        reactor.close()
        assert len(open_descriptors()) < len(before)
        peer.close()
