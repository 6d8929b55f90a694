from __future__ import annotations

import array
import ctypes
import gc
import mmap
import socket
import weakref

import pytest

import serversocket
from serversocket import Socket

from .helpers import connection, dialling, on_linux, pattern, python, reset, run_until, send_all

KIB64 = 65_536


class Reading:
    """Lets a socket receive into a buffer, and reads it there."""

    def __init__(self, socket: Socket, buffer: object) -> None:
        self.received = bytearray()
        self.sizes: list[int] = []
        self.buffer = buffer
        socket.read_buffer = buffer
        socket.add_event_listener("socketData", self.read)

    def read(self, event) -> None:
        while count := event.target.readinto(self.buffer):
            self.received += memoryview(self.buffer).cast("B")[:count]
        self.sizes.append(event.bytes_loaded)


def test_fresh():
    it = Socket()
    assert it.read_buffer is it.readBuffer is None


def test_it_is_what_was_set():
    it = Socket()
    buffer = bytearray(5)
    it.readBuffer = buffer
    assert it.read_buffer is buffer
    it.read_buffer = None
    assert it.readBuffer is None


@pytest.mark.parametrize(
    "value",
    [b"abc", memoryview(b"abc"), "abc", 5, [1, 2], memoryview(bytearray(9))[::2], memoryview(bytearray(4))[::-1]],
)
def test_what_cannot_be_written_is_refused(value):
    it = Socket()
    it.read_buffer = before = bytearray(5)
    with pytest.raises(TypeError, match=r"^read_buffer must be a writable") as caught:
        it.read_buffer = value
    assert serversocket.errors.shown(value) in str(caught.value)
    assert type(value).__name__ in str(caught.value)
    assert it.read_buffer is before


def test_a_released_view_is_refused():
    view = memoryview(bytearray(5))
    view.release()
    with pytest.raises(TypeError, match=r"^read_buffer must be a writable"):
        Socket().read_buffer = view


@pytest.mark.parametrize("value", [bytearray(), array.array("d"), memoryview(bytearray(5))[5:]])
def test_an_empty_one_is_refused(value):
    it = Socket()
    it.read_buffer = before = bytearray(5)
    with pytest.raises(ValueError, match="read_buffer") as caught:
        it.read_buffer = value
    assert serversocket.errors.shown(value) in str(caught.value)
    assert it.read_buffer is before


@pytest.mark.parametrize("size", [1, 10, 1000, KIB64 - 1, KIB64, KIB64 + 1, 300_000])
@pytest.mark.parametrize("difference", [-1, 0, 1, 100_000])
def test_messages_smaller_and_larger_than_the_buffer(size, difference):
    data = pattern(max(1, min(size + difference, 40 * size)))
    with connection(types=()) as it:
        reading = Reading(it.socket, bytearray(size))
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(reading.received) == len(data))
        assert reading.received == data
        assert max(reading.sizes, default=0) <= size


def test_more_than_64_kib_at_once():
    data = pattern(8_000_000)
    with connection(types=()) as it:
        reading = Reading(it.socket, bytearray(1_000_000))
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(reading.received) == len(data))
        assert reading.received == data
        assert KIB64 < max(reading.sizes) <= 1_000_000


def test_a_turn_reads_four_times_at_most():
    with connection(types=()) as it:
        reading = Reading(it.socket, bytearray(100))
        it.peer.sendall(pattern(5000))
        it.until(lambda: reading.sizes)
        assert reading.sizes == [100] * 4
        it.until(lambda: len(reading.received) == 5000)
        assert reading.received == pattern(5000)


def test_the_bytes_lie_at_the_beginning():
    buffer = bytearray(b"-" * 20)
    seen = []
    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", lambda event: seen.append((bytes(buffer), event.target.read())))
        for text in (b"hello", b"again"):
            it.peer.sendall(text)
            it.until(lambda text=text: seen and seen[-1][1] == text)
        assert seen == [(b"hello---------------", b"hello"), (b"again---------------", b"again")]


def test_every_way_of_reading():
    seen = []

    def read(event):
        it = event.target
        seen.append((it.bytes_available, it.peek(2), bytes(it.view(3)), it.skip(1), it.read(1), it.read_short()))
        seen.append((it.read_utf(), it.bytes_available, it.read(), it.bytes_available, it.read(), bytes(it.view())))

    with connection(types=()) as it:
        it.socket.read_buffer = bytearray(100)
        it.socket.add_event_listener("socketData", read)
        it.peer.sendall(b"ab\0\5\0\2okrest")
        it.until(lambda: seen)
        assert seen == [(12, b"ab", b"ab\0", 1, b"b", 5), ("ok", 4, b"rest", 0, b"", b"")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytearray(64),
        lambda: memoryview(bytearray(100))[10:74],
        lambda: memoryview(bytearray(64)).cast("B", (8, 8)),
        lambda: array.array("d", [0] * 8),
        lambda: (ctypes.c_int * 16)(),
        lambda: mmap.mmap(-1, 64),
    ],
    ids=["bytearray", "memoryview", "two dimensions", "array", "ctypes", "mmap"],
)
def test_kinds_of_buffers(make):
    data = pattern(1000)
    with connection(types=()) as it:
        reading = Reading(it.socket, make())
        send_all(it.reactor, it.peer, data)
        it.until(lambda: len(reading.received) == len(data))
        assert reading.received == data


