"""The memory that connections really hold, as the allocator counts it, is what the limits say."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from serversocket import Socket

from .helpers import Connection, connection, send_all

KIB = 1024
MIB = KIB * KIB
SLACK = 160 * KIB  # for the memory of one read, and for what is no content


class Held:
    """What was allocated and not freed since it was made."""

    def __init__(self) -> None:
        self.before = tracemalloc.get_traced_memory()[0]

    @property
    def now(self) -> int:
        return tracemalloc.get_traced_memory()[0] - self.before

    @property
    def most(self) -> int:
        return tracemalloc.get_traced_memory()[1] - self.before


@pytest.fixture
def held() -> Iterator[Held]:
    tracemalloc.start()
    try:
        yield Held()
    finally:
        tracemalloc.stop()


def receive(it: Connection, size: int) -> None:
    """Has so many bytes arrive, which the program leaves."""
    expected = it.socket.bytes_available + size
    send_all(it.reactor, it.peer, bytes(size))
    it.until(lambda: it.socket.bytes_available == expected)


READINGS: dict[str, Callable[[Socket, int], object]] = {
    "read": lambda it, size: it.read(size),
    "skip": lambda it, size: it.skip(size),
    "readinto": lambda it, size: it.readinto(bytearray(size)),
    "read_utf_bytes": lambda it, size: it.read_utf_bytes(size),
}


# ---- input


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("listened_to", [True, False])
def test_one_byte_that_is_left_of_a_large_message_does_not_keep_all_of_it(reading, listened_to, held):
    size = 2 * MIB
    with connection(reading=False, types=("socketData",) if listened_to else ()) as it:
        receive(it, size + 1)
        READINGS[reading](it.socket, size)
        assert it.reactor.bytes_kept == 1
        assert held.now < SLACK
        assert it.socket.read() == b"\0"


def test_one_byte_that_is_left_of_one_read_does_not_keep_all_of_it(held):
    """As many connections do that with small ones: what it takes for each is no more than what a few bytes take."""
    count, size = 20, 60 * KIB
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connection(types=())) for _ in range(count)]

        def take(event):
            event.target.skip(event.target.bytes_available - 1)

        for it in connections:
            it.socket.add_event_listener("socketData", take)
            send_all(it.reactor, it.peer, bytes(size))
            it.until(lambda it=it: it.socket.bytes_available == 1)
        connections[0].until(lambda: connections[0].reactor.bytes_kept == count)
        assert held.now < SLACK + count * 4 * KIB


@pytest.mark.parametrize("step", [7, 1000, 100_000])
def test_twice_what_is_unread_is_the_most_that_is_held(step, held):
    with connection(reading=False) as it:
        for _ in range(3):
            receive(it, MIB)
            while it.socket.bytes_available > step * 20:
                it.socket.skip(it.socket.bytes_available // 20)
                assert held.now < 2 * it.socket.bytes_available + SLACK
        for _ in range(20):
            it.socket.skip(step)
        assert held.now < 2 * it.socket.bytes_available + SLACK


def test_a_view_keeps_its_bytes_and_nothing_else(held):
    size = 2 * MIB
    with connection(reading=False) as it:
        receive(it, size + 1)
        with it.socket.view(size) as view:
            it.socket.skip(size)
            assert view == bytes(size)
        assert it.socket.bytes_available == 1
        assert held.now < SLACK


def test_unread_input_never_takes_much_more_than_the_limit(held):
    limit = 8 * MIB
    with connection(reading=False) as it:
        it.socket.buffer_limit = limit
        tracemalloc.reset_peak()
        with contextlib.suppress(OSError):
            send_all(it.reactor, it.peer, bytes(64 * KIB) * 256)
        it.until_event("close")
        assert it.socket.bytes_available > limit
        # What is sent is in memory too.
        assert held.most - 16 * MIB < limit * 1.25 + SLACK
