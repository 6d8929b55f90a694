from __future__ import annotations

import os
import socket
import tracemalloc

import pytest

from serversocket import OutputProgressEvent

from .helpers import FAMILIES, connection, pattern, receive_exactly, settle


def shrink_send_buffer(it):
    with socket.socket(fileno=os.dup(it.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("piece", [1000, 4095, 4096, 65_537, 3_000_000])
def test_nothing_is_lost_doubled_or_exchanged(host, piece):
    data = pattern(3_000_000)
    with connection(host, receive_buffer=4096) as it:
        shrink_send_buffer(it.socket)
        for start in range(0, len(data), piece):
            assert it.socket.write(data[start : start + piece]) == len(data[start : start + piece])
        assert it.socket.bytes_pending == len(data)
        assert receive_exactly(it.reactor, it.peer, len(data)) == data
        it.until(lambda: it.socket.bytes_pending == 0)


def test_progress_is_told_until_nothing_is_pending():
    data = pattern(2_000_000)
    with connection(receive_buffer=4096) as it:
        shrink_send_buffer(it.socket)
        it.socket.write(data)
        assert receive_exactly(it.reactor, it.peer, len(data)) == data
        it.until(lambda: it.log.events and it.log.events[-1].bytes_pending == 0)
        assert it.log.types == ["outputProgress"]
        assert len(it.log.events) > 2
        assert all(type(event) is OutputProgressEvent for event in it.log.events)
        assert {event.bytes_total for event in it.log.events} == {len(data)}
        pending = [event.bytes_pending for event in it.log.events]
        assert pending == sorted(pending, reverse=True)
        assert pending[0] < len(data)


def test_pending_is_what_was_not_sent():
    with connection(types=()) as it:
        it.socket.write(b"12345")
        assert it.socket.bytes_pending == 5
        it.socket.write_utf_bytes("678")
        assert it.socket.bytes_pending == 8
        it.socket.flush()
        assert it.socket.bytes_pending == 0
        it.socket.flush()
        assert receive_exactly(it.reactor, it.peer, 8) == b"12345678"


def test_what_is_not_flushed_goes_out_by_itself():
    with connection() as it:
        it.socket.write(b"by itself")
        assert it.socket.bytes_pending == 9
        assert receive_exactly(it.reactor, it.peer, 9) == b"by itself"
        it.until(lambda: it.log.count("outputProgress"))
        assert (it.log.events[-1].bytes_pending, it.log.events[-1].bytes_total) == (0, 9)


def test_nothing_is_visible_before_the_flush():
    with connection(types=()) as it:
        it.socket.write(b"later")
        it.peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            it.peer.recv(1)
        it.socket.flush()
        it.peer.settimeout(60)
        assert it.peer.recv(10) == b"later"


def test_progress_is_not_told_from_inside_flush():
    with connection() as it:
        it.socket.write(b"x")
        it.socket.flush()
        assert it.log.events == []
        it.until(lambda: it.log.events)
        assert it.log.types == ["outputProgress"]


def test_flush_of_nothing_is_no_event():
    with connection() as it:
        it.socket.flush()
        settle(it.reactor)
        assert it.log.events == []


def test_empty_writes_are_no_event():
    with connection() as it:
        for nothing in (b"", bytearray(), memoryview(b"")):
            assert it.socket.write(nothing) == 0
        it.socket.write_utf_bytes("")
        assert it.socket.bytes_pending == 0
        it.socket.flush()
        settle(it.reactor)
        assert it.log.events == []


def test_writing_more_in_the_progress_handler():
    data = pattern(300_000)
    with connection(types=()) as it:
        position = 0

        def more(event):
            nonlocal position
            if not event.bytes_pending and position < len(data):
                position += it.socket.write(data[position : position + 10_000])
                it.socket.flush()

        it.socket.add_event_listener("outputProgress", more)
        position += it.socket.write(data[:10_000])
        assert receive_exactly(it.reactor, it.peer, len(data)) == data


def test_order_is_kept_whatever_way_bytes_are_written():
    data = pattern(600_000)
    with connection(receive_buffer=8192, types=()) as it:
        shrink_send_buffer(it.socket)
        position = 0
        sizes = [1, 3000, 5000, 1, 70_000, 2, 4096, 4095, 100, 66_000]
        turn = 0
        while position < len(data):
            size = sizes[turn % len(sizes)]
            piece = data[position : position + size]
            position += it.socket.write((bytes, bytearray, memoryview)[turn % 3](piece))
            if turn % 4 == 0:
                it.socket.flush()
            if turn % 5 == 0:
                it.reactor.poll(0)
            turn += 1
        assert receive_exactly(it.reactor, it.peer, len(data)) == data


def test_many_small_writes():
    count = 50_000
    with connection(types=()) as it:
        tracemalloc.start()
        try:
            for number in range(count):
                it.socket.write(b"%c" % (number & 0xFF))
            memory, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert it.socket.bytes_pending == count
        assert memory < 2 * count + 16 * 1024  # an object for each would take thirty bytes and more
        assert receive_exactly(it.reactor, it.peer, count) == bytes(range(256)) * (count // 256) + bytes(
            range(count % 256)
        )


def test_many_pieces_in_one_flush():
    pieces = [bytes([number & 0xFF]) * 5000 for number in range(300)]
    with connection(types=()) as it:
        for piece in pieces:
            it.socket.write(piece)
        it.socket.flush()
        assert receive_exactly(it.reactor, it.peer, 5000 * 300) == b"".join(pieces)


def test_writing_does_not_stop_reading():
    data = pattern(1_000_000)
    with connection(receive_buffer=4096) as it:
        it.socket.write(data)
        it.socket.flush()
        for number in range(20):
            it.peer.sendall(b"%02d" % number)
            it.until(lambda expected=2 * (number + 1): len(it.log.data) == expected)
        assert it.log.data == b"".join(b"%02d" % number for number in range(20))
        assert receive_exactly(it.reactor, it.peer, len(data)) == data
