"""`pause` and `resume`: the program decides when it is read."""

from __future__ import annotations

import errno
import socket

import pytest

import serversocket
from serversocket import IOError, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import (
    LINUX,
    Log,
    connect_to,
    connection,
    dialling,
    listening,
    on_linux,
    pattern,
    receive_all,
    reset,
    run_until,
    send_all,
    settle,
)


def test_a_paused_socket_hears_nothing_until_it_is_resumed():
    with connection() as it:
        it.socket.pause()
        assert it.socket.paused
        it.peer.sendall(b"hello")
        settle(it.reactor)
        assert it.log.types == []
        assert it.socket.bytes_available == 0
        it.socket.resume()
        assert not it.socket.paused
        it.until(lambda: it.log.data == b"hello")


def test_it_can_pause_in_its_connect_event():
    reactor = current_reactor()
    logs = []
    paused = []

    def welcome(event):
        event.socket.pause()
        paused.append(event.socket)
        logs.append(Log(event.socket))

    with listening() as server:
        server.add_event_listener("connect", welcome)
        with connect_to("127.0.0.1", server.local_port) as peer:
            peer.sendall(b"early")
            run_until(reactor, lambda: logs)
            settle(reactor)
            assert logs[0].types == []
            assert server.connections == 1
            logs[0].events.clear()
            peer.close()
            paused.pop().resume()
            run_until(reactor, lambda: logs[0].types == ["socketData", "close"])
            assert logs[0].data == b"early"


def test_pausing_in_a_listener_ends_the_turns_reading():
    with connection(reading=False) as it:
        read = []

        def once(event):
            read.append(len(it.socket.read()))
            it.socket.pause()

        it.socket.add_event_listener("socketData", once)
        it.peer.sendall(pattern(200_000))
        it.until(lambda: read)
        settle(it.reactor)
        assert read == [65536]
        it.socket.resume()
        it.until(lambda: len(read) == 2)
        settle(it.reactor)
        assert read == [65536, 65536]


def test_nothing_is_lost_by_pausing_and_resuming():
    with connection() as it:
        data = pattern(3_000_000)

        def alternate(event):
            it.socket.pause()
            it.reactor.call_later(0, it.socket.resume)

        it.socket.add_event_listener("socketData", alternate)
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(it.log.data) == len(data))
        assert it.log.data == data


def test_the_end_of_the_stream_is_heard_after_resume_behind_the_last_bytes():
    with connection() as it:
        it.socket.pause()
        it.peer.sendall(b"last words")
        it.peer.close()
        settle(it.reactor)
        assert it.log.types == []
        assert it.socket.connected
        it.socket.resume()
        it.until_event("close")
        assert it.log.types == ["socketData", "close"]
        assert it.log.data == b"last words"


def test_a_reset_while_paused_does_not_spin_and_is_heard_after_resume():
    with connection() as it:
        it.socket.pause()
        reset(it.peer)
        settle(it.reactor)
        turns = 0
        for _ in range(50):
            turns += it.reactor.poll(0.001)
        assert turns == 0
        assert it.log.types == []
        it.socket.resume()
        it.until_event("close")
        assert it.log.types == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.ECONNRESET


def test_bytes_before_a_reset_are_delivered_after_resume():
    with connection() as it:
        it.socket.pause()
        it.peer.sendall(b"before")
        settle(it.reactor)
        reset(it.peer)
        settle(it.reactor)
        it.socket.resume()
        it.until_event("close")
        assert it.log.data == b"before" or (not LINUX and it.log.data == b"")  # other systems may have dropped them
        assert it.log.types[-2:] == ["ioError", "close"]


def test_output_leaves_while_input_is_paused():
    with connection() as it:
        it.socket.pause()
        data = pattern(3_000_000)
        it.socket.write(data)
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == data


def test_output_leaves_in_pieces_while_input_is_paused():
    with connection(receive_buffer=4096) as it:
        it.socket.pause()
        data = pattern(12_000_000)
        it.socket.write(data)
        settle(it.reactor)
        assert it.socket.bytes_pending
        it.peer.sendall(b"not read")
        received = bytearray()
        it.peer.setblocking(False)

        def complete():
            try:
                while len(received) < len(data):
                    received.extend(it.peer.recv(65536))
            except BlockingIOError:
                pass
            return len(received) == len(data)

        it.until(complete)
        assert received == data
        assert "socketData" not in it.log.types
        it.socket.abort()


def test_a_failed_send_ends_the_pause():
    with connection() as it:
        it.peer.sendall(b"unread")
        it.socket.pause()
        settle(it.reactor)
        reset(it.peer)
        settle(it.reactor)

        def write():
            if it.socket.connected:
                it.socket.write(b"into the void")
            return it.log.count("close")

        it.until(write)
        assert it.log.types[-2:] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno in (errno.ECONNRESET, errno.EPIPE)
        assert not it.socket.paused


def test_a_new_connection_is_not_paused():
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        with it.accept():
            it.socket.pause()
            it.socket.connect("127.0.0.1", it.port)
            with it.accept() as peer:
                assert not it.socket.paused
                peer.sendall(b"x")
                it.until(lambda: it.log.data == b"x")


def test_pausing_twice_and_resuming_unpaused_do_nothing():
    with connection() as it:
        it.socket.resume()
        it.socket.pause()
        it.socket.pause()
        it.socket.resume()
        it.peer.sendall(b"hello")
        it.until(lambda: it.log.data == b"hello")


@pytest.mark.parametrize("call", ["pause", "resume"])
def test_without_a_connection_it_is_refused(call):
    with pytest.raises(IOError, match=f"#2002.*{call}: the socket is not open"):
        getattr(Socket(), call)()


def test_run_waits_for_a_paused_connection():
    with connection() as it:
        it.socket.pause()
        it.reactor.call_later(0.05, it.socket.resume)
        it.peer.sendall(b"hello")
        it.socket.add_event_listener("socketData", lambda event: it.reactor.stop())
        serversocket.run()
        assert it.log.data == b"hello"


def test_run_does_not_end_while_a_paused_connection_is_open():
    with connection() as it:
        it.socket.pause()
        settle(it.reactor)
        it.reactor.call_soon_threadsafe(it.reactor.call_later, 0.02, it.reactor.stop)
        it.reactor.run()
        assert it.socket.connected


def test_reading_while_paused_gives_what_was_left():
    with connection(reading=False) as it:
        it.peer.sendall(b"some bytes")
        it.until(lambda: it.socket.bytes_available == 10)
        it.socket.pause()
        assert it.socket.read(4) == b"some"
        assert it.socket.read() == b" bytes"
        assert it.socket.read() == b""


@on_linux
def test_a_paused_socket_holds_its_peer_back():
    with connection() as it:
        it.socket.pause()
        it.peer.setblocking(False)
        sent = 0
        while True:
            try:
                sent += it.peer.send(bytes(65536))
            except BlockingIOError:
                settle(it.reactor)
                try:
                    sent += it.peer.send(bytes(65536))
                except BlockingIOError:
                    break
        assert it.socket.bytes_available == 0
        it.socket.resume()
        it.until(lambda: len(it.log.data) == sent)


def test_a_hang_up_on_both_sides_while_paused_does_not_spin():
    with connection() as it:
        it.socket.pause()
        it.peer.shutdown(socket.SHUT_RDWR)
        settle(it.reactor)
        assert it.socket.connected
        it.socket.resume()
        it.until_event("close")