def test_what_the_listener_leaves_is_moved():
    buffer = bytearray(100)
    with connection(reading=False) as it:
        it.socket.read_buffer = buffer
        for start in range(0, 300, 30):
            it.peer.sendall(pattern(300)[start : start + 30])
            it.until(lambda end=start + 30: it.socket.bytes_available == end)
            buffer[:] = bytes(100)
        view = it.socket.view()
        assert it.socket.read_unsigned_int() == 0
        assert it.socket.read() == pattern(300)[4:]
        assert view == pattern(300)


@pytest.mark.parametrize("size", [10, 1000])
def test_a_listener_that_always_leaves_something(size):
    data = pattern(20_000)
    received = bytearray()
    buffer = bytearray(size)

    def read(event):
        received.extend(event.target.read(event.target.bytes_available - 3))
        before = bytes(buffer)
        buffer[:] = before  # a write, where nothing must lie that is still to be read

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", read)
        for start in range(0, len(data), 1000):
            it.peer.sendall(data[start : start + 1000])
            it.until(lambda end=start + 997: len(received) == end)
            buffer[:] = b"!" * size
        assert received + it.socket.read() == data


def test_without_a_listener():
    data = pattern(100_000)
    buffer = bytearray(1000)
    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        send_all(it.reactor, it.peer, data[:50_000])
        it.until(lambda: it.socket.bytes_available == 50_000)
        buffer[:] = b"!" * 1000
        send_all(it.reactor, it.peer, data[50_000:])
        it.until(lambda: it.socket.bytes_available == 100_000)
        buffer.clear()
        assert it.socket.read() == data


def test_several_listeners_see_what_the_earlier_ones_left():
    seen = []
    with connection(types=()) as it:
        it.socket.read_buffer = bytearray(10)
        it.socket.add_event_listener("socketData", lambda event: seen.append(event.target.read(2)), priority=2)
        it.socket.add_event_listener("socketData", lambda event: seen.append(event.target.read(2)), priority=1)
        it.peer.sendall(b"abcdef")
        it.until(lambda: len(seen) == 2)
        assert seen == [b"ab", b"cd"]
        assert it.socket.read() == b"ef"


def test_readinto_another_buffer_copies():
    buffer, other = bytearray(100), bytearray(4)
    seen = []

    def read(event):
        while count := event.target.readinto(other):
            seen.append(bytes(other[:count]))

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", read)
        it.peer.sendall(b"abcdefghij")
        it.until(lambda: b"".join(seen) == b"abcdefghij")
        assert seen == [b"abcd", b"efgh", b"ij"]
        assert buffer[:10] == b"abcdefghij"


@pytest.mark.parametrize("skipped", [0, 4, 30])
@pytest.mark.parametrize("start", [0, 3, 4, 5, 40, 150])
@pytest.mark.parametrize("size", [1, 20, 50, 70])
@pytest.mark.parametrize("call", ["readinto", "read_bytes"])
def test_reading_into_a_part_of_the_same_memory(skipped, start, size, call):
    data = pattern(100)
    buffer = bytearray(250)
    seen = []

    def read(event):
        event.target.skip(skipped)
        if call == "readinto":
            assert event.target.readinto(memoryview(buffer)[start : start + size]) == size
        else:
            event.target.read_bytes(buffer, start, size)
        seen.append(buffer[start : start + size])

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", read)
        it.peer.sendall(data)
        it.until(lambda: seen)
        assert seen == [data[skipped : skipped + size]]
        assert it.socket.read() == data[skipped + size :]


