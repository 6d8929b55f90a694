from __future__ import annotations

import array
import gc
import sys
import weakref

import pytest

from serversocket import ByteArray

from .helpers import connection, receive_exactly, reset


@pytest.mark.parametrize(
    "data",
    [
        b"abcd", bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"xabcdx")[1:5], array.array("B", b"abcd"),
        memoryview(b"abcd").cast("I"), memoryview(b"abcd").cast("B", (2, 2)), type("Bytes", (bytes,), {})(b"abcd"),
    ],
)  # fmt: skip
def test_anything_bytes_like_is_taken(data):
    with connection(types=()) as it:
        assert it.socket.write(data) == 4
        assert receive_exactly(it.reactor, it.peer, 4) == b"abcd"


def test_strided_buffer_is_written_in_its_order_or_refused():
    with connection(types=()) as it:
        try:
            count = it.socket.write(memoryview(b"a-b-c-d-")[::2])
        except (TypeError, BufferError):
            assert it.socket.bytes_pending == 0
        else:
            assert count == 4
            assert receive_exactly(it.reactor, it.peer, 4) == b"abcd"


def test_byte_array_is_taken():
    with connection(types=()) as it:
        data = ByteArray()
        data.write_utf_bytes("abcd")
        assert it.socket.write(data) == 4
        data.clear()
        assert receive_exactly(it.reactor, it.peer, 4) == b"abcd"


@pytest.mark.parametrize("data", ["abcd", 5, None, [1, 2], object(), 1.5])
def test_anything_else_is_refused(data):
    with connection(types=()) as it:
        with pytest.raises(TypeError):
            it.socket.write(data)
        assert it.socket.bytes_pending == 0
        assert it.socket.connected


@pytest.mark.parametrize("size", [5, 5000, 100_000])
def test_mutable_data_may_be_changed_at_once(size):
    with connection(types=()) as it:
        for _ in range(3):
            data = bytearray(b"x" * size)
            it.socket.write(data)
            data[:] = b"y" * size
            del data[:]
            data.extend(b"zzz")
        assert receive_exactly(it.reactor, it.peer, 3 * size) == b"x" * (3 * size)


def test_no_buffer_is_held_after_the_call():
    data = bytearray(100_000)
    with connection(types=()) as it:
        it.socket.write(data)
        data.append(1)  # a BufferError if it were held
        view = memoryview(data)
        it.socket.write(view)
        view.release()
        data.append(1)
        it.socket.close()
        receive_exactly(it.reactor, it.peer, 200_001)


@pytest.mark.parametrize("end", ["close", "abort", "reset", "sent"])
def test_no_data_is_kept_after_the_end(end):
    class Data(bytearray):
        pass

    with connection(receive_buffer=4096, types=()) as it:
        data = Data(1000)
        reference = weakref.ref(data)
        big = bytes(4_000_000)
        known = sys.getrefcount(big)
        it.socket.write(data)
        it.socket.write(big)
        it.socket.flush()
        del data
        gc.collect()
        assert reference() is None
        if end == "reset":
            reset(it.peer)
        elif end in ("close", "abort"):
            getattr(it.socket, end)()
        if end == "close":
            it.peer.close()
        if end == "sent":
            receive_exactly(it.reactor, it.peer, 1000 + len(big))
        it.until(lambda: sys.getrefcount(big) == known)


def test_data_that_closes_the_socket_while_it_is_written():
    with connection(types=()) as it:

        class Treacherous:
            def __buffer__(self, flags):
                it.socket.close()
                return memoryview(b"abcd")

        with pytest.raises((OSError, TypeError)):
            it.socket.write(Treacherous())
        if sys.version_info >= (3, 12):
            assert not it.socket.connected
