"""However input is read, with a buffer of the program's or without, it is the bytes that the peer sent."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import serversocket
from serversocket.loop.reactor import current_reactor

SIZES = st.integers(-2, 40) | st.none() | st.just(5000)

readings = st.one_of(
    st.tuples(st.sampled_from(["read", "peek", "view", "skip"]), SIZES),
    st.tuples(st.just("readinto"), st.integers(0, 60)),
    st.tuples(st.just("readinto the read_buffer"), st.integers(0, 40), st.integers(0, 100)),
    st.tuples(st.just("read_int")),
    st.tuples(st.just("read_buffer"), st.none() | st.integers(1, 100) | st.sampled_from([65_536, 200_000])),
)
arrivals = st.tuples(
    st.just("arrive"),
    st.binary(min_size=1, max_size=120) | st.integers(1, 2000).map(lambda number: number.to_bytes(2, "big") * number),
    st.lists(readings, max_size=4),
)


class Reader:
    """A connection, and what its input has to be."""

    def __init__(self, it: serversocket.Socket, peer: socket.socket) -> None:
        self.it = it
        self.peer = peer
        self.sent = bytearray()
        self.arrived = 0
        self.unread = bytearray()
        self.views: list[tuple[memoryview, bytes]] = []
        self.plan: list[tuple[Any, ...]] = []
        self.borrowed: Any = None
        it.add_event_listener("socketData", self.received)

    def received(self, event: serversocket.ProgressEvent) -> None:
        end = self.arrived + event.bytes_loaded
        self.unread += self.sent[self.arrived : end]
        self.arrived = end
        self.borrowed = self.it.read_buffer
        try:
            for step in self.plan:
                self.perform(*step)
        finally:
            self.borrowed = None

    def arrive(self, data: bytes, plan: list[tuple[Any, ...]]) -> None:
        self.plan = plan
        self.sent += data
        self.peer.sendall(data)
        while self.arrived < len(self.sent):
            current_reactor().poll(1)
        buffer = self.it.read_buffer
        if buffer is not None:
            buffer[:] = b"!" * len(buffer)  # it is the program's between the events

    def wanted(self, size: int | None) -> int:
        return len(self.unread) if size is None or size < 0 else min(size, len(self.unread))

    def perform(self, name: str, *arguments: Any) -> None:
        getattr(self, name.replace(" ", "_"))(*arguments)
        assert self.it.bytes_available == len(self.unread)
        assert self.it.peek() == self.unread

    def read(self, size: int | None) -> None:
        count = self.wanted(size)
        assert self.it.read(size) == self.unread[:count]
        del self.unread[:count]

    def peek(self, size: int | None) -> None:
        assert self.it.peek(size) == self.unread[: self.wanted(size)]

    def view(self, size: int | None) -> None:
        view, expected = self.it.view(size), bytes(self.unread[: self.wanted(size)])
        assert view == expected
        if self.borrowed is None:  # else it shows what the program may change
            self.views.append((view, expected))

    def skip(self, size: int | None) -> None:
        count = self.wanted(size)
        assert self.it.skip(size) == count
        del self.unread[:count]

    def readinto(self, size: int) -> None:
        self.fill(memoryview(bytearray(size)))

    def readinto_the_read_buffer(self, start: int, size: int) -> None:
        buffer = self.it.read_buffer if self.borrowed is None else self.borrowed
        if buffer is not None:
            with memoryview(buffer)[start : start + size] as target:
                self.fill(target)

    def fill(self, target: memoryview) -> None:
        count = self.wanted(len(target))
        assert self.it.readinto(target) == count
        assert target[:count] == self.unread[:count]
        del self.unread[:count]

    def read_int(self) -> None:
        if len(self.unread) < 4:
            with contextlib.suppress(serversocket.EOFError):
                raise AssertionError(self.it.read_int())
        else:
            assert self.it.read_int() == int.from_bytes(self.unread[:4], "big", signed=True)
            del self.unread[:4]

    def read_buffer(self, size: int | None) -> None:
        self.it.read_buffer = None if size is None else bytearray(size)


@given(steps=st.lists(arrivals | readings, max_size=20), ends=st.sampled_from(["close", "abort", "the peer's"]))
def test_any_way_of_reading_gives_what_was_sent(steps: list[tuple[Any, ...]], ends: str) -> None:
    reactor = current_reactor()
    uncaught: list[Any] = []
    accepted: list[serversocket.Socket] = []
    reactor.add_event_listener("uncaughtError", uncaught.append)
    with serversocket.ServerSocket() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server.bind(0, "127.0.0.1")
        server.listen()
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as peer:
            while not accepted:
                reactor.poll(1)
            reader = Reader(accepted.pop(), peer)
            for step in steps:
                reader.perform(*step)
            if ends == "the peer's":
                peer.close()
                while reader.it.connected:
                    reactor.poll(1)
                reader.read(None)
            else:
                getattr(reader.it, ends)()
    reactor.remove_event_listener("uncaughtError", uncaught.append)
    assert [event.error for event in uncaught] == []
    assert all(view == expected for view, expected in reader.views)
