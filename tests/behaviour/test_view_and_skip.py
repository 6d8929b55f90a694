from __future__ import annotations

import gc
import tracemalloc

import pytest

import serversocket

from .helpers import connect_to, connection, listening, pattern, run_until, send_all


def arrived(it, data: bytes):
    """Sends from the peer, and waits until so much more is there."""
    expected = it.socket.bytes_available + len(data)
    send_all(it.reactor, it.peer, data)
    it.until(lambda: it.socket.bytes_available == expected)
    return it.socket


@pytest.mark.parametrize(
    ("size", "expected"),
    [(-1, b"hello"), (None, b"hello"), (0, b""), (1, b"h"), (5, b"hello"), (6, b"hello"), (2**62, b"hello"),
     (2**100, b"hello"), (-5, b"hello"), (-(2**100), b"hello")],
)  # fmt: skip
def test_sizes(size, expected):
    with connection(types=()) as it:
        arrived(it, b"hello")
        assert it.socket.view(size) == expected
        assert it.socket.bytes_available == 5
        assert it.socket.skip(size) == len(expected)
        assert it.socket.read() == b"hello"[len(expected) :]


@pytest.mark.parametrize("call", ["view", "skip"])
@pytest.mark.parametrize("size", [1.5, "1", b"1", []])
def test_size_that_is_no_integer_is_refused(call, size):
    with connection(types=()) as it:
        arrived(it, b"hello")
        with pytest.raises(TypeError):
            getattr(it.socket, call)(size)
        assert it.socket.read() == b"hello"


@pytest.mark.parametrize("call", ["view", "skip", "read", "peek"])
def test_size_that_reads_while_it_is_asked_for(call):
    class Greedy:
        def __index__(self):
            it.socket.read(3)
            return 4

    with connection(types=()) as it:
        arrived(it, b"hello")
        result = getattr(it.socket, call)(Greedy())
        assert result == (2 if call == "skip" else b"lo")
        assert it.socket.bytes_available == (0 if call in ("skip", "read") else 2)


def test_a_view_is_read_only_bytes():
    with connection(types=()) as it:
        for view in (it.socket.view(), arrived(it, b"one").view(), arrived(it, b"two").view(), it.socket.view(0)):
            assert type(view) is memoryview
            assert (view.readonly, view.format, view.ndim, view.contiguous) == (True, "B", 1, True)
            with pytest.raises(TypeError):
                view[:1] = b"x"


def test_nothing_is_there():
    with connection(types=()) as it:
        assert it.socket.view() == it.socket.view(0) == it.socket.view(5) == b""
        assert it.socket.skip() == it.socket.skip(0) == it.socket.skip(5) == 0


@pytest.mark.parametrize("size", [200_000, 1_000_000])
def test_nothing_is_copied(size):
    data = pattern(size)
    with connection(types=()) as it:
        arrived(it, data)
        tracemalloc.start()
        try:
            view = it.socket.view()
            count = it.socket.skip(size - 10)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 50_000
        assert view == data
        assert count == size - 10
        assert it.socket.read() == data[-10:]


def test_parsing_in_place():
    messages = [pattern(size) for size in (0, 1, 10, 1000, 70_000, 200_000, 3)]
    received = []

    def parse(view: memoryview) -> int:
        start = 0
        while len(view) - start >= 4:
            end = start + 4 + int.from_bytes(view[start : start + 4], "big")
            if end > len(view):
                break
            received.append(bytes(view[start + 4 : end]))
            start = end
        return start

    with connection(types=()) as it:
        it.socket.add_event_listener("socketData", lambda event: event.target.skip(parse(event.target.view())))
        send_all(it.reactor, it.peer, b"".join(len(message).to_bytes(4, "big") + message for message in messages))
        it.until(lambda: len(received) == len(messages))
        assert received == messages
        assert it.socket.bytes_available == 0


