"""What a connection, and all of a reactor, may keep for the program; and the mark that says so in time."""

from __future__ import annotations

import contextlib
import errno
import select

import pytest

import serversocket
from serversocket import IOError, RangeError, Reactor, Socket

from .helpers import (
    PATIENCE,
    Connection,
    connect_to,
    connection,
    listening,
    pattern,
    receive_all,
    receive_exactly,
    reset,
    run_until,
    send_all,
    settle,
)

KIB = 1024


def abort(*connections: Connection) -> None:
    """Drops what is pending, for which a close would wait."""
    for it in connections:
        it.socket.abort()


def fill(it: Connection, size: int = 64 * KIB, least: int = 1) -> None:
    """Writes until the system takes no more and so many bytes are pending."""
    while it.socket.bytes_pending < least:
        it.socket.write(bytes(size))
        it.socket.flush()


# ---- the mark


def test_a_write_says_that_it_is_congested_and_output_progress_that_it_is_not():
    with connection(receive_buffer=4 * KIB) as it:
        it.socket.high_water_mark = 100_000
        assert not it.socket.congested
        data = bytes(50_000)
        written = 0
        while not it.socket.congested:
            assert it.socket.write(data) == len(data)
            it.socket.flush()
            written += len(data)
        assert it.socket.bytes_pending > 100_000
        drained = []
        it.socket.add_event_listener("outputProgress", lambda event: drained.append(it.socket.congested))
        assert receive_exactly(it.reactor, it.peer, written) == bytes(written)
        it.until(lambda: drained and not drained[-1])


def test_the_mark_is_64_kib_at_first():
    assert Socket().high_water_mark == 64 * KIB
    assert Socket().highWaterMark == 64 * KIB


@pytest.mark.parametrize("value", [1.5, "1", None, True])
@pytest.mark.parametrize("name", ["high_water_mark", "buffer_limit"])
def test_a_limit_that_is_no_integer_is_a_type_error(name, value):
    with pytest.raises(TypeError, match=name):
        setattr(Socket(), name, value)


@pytest.mark.parametrize("value", [0, -1, -(2**70)])
def test_a_limit_that_is_not_positive_is_a_range_error(value):
    for owner in (Socket(), Socket().reactor):
        with pytest.raises(RangeError, match=f"#2006.*buffer_limit.*{value}"):
            owner.buffer_limit = value


def test_a_negative_mark_is_a_range_error():
    it = Socket()
    with pytest.raises(RangeError, match=r"#2006.*high_water_mark: -1"):
        it.high_water_mark = -1
    it.high_water_mark = 0
    assert it.high_water_mark == 0


def test_limits_are_what_they_were_set_to():
    it = Socket()
    assert it.buffer_limit == 256 * KIB * KIB
    it.buffer_limit = 5
    assert it.buffer_limit == 5
    it.buffer_limit = 2**200
    assert it.buffer_limit >= 2**62
    reactor = Reactor()
    try:
        assert reactor.buffer_limit == 1024 * KIB * KIB
        reactor.buffer_limit = 7
        assert reactor.bufferLimit == 7
    finally:
        reactor.close()


# ---- the limit of one connection


def test_a_write_over_the_limit_raises_and_breaks_the_connection():
    with connection(receive_buffer=4 * KIB) as it:
        it.socket.buffer_limit = 1_000_000
        with pytest.raises(IOError) as caught:
            for _ in range(10_000):
                it.socket.write(bytes(64 * KIB))
                it.socket.flush()
        error = caught.value
        assert (error.error_id, error.errno) == (2002, errno.ENOBUFS)
        assert "write 65536 bytes on top of " in str(error)
        assert "buffer_limit is 1000000" in str(error)
        assert it.log.types == [], "nobody hears of it from inside his own call"
        it.until_event("close")
        assert [event.type for event in it.log.events if event.type != "outputProgress"] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.ENOBUFS
        assert it.reactor.bytes_kept == 0
        with pytest.raises(ConnectionResetError):
            while it.peer.recv(65536):
                pass


def test_one_write_over_the_limit_queues_nothing():
    with connection() as it:
        it.socket.buffer_limit = 100
        it.socket.write(bytes(100))
        with pytest.raises(IOError, match="write 1 bytes on top of 100: buffer_limit is 100"):
            it.socket.write(b"x")
        assert it.socket.bytes_pending == 0
        assert it.socket.connected
        it.until_event("close")


def test_what_is_written_after_a_refused_write_does_not_leave():
    with connection() as it:
        it.socket.write(b"before")
        it.socket.flush()
        it.socket.buffer_limit = 100
        with pytest.raises(IOError):
            it.socket.write(bytes(101))
        it.socket.write(b"behind the hole")
        it.socket.flush()
        it.until_event("close")
        with pytest.raises(ConnectionResetError):
            received = it.peer.recv(100)
            assert received == b"before"
            it.peer.recv(100)


