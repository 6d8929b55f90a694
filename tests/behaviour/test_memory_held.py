"""The memory that connections really hold, as the allocator counts it, is what the limits say."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from serversocket import IOError, Socket

from .helpers import Connection, connect_to, connection, listening, run_until, send_all

KIB = 1024
MIB = KIB * KIB
SLACK = 160 * KIB  # for the memory of one read, and for what is no content


@pytest.fixture
def reactor():
    it = Socket().reactor
    yield it
    it.buffer_limit = 1024 * MIB


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


def write_and_fetch_most(it: Connection, size: int) -> None:
    """Writes, and has the peer fetch all but a small part."""
    with socket.socket(fileno=os.dup(it.socket.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    it.socket.write(bytes(size))
    it.peer.setblocking(False)

    def fetched():
        with contextlib.suppress(BlockingIOError):
            it.peer.recv(16 * KIB)
        return it.socket.bytes_pending < size // 10

    it.until(fetched)
    assert it.socket.bytes_pending


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


# ---- output


def test_partly_sent_output_of_many_stays_within_the_limit_of_all(reactor, held):
    size = 4 * MIB
    reactor.buffer_limit = 10 * MIB
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connection(receive_buffer=4 * KIB)) for _ in range(5)]
        for it in connections:
            write_and_fetch_most(it, size)
            assert held.now < reactor.buffer_limit + SLACK
            assert reactor.bytes_kept <= reactor.buffer_limit
        broken = [it for it in connections if not it.socket.connected]
        assert len(broken) == 3
        assert all(it.log.of("ioError")[0].errno == errno.ENOBUFS for it in broken)
        for it in connections:
            if it.socket.connected:
                it.socket.abort()
    assert reactor.bytes_kept == 0


def test_output_counts_until_the_whole_of_it_is_sent(reactor):
    size = MIB
    with connection(receive_buffer=4 * KIB) as it:
        write_and_fetch_most(it, size)
        assert reactor.bytes_kept == size
        it.socket.write(bytes(100))
        it.socket.write(bytes(5000))
        assert reactor.bytes_kept == size + 5100

        def fetched():
            with contextlib.suppress(BlockingIOError):
                it.peer.recv(64 * KIB)
            return it.socket.bytes_pending <= 5100

        it.until(fetched)
        assert reactor.bytes_kept <= 5100
        it.until(lambda: fetched() and not it.socket.bytes_pending)
        assert reactor.bytes_kept == 0


@pytest.mark.parametrize("end", ["close", "abort", "lost"])
def test_nothing_counts_when_a_connection_with_partly_sent_output_is_over(reactor, end):
    with connection(receive_buffer=4 * KIB) as it:
        write_and_fetch_most(it, MIB)
        if end == "lost":
            it.peer.close()
        else:
            getattr(it.socket, end)()
        if end == "close":
            assert reactor.bytes_kept == MIB, "what lingers keeps it"
            it.peer.close()
        run_until(reactor, lambda: reactor.bytes_kept == 0)


# ---- whose memory makes room


@contextlib.contextmanager
def gone(reactor, sizes: list[int]) -> Iterator[list[Socket]]:
    """Sockets whose peers have left, with so many bytes unread."""
    accepted: list[Socket] = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        for count, size in enumerate(sizes, 1):
            with connect_to("127.0.0.1", server.local_port) as peer:
                send_all(reactor, peer, bytes(size))
            run_until(reactor, lambda count=count: len(accepted) == count and not accepted[-1].connected)
        yield accepted


def test_what_gone_peers_have_left_unread_makes_room_for_others(reactor):
    with gone(reactor, [90_000, 95_000, 80_000]) as sockets, connection() as it:
        assert reactor.bytes_kept == 265_000
        reactor.buffer_limit = 300_000
        assert it.socket.write(bytes(60_000)) == 60_000
        assert [each.bytes_available for each in sockets] == [90_000, 0, 80_000]
        with pytest.raises(IOError, match=r"^Error #2002: "):
            sockets[1].read()
        assert sockets[0].read() == bytes(90_000)
        assert sockets[0].remote_address == "127.0.0.1"
        assert reactor.bytes_kept == 140_000
        assert it.socket.connected


def test_a_socket_that_is_let_go_of_needs_not_make_room(reactor):
    with gone(reactor, [90_000, 95_000]) as sockets, connection() as it:
        del sockets[1]
        assert reactor.bytes_kept == 90_000
        reactor.buffer_limit = 100_000
        it.socket.write(bytes(60_000))
        assert sockets[0].bytes_available == 0
        assert reactor.bytes_kept == 60_000


def test_input_that_is_shown_to_a_listener_does_not_make_its_connection_the_fullest(reactor):
    with contextlib.ExitStack() as stack:
        full, target, source = (stack.enter_context(connection(receive_buffer=4 * KIB, types=())) for _ in range(3))
        failed = []
        for it in (full, target, source):
            it.socket.add_event_listener("ioError", lambda event: failed.append(event.target))
        for it, least in ((full, 30_000), (target, 5_000)):
            while it.socket.bytes_pending < least:
                it.socket.write(bytes(4000))
                it.socket.flush()

        def forward(event):
            target.socket.write(event.target.peek())
            event.target.skip()

        source.socket.add_event_listener("socketData", forward)
        reactor.buffer_limit = reactor.bytes_kept + 10_000
        source.peer.sendall(bytes(40_000))
        run_until(reactor, lambda: failed)
        assert failed == [full.socket]
        assert source.socket.connected
        target.socket.abort()
