from __future__ import annotations

import array
import contextlib
import os
import socket
import sys
import tracemalloc

import pytest

import serversocket

if sys.platform == "linux":
    import fcntl
    import termios

from .helpers import FAMILIES, connection, on_linux, pattern, send_all, settle


def arrived(it, data: bytes):
    it.peer.sendall(data)
    it.until(lambda: it.socket.bytes_available == len(data))
    return it.socket


def test_reads_never_wait():
    with connection() as it:
        assert it.socket.read() == b""
        assert it.socket.read(10) == b""
        assert it.socket.peek() == b""
        assert it.socket.readinto(bytearray(4)) == 0
        assert it.socket.bytes_available == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [(-1, b"hello"), (None, b"hello"), (0, b""), (1, b"h"), (5, b"hello"), (6, b"hello"), (2**62, b"hello"),
     (2**100, b"hello"), (-5, b"hello"), (-(2**100), b"hello")],
)  # fmt: skip
def test_sizes(size, expected):
    with connection(types=()) as it:
        arrived(it, b"hello")
        assert it.socket.peek(size) == expected
        assert it.socket.read(size) == expected
        assert it.socket.bytes_available == 5 - len(expected)


@pytest.mark.parametrize("size", [1.5, "1", b"1", []])
def test_size_that_is_no_integer_is_refused(size):
    with connection(types=()) as it:
        arrived(it, b"hello")
        for call in (it.socket.read, it.socket.peek):
            with pytest.raises(TypeError):
                call(size)
        assert it.socket.read() == b"hello"


@pytest.mark.parametrize(
    "make", [bytearray, lambda data: memoryview(bytearray(data)), lambda data: array.array("B", data)]
)
def test_readinto(make):
    with connection(types=()) as it:
        arrived(it, b"hello")
        buffer = make(b"--------")
        assert it.socket.readinto(buffer) == 5
        assert bytes(buffer) == b"hello---"
        arrived(it, b"hello")
        buffer = make(b"---")
        assert it.socket.readinto(buffer) == 3
        assert bytes(buffer) == b"hel"
        assert it.socket.read() == b"lo"


def test_readinto_items_of_several_bytes_fills_whole_bytes():
    with connection(types=()) as it:
        arrived(it, b"abcdef")
        numbers = array.array("I", [0, 0])
        assert it.socket.readinto(numbers) == 6
        assert numbers.tobytes()[:6] == b"abcdef"


@pytest.mark.parametrize("buffer", [b"abc", memoryview(b"abc"), "abc", 5, None, [1, 2], memoryview(bytearray(9))[::2]])
def test_readinto_what_cannot_be_written_is_refused(buffer):
    with connection(types=()) as it:
        arrived(it, b"hello")
        with pytest.raises((TypeError, BufferError)):
            it.socket.readinto(buffer)
        assert it.socket.read() == b"hello"


@pytest.mark.parametrize("host", FAMILIES)
def test_data_event_tells_what_has_just_arrived(host):
    with connection(host, reading=False) as it:
        total = 0
        for size in (5, 3, 1000):
            it.peer.sendall(b"x" * size)
            total += size
            it.until(lambda expected=total: it.socket.bytes_available == expected)
        assert sum(event.bytes_loaded for event in it.log.events) == total
        assert it.log.events[0].bytes_loaded <= 5
        assert {(event.type, event.bytes_total) for event in it.log.events} == {("socketData", 0)}
        assert all(type(event) is serversocket.ProgressEvent for event in it.log.events)


def test_unread_input_gives_no_new_event():
    with connection(reading=False) as it:
        it.peer.sendall(b"unread")
        it.until(lambda: it.log.events)
        known = len(it.log.events)
        settle(it.reactor)
        assert len(it.log.events) == known
        assert it.socket.bytes_available == 6


def test_several_listeners_see_what_the_earlier_ones_left():
    with connection(types=()) as it:
        seen = []
        it.socket.add_event_listener("socketData", lambda event: seen.append(event.target.read(2)), priority=2)
        it.socket.add_event_listener("socketData", lambda event: seen.append(event.target.read(2)), priority=1)
        it.peer.sendall(b"abcdef")
        it.until(lambda: len(seen) == 2)
        assert seen == [b"ab", b"cd"]
        assert it.socket.read() == b"ef"