def test_closing_after_a_refused_write_resets():
    with connection() as it:
        it.socket.buffer_limit = 100
        with pytest.raises(IOError):
            it.socket.write(bytes(101))
        it.socket.close()
        settle(it.reactor)
        assert it.log.types == []
        with pytest.raises(ConnectionResetError):
            it.peer.recv(1)


def test_unread_input_over_the_limit_breaks_the_connection_and_stays_readable():
    with connection(reading=False) as it:
        it.socket.buffer_limit = 200_000
        data = pattern(400_000)
        with contextlib.suppress(OSError):
            send_all(it.reactor, it.peer, data)
        it.until_event("close")
        assert it.log.types == ["socketData", "ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.ENOBUFS
        kept = it.socket.read()
        assert kept == data[:200_001], "no read brings more than there is room for"


@pytest.mark.parametrize("landing", [None, bytearray(70_000)], ids=["own memory", "read_buffer"])
@pytest.mark.parametrize("limit", [1, 1000, 65536, 150_000])
def test_a_program_that_pauses_at_the_limit_is_in_time(limit, landing):
    data = pattern(400_000)
    received = bytearray()
    with connection(reading=False) as it:
        it.socket.buffer_limit = limit
        it.socket.read_buffer = landing

        def pause(event):
            if it.socket.bytes_available == limit:
                it.socket.pause()

        it.socket.add_event_listener("socketData", pause)
        it.peer.sendall(data[: 2 * limit])
        for _ in range(2):
            it.until(lambda: it.socket.bytes_available == limit)
            settle(it.reactor)
            received += it.socket.read()
            it.socket.resume()
        assert received == data[: 2 * limit]
        assert set(it.log.types) == {"socketData"}


def test_what_is_pending_leaves_less_room_for_input():
    with connection(reading=False, receive_buffer=4 * KIB) as it:
        fill(it, least=100_000)
        limit = it.socket.buffer_limit = it.socket.bytes_pending + 1000
        it.peer.sendall(pattern(1000))
        it.until(lambda: it.socket.bytes_available)
        settle(it.reactor)
        assert it.socket.bytes_available + it.socket.bytes_pending == limit
        it.peer.sendall(b"x")
        it.until_event("close")
        assert it.log.of("ioError")[0].errno == errno.ENOBUFS


def test_input_that_nobody_listens_to_is_limited_too():
    with connection(types=("close", "ioError")) as it:
        it.socket.buffer_limit = 100_000
        with contextlib.suppress(OSError):
            send_all(it.reactor, it.peer, bytes(1_000_000))
        it.until_event("close")
        assert it.log.of("ioError")[0].errno == errno.ENOBUFS


def test_input_that_is_read_is_not_limited():
    with connection() as it:
        it.socket.buffer_limit = 65536
        data = pattern(2_000_000)
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(it.log.data) == len(data))
        assert it.log.data == data


def test_output_that_is_fetched_is_not_limited():
    with connection() as it:
        it.socket.buffer_limit = 100_000
        data = pattern(90_000)
        for _ in range(20):
            it.socket.write(data)
            it.socket.flush()
            received = 0
            it.peer.settimeout(60)
            while received < len(data):
                it.reactor.poll(0)
                received += len(it.peer.recv(65536))
        assert it.log.count("close") == 0


# ---- the limit of the reactor


@contextlib.contextmanager
def several(count: int):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connection(receive_buffer=4 * KIB)) for _ in range(count)]


@pytest.fixture
def reactor():
    it = Socket().reactor
    yield it
    it.buffer_limit = 1024 * KIB * KIB


def test_the_fullest_connection_makes_room(reactor):
    with several(3) as (small, large, writing):
        fill(small, least=100_000)
        fill(large, least=300_000)
        fill(writing)
        reactor.buffer_limit = reactor.bytes_kept + 100_000
        before = small.socket.bytes_pending
        assert writing.socket.write(bytes(200_000)) == 200_000
        large.until_event("close")
        assert large.log.of("ioError")[0].errno == errno.ENOBUFS
        assert small.socket.connected
        assert writing.socket.connected
        assert small.socket.bytes_pending <= before
        abort(small, writing)


def test_the_fullest_connection_itself_is_refused(reactor):
    with several(2) as (other, writing):
        fill(other)
        fill(writing, least=300_000)
        reactor.buffer_limit = reactor.bytes_kept + 1000
        with pytest.raises(IOError, match=r"write 2000 bytes on top of \d+: reactor.buffer_limit is \d+"):
            writing.socket.write(bytes(2000))
        writing.until_event("close")
        assert other.socket.connected
        abort(other)


def test_what_could_never_fit_costs_nobody_else_anything(reactor):
    with connection(reading=False) as other, connection(reading=False) as gone, several(1) as (writing,):
        for it in (other, gone):
            send_all(reactor, it.peer, bytes(50_000))
            it.until(lambda it=it: it.socket.bytes_available == 50_000)
        gone.peer.close()
        gone.until_event("close")
        reactor.buffer_limit = 200_000
        with pytest.raises(IOError, match=r"write 200001 bytes on top of \d+: reactor.buffer_limit is 200000"):
            writing.socket.write(bytes(200_001))
        writing.until_event("close")
        assert other.socket.connected
        assert (other.socket.bytes_available, gone.socket.bytes_available) == (50_000, 50_000)


