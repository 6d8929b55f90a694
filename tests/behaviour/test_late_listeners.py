"""What happened before somebody listened is told by an event from the reactor when the first listener comes."""

from __future__ import annotations

import errno
import socket

import pytest

from serversocket import Socket

from .helpers import Log, connection, dialling, reset, run_until, settle


def unheard(it):
    """Data of the peer has arrived and nothing was told."""
    it.peer.sendall(b"hello")
    it.until(lambda: it.socket.bytes_available == 5)


def test_input_that_waits_is_told_to_the_first_listener():
    with connection(types=()) as it:
        unheard(it)
        log = Log(it.socket, types=("socketData",))
        assert log.events == []  # never from inside add_event_listener
        run_until(it.reactor, lambda: log.data == b"hello")
        assert [event.bytes_loaded for event in log.events] == [5]
        settle(it.reactor)
        assert log.count("socketData") == 1


def test_it_is_told_once_together_with_what_comes_in_the_same_turn():
    with connection(types=()) as it:
        unheard(it)
        log = Log(it.socket, types=("socketData",))
        it.peer.sendall(b" world")
        run_until(it.reactor, lambda: log.data == b"hello world")
        settle(it.reactor)
        assert log.data == b"hello world"


def test_who_reads_before_the_event_comes_is_not_told():
    with connection(types=()) as it:
        unheard(it)
        log = Log(it.socket, types=("socketData",))
        assert it.socket.read() == b"hello"
        settle(it.reactor)
        assert log.events == []


def test_a_listener_that_goes_before_the_event_comes_is_not_told():
    with connection(types=()) as it:
        unheard(it)
        log = Log(it.socket, types=("socketData",))
        it.socket.remove_event_listener("socketData", log.note)
        settle(it.reactor)
        assert log.events == []
        assert it.socket.read() == b"hello"


def test_a_paused_socket_tells_after_resume():
    with connection(types=()) as it:
        unheard(it)
        it.socket.pause()
        log = Log(it.socket, types=("socketData",))
        settle(it.reactor)
        assert log.events == []
        it.socket.resume()
        run_until(it.reactor, lambda: log.data == b"hello")


def test_a_listener_may_hand_over_to_another_in_the_middle_of_the_input():
    with connection(types=()) as it:
        seen = []

        def first(event):
            seen.append(event.target.read(2))
            it.socket.remove_event_listener("socketData", first)
            it.socket.add_event_listener("socketData", second)

        def second(event):
            seen.append(event.target.read())

        it.socket.add_event_listener("socketData", first)
        it.peer.sendall(b"hello")
        it.until(lambda: len(seen) == 2)
        assert seen == [b"he", b"llo"]


def test_the_answer_of_a_late_listener_is_sent():
    with connection(types=()) as it:
        unheard(it)
        it.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
        it.until(lambda: not it.socket.bytes_available)
        assert it.peer.recv(10) == b"hello"


@pytest.mark.parametrize("sent", [b"", b"last"])
def test_the_end_is_told_to_who_comes_late_behind_the_input(sent):
    with connection(types=()) as it:
        it.peer.sendall(sent)
        it.peer.close()
        it.until(lambda: not it.socket.connected)
        log = Log(it.socket)
        assert log.events == []
        run_until(it.reactor, lambda: log.count("close"))
        assert log.types == (["socketData", "close"] if sent else ["close"])
        assert log.data == sent
        settle(it.reactor)
        assert log.count("close") == 1


def test_the_end_that_was_told_is_told_nobody_else():
    with connection(types=("close",)) as it:
        it.peer.close()
        it.until_event("close")
        late = Log(it.socket, types=("close",))
        settle(it.reactor)
        assert late.events == []


def test_the_end_of_the_peers_output_is_told_to_who_comes_late():
    with connection(types=()) as it:
        it.socket.allow_half_open = True
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.socket.input_ended)
        log = Log(it.socket, types=("end", "close"))
        run_until(it.reactor, lambda: log.count("end"))
        it.socket.write(b"answer")
        it.socket.close()
        settle(it.reactor)
        assert log.types == ["end"]
        assert it.peer.recv(10) == b"answer"


def test_a_reset_that_nobody_heard_of_is_no_clean_end():
    with connection(types=()) as it:
        reset(it.peer)
        it.until(lambda: not it.socket.connected)
        log = Log(it.socket)
        run_until(it.reactor, lambda: log.count("close"))
        assert log.types == ["ioError", "close"]
        assert log.of("ioError")[0].errno == errno.ECONNRESET


def test_nothing_of_an_earlier_connection_is_told_of_the_next():
    with dialling() as it:
        for type in ("socketData", "ioError", "close"):
            it.socket.remove_event_listener(type, it.log.note)
        it.socket.connect("127.0.0.1", it.port)
        reset(it.accept())
        it.until(lambda: not it.socket.connected)
        it.socket.connect("127.0.0.1", it.port)
        with it.accept():
            log = Log(it.socket)
            settle(it.reactor)
            assert log.events == []


def test_run_waits_for_what_is_still_to_be_told():
    with connection(types=()) as it:
        it.peer.close()
        it.until(lambda: not it.socket.connected)
        log = Log(it.socket)
        it.reactor.run()
        assert log.types == ["close"]


def test_a_closed_reactor_refuses_nothing():
    with connection(types=()) as it:
        unheard(it)
        it.peer.close()
        it.until(lambda: not it.socket.connected)
        it.reactor.close()
        Log(it.socket)
        assert it.socket.read() == b"hello"


def test_a_socket_that_never_was_connected_owes_nothing():
    socket = Socket()
    log = Log(socket)
    settle(socket.reactor)
    assert log.events == []