@pytest.mark.parametrize("size", [1000, 10_000, 65_536])
def test_bytes_that_were_read_never_change(size):
    with connection(types=()) as it:
        kept = []
        it.socket.add_event_listener(
            "socketData", lambda event: kept.append((event.target.peek(), event.target.read()))
        )
        for number in range(50):
            it.peer.sendall(bytes([number]) * size)
            it.until(lambda number=number: sum(len(data) for _, data in kept) == size * (number + 1))
        assert b"".join(data for _, data in kept) == b"".join(bytes([number]) * size for number in range(50))
        assert all(peeked == data for peeked, data in kept)


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_large_messages_of_which_some_are_kept(every):
    """What is let go of is used again, and nothing of that shows: neither in the bytes nor in their hashes."""
    count, size = 200, 9_000
    with connection(types=()) as it:
        kept, seen = {}, bytearray()

        def received(event):
            data = event.target.read()
            known = hash(data)
            assert known == hash(bytes(bytearray(data)))
            if len(seen) // size % every == 0:
                kept[data] = known
            seen.extend(data)

        it.socket.add_event_listener("socketData", received)
        sent = b"".join(number.to_bytes(2) * (size // 2) for number in range(count))
        for number in range(count):
            it.peer.sendall(sent[size * number : size * (number + 1)])
            it.until(lambda number=number: len(seen) == size * (number + 1))
        assert seen == sent
        assert kept
        assert all(hash(bytes(bytearray(data))) == known for data, known in kept.items())
        assert all(data in sent for data in kept)


def test_messages_that_are_kept_take_no_more_memory_than_they_need():
    size, count = 10_000, 300
    with connection(types=()) as it:
        kept = []
        it.socket.add_event_listener("socketData", lambda event: kept.append(event.target.read()))
        it.peer.sendall(bytes(size))
        it.until(lambda: sum(map(len, kept)) == size)
        tracemalloc.start()
        try:
            for number in range(count):
                it.peer.sendall(bytes(size))
                it.until(lambda number=number: sum(map(len, kept)) == size * (number + 2))
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert taken < 1.25 * size * count


def test_listener_that_polls_nothing_but_reads_in_pieces():
    data = pattern(400_000)
    received = bytearray()
    with connection(types=()) as it:

        def on_data(event):
            while len(piece := event.target.read(777)) == 777:
                received.extend(piece)
            received.extend(piece)

        it.socket.add_event_listener("socketData", on_data)
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(received) == len(data))
        assert received == data


def test_input_that_is_left_is_kept_over_many_turns():
    data = pattern(100_000)
    with connection(types=()) as it:
        received = bytearray()
        # Always one byte is left, so that every arrival is added to what is kept.
        it.socket.add_event_listener(
            "socketData", lambda event: received.extend(event.target.read(event.target.bytes_available - 1))
        )
        for start in range(0, len(data), 1000):
            it.peer.sendall(data[start : start + 1000])
            it.until(lambda end=start + 999: len(received) >= end)
        received.extend(it.socket.read())
        assert received == data


def test_typed_reads_wait_for_the_whole_message():
    with connection(types=()) as it:
        messages = []

        def on_data(event):
            while event.target.bytes_available:
                try:
                    messages.append(event.target.read_utf())
                except serversocket.EOFError:
                    return

        it.socket.add_event_listener("socketData", on_data)
        stream = b"".join(len(text).to_bytes(2, "big") + text for text in (b"one", b"", b"three" * 100))
        for number in range(len(stream)):
            it.peer.sendall(stream[number : number + 1])
            it.reactor.poll(0.001)
        it.until(lambda: len(messages) == 3)
        assert messages == ["one", "", "three" * 100]
        assert it.socket.bytes_available == 0


@on_linux
def test_urgent_data_neither_spins_nor_corrupts():
    with connection() as it:
        it.peer.sendall(b"before")
        it.peer.send(b"!", socket.MSG_OOB)
        it.peer.sendall(b"after")
        it.until(lambda: len(it.log.data) >= 11)
        settle(it.reactor)
        assert it.log.data.replace(b"!", b"") == b"beforeafter"
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "close"]


def test_fast_sender_does_not_starve_the_others():
    with connection() as fast, connection() as slow:
        fast.peer.setblocking(False)
        chunk = bytes(1_000_000)
        for _ in range(20):
            try:
                while True:
                    fast.peer.send(chunk)
            except BlockingIOError:
                pass
            if slow.log.data:
                break
            if not fast.log.data:
                slow.peer.sendall(b"me too")
            fast.reactor.poll(1)
        assert slow.log.data == b"me too"


@on_linux
def test_a_turn_reads_64_kib_four_times_at_most():
    size = 64 * 1024
    with connection(reading=False) as it, socket.socket(fileno=os.dup(it.socket.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * size)
        it.peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                it.peer.send(bytes(size))
        for turn in range(1, 4):
            waiting = int.from_bytes(fcntl.ioctl(same, termios.FIONREAD, bytes(4)), sys.byteorder)
            if waiting < 5 * size:
                pytest.skip(f"the system lets only {waiting} bytes wait")
            assert it.reactor.poll(0) == 1
            assert [event.bytes_loaded for event in it.log.of("socketData")] == [size] * 4 * turn
