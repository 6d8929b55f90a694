"""`allow_half_open`, `write_eof` and the event ``end``: the two directions of a connection end one by one."""

from __future__ import annotations

import errno
import socket

import pytest

import serversocket
from serversocket import Event
from serversocket.loop.reactor import current_reactor

from .helpers import (
    EVENTS,
    FAMILIES,
    Connection,
    Log,
    connection,
    dialling,
    ended,
    listening,
    on_linux,
    pattern,
    receive_all,
    receive_exactly,
    reset,
    run_until,
    settle,
)

ALL = (*(type for type in EVENTS if type != "outputProgress"), "end")


@pytest.fixture
def it():
    with connection(types=ALL) as it:
        it.socket.allow_half_open = True
        yield it


def end_input(it: Connection) -> None:
    it.peer.shutdown(socket.SHUT_WR)
    it.until(lambda: it.log.count("end"))


# ---- the peer ends


@pytest.mark.parametrize("host", FAMILIES)
def test_a_program_may_answer_after_the_end(host):
    with connection(host, types=ALL) as it:
        it.socket.allow_half_open = True
        it.peer.sendall(b"request")
        end_input(it)
        settle(it.reactor)
        assert it.log.types == ["socketData", "end"]
        assert it.log.data == b"request"
        assert (it.socket.connected, it.socket.input_ended, it.socket.output_ended) == (True, True, False)
        it.socket.write(b"answer")
        assert receive_exactly(it.reactor, it.peer, 6) == b"answer"
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == b""
        assert it.log.types == ["socketData", "end"]


def test_it_is_off_at_first_as_in_air():
    with connection(types=ALL) as it:
        assert it.socket.allow_half_open is False
        assert it.socket.allowHalfOpen is False
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["close"]
        assert it.socket.input_ended


def test_the_end_is_an_event():
    assert Event.END == "end"
    with connection(types=ALL) as it:
        it.socket.allowHalfOpen = True
        end_input(it)
        (event,) = it.log.of("end")
        assert type(event) is Event
        assert event.target is it.socket


def test_what_the_listener_of_the_end_writes_is_sent(it):
    reply = pattern(3_000_000)

    def answer(event):
        event.target.write(reply)
        event.target.close()

    it.socket.add_event_listener("end", answer)
    it.peer.shutdown(socket.SHUT_WR)
    assert receive_all(it.reactor, it.peer) == reply


def test_unread_input_stays_readable():
    with connection(types=ALL, reading=False) as it:
        it.socket.allow_half_open = True
        it.peer.sendall(b"early")
        end_input(it)
        assert it.socket.read(2) == b"ea"
        settle(it.reactor)
        assert it.socket.read() == b"rly"


def test_a_large_answer_after_the_end_waits_for_a_slow_peer():
    reply = pattern(5_000_000)
    with connection(types=ALL, receive_buffer=4096) as it:
        it.socket.allow_half_open = True
        end_input(it)
        it.socket.write(reply)
        settle(it.reactor)
        assert it.socket.bytes_pending > 0
        assert receive_exactly(it.reactor, it.peer, len(reply)) == reply
        it.until(lambda: it.socket.bytes_pending == 0)
        assert it.socket.connected


def test_nothing_spins_while_only_output_is_open(it):
    end_input(it)
    settle(it.reactor)
    assert it.reactor.poll(0.01) == 0


def test_the_listener_of_the_end_may_close(it):
    it.socket.add_event_listener("end", lambda event: event.target.close())
    it.peer.shutdown(socket.SHUT_WR)
    it.until(lambda: it.log.count("end"))
    settle(it.reactor)
    assert not it.socket.connected
    assert it.log.types == ["end"]


def test_the_listener_of_the_end_may_connect_anew(it):
    with listening() as other:
        fresh = []
        other.add_event_listener("connect", lambda event: fresh.append(event.socket))
        it.socket.add_event_listener("end", lambda event: event.target.connect("127.0.0.1", other.local_port))
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: fresh and it.socket.connected)
        assert not it.socket.input_ended
        fresh[0].write(b"still reading")
        it.until(lambda: it.log.data == b"still reading")
        fresh[0].close()
        it.until(lambda: it.log.count("end") == 2)


def test_it_may_be_turned_off_again(it):
    it.socket.allow_half_open = False
    it.peer.shutdown(socket.SHUT_WR)
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["close"]


