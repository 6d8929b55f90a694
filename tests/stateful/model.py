"""One connection and its peer, and what has to be true of them.

The model is small on purpose. Of each connection it keeps the bytes that each side has given to the system, what the
program did to it, and what its peer did. From that follow the laws that `Connection.check` holds after every step.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from typing import Any

from serversocket import IOError

PATTERN = b"".join(number.to_bytes(4, "big") for number in range(3_000_000 // 4 + 100_000))

# What a connection may tell, from its first event to its last; with a limit or a reset the error comes first.
LIFE = re.compile(r"^(connect )?((socketData|outputProgress) )*(end (outputProgress )*)?((ioError )?close )?$")


class Connection:
    """One connection: ours, its peer, and what has to be true of them."""

    def __init__(self, number: int, peer: socket.socket | None, raised: list[BaseException]) -> None:
        self.start = number * 1000 % 300_000
        self.peer = peer
        self.socket: Any = None
        self.types: list[str] = []
        self.errors: list[Any] = []
        self.received = bytearray()  # by us
        self.sent = 0  # by the peer
        self.fetched = bytearray()  # by the peer
        self.written = 0  # by us
        self.ended_here = False  # by close() or abort()
        self.aborted = False
        self.limited = False  # so that it may keep too much
        self.refused = False  # a write, by a limit: its stream has a hole
        self.dropped = False  # what it had not read when its peer left, to make room: it is closed
        self.idle = False  # for too long, on purpose
        self.finished_here = False  # our output, by write_eof
        self.finished_there = False  # its output, by shutdown
        self.end_seen = False  # by the peer
        self.reset_seen = False  # by the peer
        self.reset_there = False
        self.reading = True
        self.told_while_paused = 0
        self.heard = True  # somebody listens to socketData
        self.trouble: list[BaseException] = []  # what its listener raises next
        self.raised = raised  # of all connections

    # ---- what happens

    def adopt(self, it: Any) -> None:
        self.socket = it
        for type in ("socketData", "outputProgress", "end", "ioError", "close"):
            it.add_event_listener(type, self.note)

    def note(self, event: Any) -> None:
        assert event.target is self.socket
        assert not self.ended_here, f"{event.type} after the program's own end"
        self.types.append(event.type)
        if event.type == "ioError":
            self.errors.append(event)
        if self.trouble:
            self.raised.append(self.trouble[-1])
            raise self.trouble.pop()
        if event.type == "socketData":
            assert not self.socket.paused, "data while paused"
            if self.reading:
                self.read(lambda: self.socket.read())
        elif event.type == "close":
            self.read(lambda: self.socket.read())

    def read(self, call: Any) -> None:
        self.received += call()

    def peer_pattern(self, size: int) -> bytes:
        return PATTERN[self.start + self.sent :][:size]

    def our_pattern(self, size: int) -> bytes:
        return PATTERN[self.start + 4 + self.written :][:size]

    # ---- how the program ends it

    def end(self, how: str) -> None:
        self.ended_here, self.aborted = True, self.aborted or how == "abort"
        getattr(self.socket, how)()

    def ends_when_data_comes_to(self, heard: Connection, how: str) -> None:
        def end(event: Any) -> None:
            if self.open:
                self.read(lambda: self.socket.read())
                self.end(how)

        heard.socket.add_event_listener("socketData", end, False, -1)

    # ---- what the model knows

    @property
    def open(self) -> bool:
        return self.socket is not None and self.socket.connected

    @property
    def over(self) -> bool:
        return self.ended_here or "close" in self.types

    @property
    def done(self) -> bool:
        """True if nothing is under way in either direction, and nothing is about to come."""
        quiet = self.open and not self.reset_there and not self.finished_there and not self.refused
        return quiet and self.written == len(self.fetched) and self.sent == len(self.received)

    def check(self) -> None:
        life = "".join(f"{type} " for type in self.types)
        assert LIFE.match(life), life
        assert self.received == PATTERN[self.start :][: len(self.received)]
        assert len(self.received) <= self.sent
        assert self.fetched == PATTERN[self.start + 4 :][: len(self.fetched)]
        assert len(self.fetched) <= self.written
        it = self.socket
        if it is None:
            return
        assert it.connected == (not self.over)
        assert 0 <= it.bytes_pending <= self.written
        ended = ("end" in self.types and self.open) or "close" in self.types
        if ended and not it.input_ended and not self.ended_here:
            assert self.limited
            assert not self.open
            assert it.bytes_available == 0
            self.dropped = True
        assert it.input_ended == (ended and not self.dropped)
        assert it.output_ended == (self.finished_here and not self.ended_here)
        assert it.congested == (it.bytes_pending > it.high_water_mark)
        if self.over:
            assert not it.paused
            assert it.bytes_pending == 0
        assert len(self.errors) <= 1
        if self.errors:
            allowed = {errno.ECONNRESET, errno.EPIPE} if not self.idle else {errno.ETIMEDOUT}
            if self.reset_there:
                allowed.add(errno.ENOTCONN)  # from a shutdown that comes after it
            if self.limited:
                allowed.add(errno.ENOBUFS)
            assert self.errors[0].errno in allowed, self.errors[0]
        if (self.refused or self.errors) and not self.finished_here:
            assert not self.end_seen, "a cut stream is taken for a whole one"
        if not self.open:
            for call in (it.flush, it.abort, it.pause, it.resume, it.write_eof, it.close):
                with contextlib.suppress(IOError):
                    call()
                    raise AssertionError(f"{call} on what is not open")

    def fetch(self) -> bool:
        """Has the peer read what there is; returns True if that was anything."""
        if self.peer is None:
            return False
        any_fetched = False
        try:
            while chunk := self.peer.recv(262_144):
                self.fetched += chunk
                any_fetched = True
            self.end_seen |= not self.reset_seen  # after a reset was told, the system says that it is the end
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.reset_seen = True
        return any_fetched