def test_a_view_outlives_later_arrivals():
    with connection(types=()) as it:
        total = b""
        views = []
        for number in range(40):
            data = bytes([number]) * (number * 150 + 1)
            arrived(it, data)
            total += data
            views.append((it.socket.view(), total))
            if number % 3 == 2:
                total = total[it.socket.skip(len(total) // 2) :]
        assert all(view == expected for view, expected in views)
        assert it.socket.read() == total


@pytest.mark.parametrize("left", [b"", b"left over"])
def test_a_view_that_a_listener_makes_outlives_it(left):
    with connection(types=()) as it:
        views = []
        expected = []

        def keep(event):
            views.append(event.target.view())
            expected.append(event.target.peek())
            event.target.skip(event.target.bytes_available - len(left))

        it.socket.add_event_listener("socketData", keep)
        for number in range(20):
            it.peer.sendall(left + bytes([number]) * 3000)
            it.until(lambda number=number: b"".join(expected).count(bytes([number])) >= 3000)
        assert [bytes(view) for view in views] == expected


def test_a_view_outlives_its_bytes_being_read():
    with connection(types=()) as it:
        for how in (it.socket.read, it.socket.skip, lambda: it.socket.readinto(bytearray(100))):
            arrived(it, b"abc")
            arrived(it, b"def")
            view = it.socket.view(4)
            how()
            arrived(it, b"something else")
            assert view == b"abcd"
            assert it.socket.read() == b"something else"


@pytest.mark.parametrize("pieces", [[b"hello"], [b"he", b"llo"]])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_view_outlives_the_connection(end, pieces):
    with connection(types=()) as it:
        for piece in pieces:
            arrived(it, piece)
        view = it.socket.view()
        getattr(it.socket, end)()
        with connection(types=()) as other:
            arrived(other, b"other bytes in the same memory")
            assert view == b"hello"


@pytest.mark.parametrize("pieces", [[b"hello"], [b"he", b"llo"]])
def test_a_view_outlives_the_socket(pieces):
    sockets = []
    with listening() as server, connect_to("127.0.0.1", server.local_port) as peer:
        server.add_event_listener("connect", lambda event: sockets.append(event.socket))
        run_until(server.reactor, lambda: sockets)
        there = 0
        for piece in pieces:
            peer.sendall(piece)
            there += len(piece)
            run_until(server.reactor, lambda there=there: sockets[0].bytes_available == there)
        view = sockets[0].view()
        with pytest.warns(ResourceWarning):
            sockets.clear()
        gc.collect()
        assert view == b"hello"


def test_a_view_outlives_another_connection_of_the_same_socket():
    with connection(types=()) as it, listening() as server:
        arrived(it, b"hello")
        view = it.socket.view()
        it.socket.connect("127.0.0.1", server.local_port)
        it.until(lambda: it.socket.connected)
        assert view == b"hello"
        assert it.socket.view() == b""


def test_what_the_peer_left_can_be_viewed_and_skipped():
    with connection(reading=False) as it:
        it.peer.sendall(b"the rest of it")
        it.peer.close()
        it.until_event("close")
        assert it.socket.view() == b"the rest of it"
        assert it.socket.skip(4) == 4
        assert it.socket.view(4) == b"rest"
        assert it.socket.skip() == 10
        assert (it.socket.view(), it.socket.skip()) == (b"", 0)


def test_typed_reads_after_a_part_was_skipped():
    with connection(types=()) as it:
        arrived(it, b"xx\0\0\0\5\0\2ok")
        assert it.socket.skip(2) == 2
        assert it.socket.read_int() == 5
        assert it.socket.view() == b"\0\2ok"
        assert it.socket.read_utf() == "ok"
        arrived(it, b"xyz")
        it.socket.skip(1)
        with pytest.raises(serversocket.EOFError):
            it.socket.read_int()
        assert it.socket.view() == b"yz"


def test_a_slice_of_a_view_is_as_good_as_the_view():
    with connection(types=()) as it:
        arrived(it, b"abc")
        arrived(it, b"def")
        part = it.socket.view()[2:5]
        arrived(it, bytes(100_000))
        it.socket.skip()
        arrived(it, bytes(1000))
        assert part == b"cde"


def test_the_hash_of_what_a_view_shows():
    with connection(types=()) as it:
        seen = []

        def look(event):
            view = event.target.view()
            seen.append(
                (bytes(view), hash(view) == hash(bytes(view)), hash(view.obj) == hash(bytes(bytearray(view.obj))))
            )
            event.target.skip()

        it.socket.add_event_listener("socketData", look)
        for text in (b"hello", b"world", pattern(9000)):
            it.peer.sendall(text)
            it.until(lambda text=text: seen and seen[-1][0].endswith(text[-5:]))
        assert all(of_view and of_memory for _, of_view, of_memory in seen)