def test_pausing_puts_the_end_off(it):
    it.socket.pause()
    it.peer.sendall(b"late")
    it.peer.shutdown(socket.SHUT_WR)
    settle(it.reactor)
    assert it.log.events == []
    it.socket.resume()
    it.until(lambda: it.log.count("end"))
    assert it.log.types == ["socketData", "end"]


@pytest.mark.parametrize("paused", [False, True])
@on_linux
def test_a_peer_that_breaks_off_after_its_end_is_noticed(it, paused):
    end_input(it)
    if paused:
        it.socket.pause()
    if serversocket.implementation == "pure" and not it.reactor._poller_.known & 8:
        it.socket.write(b"is anybody there?")
    settle(it.reactor)
    reset(it.peer)
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["end", "ioError", "close"]
    assert it.log.of("ioError")[0].errno in (errno.EPIPE, errno.ECONNRESET)
    assert not it.socket.connected


def test_writing_to_a_peer_that_has_closed_breaks_the_connection(it):
    it.peer.close()
    it.until(lambda: it.log.count("end"))
    while not it.log.count("close"):
        if it.socket.connected:
            it.socket.write(b"too late")
        it.reactor.poll(0.01)
    assert it.log.types == ["end", "ioError", "close"]


# ---- the program ends


@pytest.mark.parametrize("host", FAMILIES)
def test_input_goes_on_after_ones_own_end(host):
    with connection(host, types=ALL) as it:
        it.socket.write(b"question")
        it.socket.write_eof()
        assert it.socket.output_ended
        assert it.socket.connected
        assert receive_all(it.reactor, it.peer) == b"question"
        it.peer.sendall(b"answer")
        it.until(lambda: it.log.data == b"answer")
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "close"]
        assert not it.socket.connected


def test_everything_written_comes_before_the_end():
    data = pattern(5_000_000)
    with connection(types=ALL, receive_buffer=4096) as it:
        it.socket.write(data)
        it.socket.writeEOF()
        assert it.socket.outputEnded
        assert it.socket.bytes_pending > 0
        settle(it.reactor)
        assert receive_all(it.reactor, it.peer) == data
        assert it.socket.bytes_pending == 0
        assert it.socket.connected


def test_writing_after_ones_own_end_is_refused(it):
    it.socket.write_eof()
    for data in (b"more", b"", bytearray(b"more")):
        with pytest.raises(serversocket.IOError, match=r"^Error #2002: .* write: write_eof was called$"):
            it.socket.write(data)
    with pytest.raises(serversocket.IOError, match="write_eof was called"):
        it.socket.write_utf("more")
    assert it.socket.bytes_pending == 0
    assert it.socket.connected


def test_data_that_ends_the_output_while_it_is_converted_is_refused(it):
    class Array(serversocket.ByteArray):
        def __bytes__(self):
            it.socket.write_eof()
            return b"late"

    with pytest.raises(serversocket.IOError, match="write_eof was called"):
        it.socket.write(Array())
    assert receive_all(it.reactor, it.peer) == b""


def test_a_second_call_does_nothing(it):
    it.socket.write(b"all")
    it.socket.write_eof()
    it.socket.write_eof()
    assert receive_all(it.reactor, it.peer) == b"all"
    it.socket.write_eof()
    settle(it.reactor)
    assert it.socket.connected


def test_on_a_socket_that_is_not_open():
    fresh = serversocket.Socket()
    with pytest.raises(serversocket.IOError, match=r"^Error #2002: .* write_eof"):
        fresh.write_eof()
    assert not fresh.output_ended
    assert not fresh.input_ended
    fresh.allow_half_open = True
    assert fresh.allow_half_open


def test_close_after_ones_own_end(it):
    it.socket.write(b"all")
    it.socket.write_eof()
    it.socket.close()
    assert receive_all(it.reactor, it.peer) == b"all"
    settle(it.reactor)
    assert it.log.events == []


def test_close_after_ones_own_end_with_output_that_is_blocked():
    data = pattern(5_000_000)
    with connection(types=ALL, receive_buffer=4096) as it:
        it.socket.write(data)
        it.socket.write_eof()
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == data
        it.peer.close()
        settle(it.reactor)


def test_abort_after_ones_own_end(it):
    it.socket.write_eof()
    it.socket.abort()
    settle(it.reactor)
    assert ended(it.peer)
    assert it.log.events == []


def test_a_reset_after_ones_own_end(it):
    it.socket.write_eof()
    settle(it.reactor)
    reset(it.peer)
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["ioError", "close"]


