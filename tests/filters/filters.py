"""Filters for the tests: one that deflates, one that holds `connect` back until a prefix came, one that fails."""

from __future__ import annotations

import errno
import socket
import zlib

from serversocket import Reactor
from serversocket.engine import Filter

from ..behaviour.helpers import receive_all, send_all

CALLS = ("started", "received", "written", "ended", "closing")
PREFIX = b"PREFIX\r\n"


class Deflate(Filter):
    """Both directions are a zlib stream each; an input without the end of its stream is truncated."""

    def __init__(self) -> None:
        self.deflater = zlib.compressobj(1)
        self.inflater = zlib.decompressobj()

    def received(self, data: bytes) -> bytes:
        made = self.inflater.decompress(data)
        if self.inflater.eof:
            self.input_ended = True
        return made

    def written(self, data: bytes) -> bytes:
        return self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)

    def ended(self) -> bytes:
        if not self.inflater.eof:
            raise OSError(errno.EPROTO, "the stream is truncated")
        return b""

    def closing(self) -> bytes:
        return self.deflater.flush()


class Plain(Filter):
    """Changes nothing; notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []

    def started(self) -> bytes:
        self.calls.append(("started", b""))
        return b""

    def received(self, data: bytes) -> bytes:
        self.calls.append(("received", data))
        return data

    def written(self, data: bytes) -> bytes:
        self.calls.append(("written", data))
        return data

    def ended(self) -> bytes:
        self.calls.append(("ended", b""))
        return b""

    def closing(self) -> bytes:
        self.calls.append(("closing", b""))
        return b""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class Prefixed(Filter):
    """Holds `connect` back until a prefix came, and then takes itself out."""

    def __init__(self, successor: Filter | None = None) -> None:
        self.holding = True
        self.successor = successor
        self.seen = b""

    def received(self, data: bytes) -> bytes:
        self.seen += data
        if not PREFIX.startswith(self.seen[: len(PREFIX)]):
            raise OSError(errno.EPROTO, f"{self.seen!r} is not the prefix")
        if len(self.seen) < len(PREFIX):
            return b""
        self.holding = False
        self.over = True
        return self.seen[len(PREFIX) :]


class Greeting(Filter):
    """Holds `connect` back until the peer has answered a greeting, and stays."""

    def __init__(self) -> None:
        self.holding = True

    def started(self) -> bytes:
        return b"hello?"

    def received(self, data: bytes) -> bytes:
        if self.holding:
            self.holding = False
            self.send(b"welcome ")
            return data[1:]
        return data


class Failing(Filter):
    """Raises in one of its calls."""

    def __init__(self, call: str, error: BaseException) -> None:
        def fail(*arguments: object) -> bytes:
            raise error

        setattr(self, call, fail)


def deflated(data: bytes) -> bytes:
    """A whole stream."""
    return zlib.compress(data, 1)


def inflated(data: bytes) -> bytes:
    """What a whole stream holds; fails if it has no end."""
    inflater = zlib.decompressobj()
    made = inflater.decompress(data)
    assert inflater.eof, f"{len(data)} bytes are no whole stream"
    assert not inflater.unused_data
    return made


def answered(reactor: Reactor, peer: socket.socket, data: bytes) -> bytes:
    """Sends a whole stream; what is in the one that comes back until its end."""
    send_all(reactor, peer, deflated(data))
    return inflated(receive_all(reactor, peer))