def test_unread_input_counts(reactor):
    with connection(reading=False) as it, connection(reading=False) as other:
        reactor.buffer_limit = 300_000
        send_all(reactor, other.peer, bytes(50_000))
        other.until(lambda: other.socket.bytes_available == 50_000)
        with contextlib.suppress(OSError):
            send_all(reactor, it.peer, bytes(400_000))
        it.until_event("close")
        assert it.log.of("ioError")[0].errno == errno.ENOBUFS
        assert other.socket.connected
        assert other.socket.bytes_available == 50_000


def test_what_is_kept_is_counted_down_to_nothing(reactor):
    assert reactor.bytes_kept == 0
    with connection(reading=False) as it:
        it.peer.sendall(pattern(1000))
        it.until(lambda: it.socket.bytes_available == 1000)
        assert reactor.bytes_kept == 1000
        it.socket.read(300)
        assert reactor.bytes_kept == 700
        it.socket.peek()
        it.socket.skip(200)
        assert reactor.bytes_kept == 500
        assert it.socket.readinto(bytearray(100)) == 100
        assert reactor.bytes_kept == 400
        it.socket.write(bytes(50))
        assert reactor.bytes_kept == 450
        it.socket.flush()
        assert reactor.bytes_kept == 400
        it.socket.read()
        assert reactor.bytes_kept == 0
        it.peer.sendall(b"again")
        it.until(lambda: reactor.bytes_kept == 5)
    assert reactor.bytes_kept == 0


def test_what_a_lingering_close_still_sends_counts(reactor):
    with connection(receive_buffer=4 * KIB) as it:
        data = pattern(3_000_000)
        it.socket.write(data)
        it.socket.close()
        assert reactor.bytes_kept > 0
        assert receive_all(reactor, it.peer) == data
        it.peer.close()
        run_until(reactor, lambda: reactor.bytes_kept == 0)
        settle(reactor)


def test_unread_input_of_a_socket_that_is_collected_counts_no_more(reactor):
    with listening() as server:
        kept = []
        server.add_event_listener("connect", lambda event: kept.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as peer:
            peer.sendall(bytes(100))
            run_until(reactor, lambda: reactor.bytes_kept == 100)
            kept.pop().close()
            assert reactor.bytes_kept == 0
        with connect_to("127.0.0.1", server.local_port) as peer:
            run_until(reactor, lambda: kept)
            peer.sendall(bytes(100))
            peer.close()
            run_until(reactor, lambda: not kept[0].connected)
            assert reactor.bytes_kept == 100
            kept.clear()
            assert reactor.bytes_kept == 0


def test_a_new_connection_begins_empty():
    assert serversocket.Socket().reactor.bytes_kept == 0


@pytest.mark.parametrize("inside", [False, True])
def test_what_comes_behind_input_that_was_dropped_is_not_delivered(reactor, inside):
    """A program that takes messages apart must not begin in the middle of one."""
    with connection(reading=False) as full, connection(receive_buffer=4 * KIB) as other:
        seen = bytearray()

        def look(event):
            seen.extend(event.target.peek())
            if inside and len(seen) >= 300 * KIB:
                other.socket.write(bytes(200 * KIB))

        full.socket.add_event_listener("socketData", look)
        reactor.buffer_limit = 400 * KIB
        send_all(reactor, full.peer, b"h" * 300 * KIB)
        if not inside:
            full.until(lambda: full.socket.bytes_available == 300 * KIB)
        full.peer.sendall(b"tail")
        if not inside:
            select.select([full.socket.fileno()], [], [], PATIENCE)
            other.socket.write(bytes(200 * KIB))
        full.until_event("close")
        assert b"t" not in seen
        assert full.log.of("ioError")[0].errno == errno.ENOBUFS
        abort(other)


def test_of_two_failures_the_earlier_one_is_told():
    with connection() as it:
        it.socket.buffer_limit = 10
        caught = []

        def answer(event):
            with pytest.raises(IOError) as error:
                it.socket.write(bytes(20))
            caught.append(error.value.errno)

        it.socket.add_event_listener("socketData", answer)
        it.peer.sendall(b"abc")
        reset(it.peer)
        it.until_event("close")
        assert caught == [errno.ENOBUFS]
        assert [event.errno for event in it.log.of("ioError")] == [errno.ENOBUFS]


def test_unread_input_counts_while_listeners_run(reactor):
    with connection(reading=False) as it:
        reactor.buffer_limit = 100
        it.peer.sendall(bytes(40))
        it.until(lambda: it.socket.bytes_available == 40)

        def answer(event):
            with pytest.raises(IOError, match=r"write 50 bytes on top of 80: reactor\.buffer_limit is 100"):
                it.socket.write(bytes(50))

        it.socket.add_event_listener("socketData", answer)
        it.peer.sendall(bytes(40))
        it.until_event("close")
        assert [event.errno for event in it.log.of("ioError")] == [errno.ENOBUFS]