# ---- both end


def test_the_connection_is_over_when_both_have_ended_the_peer_first(it):
    end_input(it)
    it.socket.write(b"answer")
    it.socket.write_eof()
    assert it.socket.connected  # nobody hears of the end inside his own call
    assert it.log.types == ["end"]
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["end", "close"]
    assert not it.socket.connected
    assert receive_all(it.reactor, it.peer) == b"answer"


def test_the_connection_is_over_when_both_have_ended_the_program_first(it):
    it.socket.write_eof()
    settle(it.reactor)
    assert it.log.events == []
    it.peer.shutdown(socket.SHUT_WR)
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["end", "close"]


def test_the_connection_is_over_when_blocked_output_has_gone():
    data = pattern(5_000_000)
    with connection(types=ALL, receive_buffer=4096) as it:
        it.socket.allow_half_open = True
        end_input(it)
        it.socket.write(data)
        it.socket.write_eof()
        settle(it.reactor)
        assert it.log.types == ["end"]
        assert receive_all(it.reactor, it.peer) == data
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["end", "close"]


def test_ending_in_the_listener_of_the_end(it):
    it.socket.add_event_listener("end", lambda event: (event.target.write(b"bye"), event.target.write_eof()))
    it.peer.shutdown(socket.SHUT_WR)
    assert receive_all(it.reactor, it.peer) == b"bye"
    it.until(lambda: it.log.count("close"))
    assert it.log.types == ["end", "close"]


def test_ending_and_closing_in_one_breath(it):
    end_input(it)
    it.socket.write_eof()
    it.socket.close()
    settle(it.reactor)
    assert it.log.types == ["end"]


def test_a_listener_of_the_end_that_raises_changes_nothing(it, uncaught):
    it.socket.add_event_listener("end", lambda event: 1 / 0)
    end_input(it)
    settle(it.reactor)
    assert it.socket.connected
    assert [type(record.exc_info[1]) for record in uncaught] == [ZeroDivisionError]
    uncaught.clear()
    it.socket.write_eof()
    it.until(lambda: it.log.count("close"))


def test_two_of_one_reactor():
    reactor = current_reactor()
    with listening() as server:
        logs = []

        def connected(event):
            event.socket.allow_half_open = True
            event.socket.add_event_listener("end", lambda event: (event.target.write(b"seen"), event.target.close()))
            logs.append(Log(event.socket, types=ALL))

        server.add_event_listener("connect", connected)
        with serversocket.Socket("127.0.0.1", server.local_port) as client:
            log = Log(client, types=ALL)
            run_until(reactor, lambda: client.connected)
            client.write(b"hello")
            client.write_eof()
            run_until(reactor, lambda: log.count("close"))
            assert log.data == b"seen"
            assert logs[0].data == b"hello"


def test_of_a_socket_that_has_connected_itself():
    with dialling() as it:
        it.socket.allow_half_open = True
        it.socket.connect("127.0.0.1", it.port)
        ends = []
        it.socket.add_event_listener("end", lambda event: ends.append(event.target.read()))
        with it.accept() as peer:
            peer.sendall(b"greeting")
            peer.shutdown(socket.SHUT_WR)
            it.until(lambda: ends)
            it.socket.write(b"and back")
            it.socket.write_eof()
            assert receive_all(it.reactor, peer) == b"and back"
            it.until(lambda: it.log.count("close"))


@pytest.mark.parametrize("flushed", [False, True])
def test_a_reset_that_a_send_hears_of_first_is_no_end(it, flushed):
    """The system tells of it once only; what is received afterwards looks like an end."""
    it.peer.sendall(b"half of a mess")
    it.until(lambda: it.log.data)
    reset(it.peer)
    it.socket.write(b"x")
    if flushed:
        it.socket.flush()
    it.until_event("close")
    assert it.log.types == ["socketData", "ioError", "close"]
    assert it.log.of("ioError")[0].errno == errno.ECONNRESET


@pytest.mark.parametrize("half_open", [False, True])
@pytest.mark.parametrize("pausing", [False, True])
def test_write_eof_after_a_reset(it, half_open, pausing):
    it.socket.allow_half_open = half_open
    if pausing:
        it.socket.pause()
    reset(it.peer)
    it.socket.write_eof()
    it.until_event("close")
    assert it.log.types == ["ioError", "close"]
    assert it.log.of("ioError")[0].errno == errno.ECONNRESET