@on_linux
@pytest.mark.parametrize("size", [5, 5000, 500_000])
def test_bytes_that_lie_where_they_are_wanted_are_not_touched(size):
    python(
        """
        import ctypes, mmap, socket, sys
        import serversocket

        size = int(sys.argv[1])
        data = bytes(range(256)) * (size // 256 + 1)
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        memory = mmap.mmap(-1, 1024 * 1024)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        received = bytearray()

        def read(event):
            # Whoever writes there now ends the process.
            assert mprotect(address, len(memory), mmap.PROT_READ) == 0
            target = memory if len(received) % 2 else memoryview(memory)
            count = event.target.readinto(target[:2] if target is not memory else target)
            received.extend(memory[:count])
            with memoryview(memory) as view:
                received.extend(memory[count : count + event.target.readinto(view[count:])])
            assert event.target.bytes_available == 0
            assert mprotect(address, len(memory), mmap.PROT_READ | mmap.PROT_WRITE) == 0

        def connected(event):
            event.socket.read_buffer = memory
            event.socket.add_event_listener("socketData", read)
            event.socket.add_event_listener("close", server.reactor.stop)

        with serversocket.ServerSocket() as server:
            server.add_event_listener("connect", connected)
            server.bind(0, "127.0.0.1")
            server.listen()
            with socket.create_connection(("127.0.0.1", server.local_port)) as peer:
                peer.setblocking(False)
                rest = memoryview(data)[:size]
                while rest:
                    try:
                        rest = rest[peer.send(rest) :]
                    except BlockingIOError:
                        pass
                    server.reactor.poll(0)
            server.reactor.run()
        assert received == data[:size]
        """,
        str(size),
    )


def test_a_view_shows_the_programs_buffer():
    buffer = bytearray(10)
    views = []

    def keep(event):
        views.append(event.target.view())

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", keep)
        it.peer.sendall(b"hello")
        it.until(lambda: views)
        assert views[0] == b"hello"
        assert views[0].readonly
        buffer[:4] = b"cell"
        assert views[0] == b"cello"
        assert it.socket.read() == b"hello"
        with pytest.raises(BufferError):
            buffer.clear()
        views.clear()
        gc.collect()
        buffer.clear()


def test_a_listener_that_resizes_the_buffer(uncaught):
    buffer = bytearray(10)
    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", lambda: buffer.clear())
        it.peer.sendall(b"hello")
        it.until(lambda: uncaught)
        assert uncaught.pop().exc_info[0] is BufferError
        assert it.socket.read() == b"hello"
        assert it.socket.read_buffer is buffer


def test_between_events_the_buffer_can_be_resized():
    buffer = bytearray(2)
    seen = []
    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", lambda event: seen.append(event.target.read()))
        for size in (2, 5, 1):
            buffer[:] = bytes(size)
            it.peer.sendall(b"abcde"[:size])
            it.until(lambda size=size: seen and len(seen[-1]) == size)
        assert seen == [b"ab", b"abcde", b"a"]


@on_linux
@pytest.mark.parametrize("last", [b"", b"short", b"just fits."])
@pytest.mark.parametrize(("leave", "told"), [(socket.socket.close, ["close"]), (reset, ["ioError", "close"])])
def test_the_buffer_is_free_when_the_peer_has_gone(last, leave, told):
    buffer = bytearray(10)
    events = []

    def resize(event):
        buffer.extend(b"more")
        events.append(event.type)

    with connection(types=()) as it:
        reading = Reading(it.socket, buffer)
        it.socket.add_event_listener("ioError", resize)
        it.socket.add_event_listener("close", resize)
        it.peer.sendall(last)
        leave(it.peer)
        it.until(lambda: events and events[-1] == "close")
        assert events == told
        assert reading.received == last


@pytest.mark.parametrize("then", [bytearray(3), None], ids=["another", "none"])
def test_a_listener_that_sets_another_buffer(then):
    first = bytearray(5)
    seen = []

    def read(event):
        event.target.read_buffer = then
        seen.append((bytes(first), event.target.read(), event.bytes_loaded))

    with connection(types=()) as it:
        it.socket.read_buffer = first
        it.socket.add_event_listener("socketData", read)
        it.peer.sendall(b"abcdefghijkl")
        it.until(lambda: sum(loaded for _, _, loaded in seen) == 12)
        assert [loaded for _, _, loaded in seen][:2] == [5, 7 if then is None else 3]
        assert {held for held, _, _ in seen} == {b"abcde"}
        assert b"".join(read for _, read, _ in seen) == b"abcdefghijkl"
        first.clear()


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_listener_that_closes(end):
    buffer = bytearray(5)
    events = []

    def closing(event):
        events.append(event.bytes_loaded)
        getattr(event.target, end)()

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", closing)
        it.peer.sendall(b"abcdefghijkl")
        it.until(lambda: not it.socket.connected)
        assert events == [5]
        assert it.socket.bytes_available == 0
        buffer.clear()
        assert it.socket.read_buffer is buffer


def test_a_listener_that_connects_anew():
    with dialling() as it:
        buffer = bytearray(5)
        it.socket.read_buffer = buffer
        seen = []

        def again(event):
            seen.append(event.target.peek())
            if len(seen) == 1:
                event.target.connect("127.0.0.1", it.port)

        it.socket.remove_event_listener("socketData", it.log.note)
        it.socket.add_event_listener("socketData", again)
        it.socket.connect("127.0.0.1", it.port)
        with it.accept() as first:
            first.sendall(b"first")
            it.until(lambda: seen)
            with it.accept() as second:
                assert it.socket.bytes_available == 0
                second.sendall(b"secon")
                it.until(lambda: len(seen) == 2)
        assert seen == [b"first", b"secon"]
        assert it.socket.read() == b"secon"
        assert buffer == b"secon"
        assert it.socket.read_buffer is buffer


