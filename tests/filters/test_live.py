"""A filter may be put into a connection that is in use: what stands before it leaves as it is, and a word follows."""

from __future__ import annotations

import pytest

from serversocket import Event, Socket
from serversocket.engine import Filter

from ..behaviour.helpers import connection, receive_all, receive_exactly, run_until, settle


class Shaking(Filter):
    """Holds until the peer has said `hello`; then both sides are in capitals."""

    def __init__(self) -> None:
        self.seen = b""

    def started(self) -> bytes:
        return b"[hello]"

    def received(self, data: bytes) -> bytes:
        if self.holding:
            self.seen += data
            if len(self.seen) < 5:
                return b""
            if not self.seen.startswith(b"hello"):
                raise OSError(None, "no hello")
            self.holding = False
            data = self.seen[5:]
        if data.endswith(b"!"):
            self.input_ended = True
        return data.upper()

    def written(self, data: bytes) -> bytes:
        return data.upper()

    def ended(self) -> bytes:
        if self.holding:
            raise OSError(None, "it ends in the hello")
        return b""


@pytest.fixture
def it(monkeypatch):
    monkeypatch.setattr(Socket, "_secured", lambda self: self.dispatch_event(Event("note")), raising=False)
    with connection() as it:
        it.order = []
        it.socket.add_event_listener("note", lambda event: it.order.append("secured"))
        it.socket.add_event_listener("socketData", lambda event: it.order.append("data"))
        yield it


def installed(it) -> Shaking:
    filter = Shaking()
    filter.holding = True
    it.socket._install(filter, live=True)
    return filter


def test_what_was_written_before_leaves_as_it_is_and_what_is_written_meanwhile_waits(it):
    it.socket.write(b"clear" * 100_000)
    installed(it)
    it.socket.write(b"later")
    assert receive_exactly(it.reactor, it.peer, 500_007) == b"clear" * 100_000 + b"[hello]"
    settle(it.reactor)
    assert it.socket.bytes_pending == 5
    it.peer.sendall(b"hello")
    assert receive_exactly(it.reactor, it.peer, 5) == b"LATER"
    run_until(it.reactor, lambda: it.socket.bytes_pending == 0)
    assert it.order == ["secured"]


def test_the_word_comes_before_the_input_and_the_end(it):
    installed(it)
    it.peer.sendall(b"hel")
    settle(it.reactor)
    assert it.order == []
    it.peer.sendall(b"lorest")
    run_until(it.reactor, lambda: it.order == ["secured", "data"])
    assert it.log.data == b"REST"
    assert it.log.count("connect") == 0


def test_all_at_once(it):
    installed(it)
    it.peer.sendall(b"hellorest")
    it.peer.shutdown(1)
    it.until_event("close")
    assert it.order == ["secured", "data"]
    assert it.log.types == ["socketData", "close"]
    assert it.log.data == b"REST"


def test_it_goes_on_in_a_pause_and_delivers_nothing(it):
    it.socket.pause()
    installed(it)
    it.peer.sendall(b"hello")
    run_until(it.reactor, lambda: it.order == ["secured"])
    it.peer.sendall(b"more!")
    settle(it.reactor)
    assert it.order == ["secured"]
    assert it.socket.paused
    it.socket.resume()
    it.until_event("close")
    assert it.log.data == b"MORE!"


def test_what_came_with_it_waits_for_the_end_of_the_pause(it):
    it.socket.pause()
    installed(it)
    it.peer.sendall(b"hellorest!")
    run_until(it.reactor, lambda: it.order == ["secured"])
    settle(it.reactor)
    assert it.log.types == []
    it.socket.resume()
    it.until_event("close")
    assert it.log.types == ["socketData", "close"]
    assert it.log.data == b"REST!"


def test_a_pause_inside_the_last_input_holds_the_end_back(it):
    installed(it)
    it.peer.sendall(b"hello")
    run_until(it.reactor, lambda: it.order == ["secured"])
    it.socket.add_event_listener("socketData", lambda event: event.target.pause())
    it.peer.sendall(b"rest!")
    it.until_event("socketData")
    settle(it.reactor)
    assert it.log.count("close") == 0
    it.socket.resume()
    it.until_event("close")


@pytest.mark.parametrize("sent", [b"", b"hel", b"nonsense"])
def test_one_that_fails_breaks_the_connection(it, sent):
    installed(it)
    it.peer.sendall(sent)
    it.peer.shutdown(1)
    it.until_event("close")
    assert it.log.types == ["ioError", "close"]
    assert it.order == []


def test_a_close_in_the_word(it):
    it.socket.add_event_listener("note", lambda event: event.target.close())
    installed(it)
    it.peer.sendall(b"hellorest")
    assert receive_all(it.reactor, it.peer) == b"[hello]"
    assert it.log.types == []
