"""One connection and its plain peer: any order of calls, and each side gets what the other one sent."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from choices import Choices

from serversocket import IOError, Reactor, ServerSocket

PATTERN = b"".join(number.to_bytes(4, "big") for number in range(100_000))
RESET = struct.pack("ii", 1, 0)
SIZES = (0, 1, 7, 255, 256, 4095, 4096, 8192, 65536, 70_000)


class Talk:
    """What was said on both sides, and what is done about it."""

    def __init__(self, choices: Choices, reactor: Reactor, it: Any, peer: socket.socket) -> None:
        self.choices, self.reactor, self.it, self.peer = choices, reactor, it, peer
        self.sent = self.written = 0
        self.received, self.fetched = bytearray(), bytearray()
        self.types: list[str] = []
        self.buffers = [bytearray(size) for size in (1, 100, 65536)]
        self.views: list[tuple[memoryview, bytes]] = []
        for type in ("socketData", "ioError", "close"):
            it.add_event_listener(type, self.heard)

    def heard(self, event: Any) -> None:
        assert not self.types or self.types[-1] != "close", "an event after the end"
        self.types.append(event.type)
        if self.choices.number(2):
            self.act()

    def act(self) -> None:
        with contextlib.suppress(IOError):
            self.step()
        assert self.received == PATTERN[: len(self.received)]
        for view, content in self.views:
            assert view == content, "memory that is shown was written to"

    def step(self) -> None:
        it, choices = self.it, self.choices
        size = choices.pick(SIZES)
        match choices.number(20):
            case 0 | 1 | 2:
                self.received += it.read(size)
            case 3:
                assert it.peek(size) == PATTERN[len(self.received) :][: min(size, it.bytes_available)]
            case 4:
                view = it.view(size)
                if not any(view.obj is buffer for buffer in self.buffers):  # that is the program's, and changes
                    self.views = [*self.views[-3:], (view, bytes(view))]
            case 5:
                count = it.skip(size)
                self.received += PATTERN[len(self.received) :][:count]
            case 6:
                target = choices.pick(self.buffers)
                with memoryview(target) as whole, whole[choices.number(len(target)) :] as part:
                    count = it.readinto(part)
                    self.received += part[:count]
            case 7:
                it.read_buffer = choices.pick((None, *self.buffers))
            case 8 | 9 | 10:
                self.written += it.write(PATTERN[self.written :][:size])
            case 11:
                it.flush()
            case 12:
                it.pause()
            case 13:
                it.resume()
            case 14:
                it.buffer_limit = choices.pick((1, 300, 70_000, 2**28))
            case 15:
                it.idle_timeout = choices.pick((None, 1000))
            case 16 if choices.number(8) == 0:
                it.close()
            case 17 if choices.number(8) == 0:
                it.abort()
            case _:
                change = it.remove_event_listener if choices.number(2) else it.add_event_listener
                change("socketData", self.heard)

    def peer_acts(self) -> None:
        choices = self.choices
        with contextlib.suppress(BlockingIOError, ConnectionResetError, BrokenPipeError):
            match choices.number(12):
                case 0 if choices.number(8) == 0:
                    with contextlib.suppress(OSError):
                        self.peer.shutdown(socket.SHUT_WR)
                case 1 if choices.number(8) == 0:
                    self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self.peer.close()
                case 2 | 3 | 4 | 5:
                    self.fetched += self.peer.recv(choices.pick(SIZES) + 1)
                    assert self.fetched == PATTERN[: len(self.fetched)]
                case _:
                    self.sent += self.peer.send(PATTERN[self.sent :][: choices.pick(SIZES)])


def check(data: bytes) -> None:
    choices = Choices(data)
    reactor = Reactor()
    accepted: list[Any] = []
    with ServerSocket(reactor=reactor) as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server.bind(0, "127.0.0.1")
        server.listen()
        peer = socket.create_connection(("127.0.0.1", server.local_port), timeout=10)
        while not accepted:
            reactor.poll(10)
    peer.setblocking(False)
    talk = Talk(choices, reactor, accepted.pop(), peer)
    try:
        while choices and peer.fileno() >= 0:
            match choices.number(3):
                case 0:
                    talk.act()
                case 1:
                    talk.peer_acts()
                case _:
                    reactor.poll(0)
            assert len(talk.received) <= talk.sent
            assert len(talk.fetched) <= talk.written
    finally:
        peer.close()
        talk.views.clear()
        reactor.close()
        assert reactor.bytes_kept == talk.it.bytes_available