def test_an_exception_that_leaves_the_reactor_loses_nothing():
    buffer = bytearray(10)

    def interrupt(event):
        raise KeyboardInterrupt

    with connection(types=()) as it:
        it.socket.read_buffer = buffer
        it.socket.add_event_listener("socketData", interrupt)
        it.peer.sendall(b"hello")
        with pytest.raises(KeyboardInterrupt):
            it.until(lambda: False)
        buffer[:] = b"overwrites"
        buffer.clear()
        assert it.socket.read() == b"hello"


@pytest.mark.parametrize("listening", [True, False])
def test_a_view_that_was_released(listening, uncaught):
    view = memoryview(bytearray(10))
    seen = bytearray()
    with connection(types=()) as it:
        it.socket.read_buffer = view
        if listening:
            it.socket.add_event_listener("socketData", lambda event: seen.extend(event.target.read()))
        view.release()
        it.peer.sendall(b"hello")
        it.until(lambda: len(seen) + it.socket.bytes_available == 5)
        assert it.socket.read_buffer is None
        assert seen + it.socket.read() == b"hello"
        assert len(uncaught) == 1
        assert issubclass(uncaught.pop().exc_info[0], (TypeError, ValueError))


def test_a_view_that_was_released_is_told_to_uncaught_error():
    told = []

    def tell(event):
        event.prevent_default()
        told.append((event.error, it.socket.read_buffer))
        it.socket.close()

    view = memoryview(bytearray(10))
    with connection() as it:
        it.socket.read_buffer = view
        view.release()
        it.reactor.add_event_listener("uncaughtError", tell)
        it.peer.sendall(b"hello")
        it.until(lambda: told)
        it.reactor.remove_event_listener("uncaughtError", tell)
        assert isinstance(told[0][0], (TypeError, ValueError))
        assert told[0][1] is None
        assert not it.socket.connected
        assert it.log.events == []


def test_a_buffer_that_has_become_empty():
    buffer = bytearray(10)
    with connection() as it:
        it.socket.read_buffer = buffer
        buffer.clear()
        it.peer.sendall(b"hello")
        it.until(lambda: it.log.data == b"hello")
        assert it.socket.read_buffer is None


def test_shared_by_several_sockets():
    buffer = bytearray(1000)
    with connection(types=()) as one, connection(types=()) as two, connection(types=()) as three:
        connections = (one, two, three)
        readings = [Reading(it.socket, buffer) for it in connections]
        data = [pattern(50_000)[start:] for start in (0, 1, 2)]
        for start in range(0, 50_000, 5000):
            for it, whole in zip(connections, data, strict=True):
                it.peer.sendall(whole[start : start + 5000])
        run_until(one.reactor, lambda: [len(reading.received) for reading in readings] == [50_000, 49_999, 49_998])
        assert [bytes(reading.received) for reading in readings] == data


def test_it_stays_over_reconnects():
    with dialling(reading=False) as it:
        buffer = bytearray(10)
        it.socket.read_buffer = buffer
        for text in (b"one", b"two"):
            it.socket.connect("127.0.0.1", it.port)
            with it.accept() as peer:
                peer.sendall(text)
                it.until(lambda: it.socket.bytes_available == 3)
                assert buffer[:3] == text
                assert it.socket.read() == text
            it.until(lambda: not it.socket.connected)
        assert it.socket.read_buffer is buffer


def test_it_goes_with_the_socket():
    buffer = array.array("B", bytes(10))
    it = Socket()
    it.read_buffer = buffer
    reference = weakref.ref(buffer)
    del buffer
    gc.collect()
    assert reference() is it.read_buffer
    del it
    gc.collect()
    assert reference() is None


def test_the_last_bytes_before_the_peer_closes():
    data = pattern(3000)
    with connection(types=()) as it:
        reading = Reading(it.socket, bytearray(16))
        closed = []
        it.socket.add_event_listener("close", closed.append)
        it.peer.sendall(data)
        it.peer.close()
        it.until(lambda: closed)
        assert reading.received == data


@on_linux
def test_a_small_buffer_loses_nothing_when_a_write_has_failed():
    data = pattern(60_000)
    with connection(types=()) as it:
        reading = Reading(it.socket, bytearray(16))
        closed = []
        it.socket.add_event_listener("close", closed.append)
        it.peer.sendall(data)
        reset(it.peer)
        it.socket.write(b"x")
        it.socket.flush()
        it.until(lambda: closed)
        assert reading.received == data
