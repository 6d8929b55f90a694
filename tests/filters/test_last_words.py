"""A filter that fails may say why before the connection ends, and hears that there will be no `connect`."""

from __future__ import annotations

import errno
import socket

import pytest

from serversocket.engine import Filter
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE, connection, ended, listening, receive_all, reset, run_until, settle
from .filters import CALLS, Failing, Plain
from .test_failing import provoke


class Speaking(Failing):
    """Fails, and says so; notes what it hears."""

    def __init__(self, call: str, error: BaseException, *, holding: bool = False, uncounted: bool = False) -> None:
        super().__init__(call, error)
        self.last_words = b"alert"
        self.holding = holding
        self.uncounted = uncounted
        self.dropped_for: list[OSError | None] = []

    def dropped(self, error: OSError | None) -> None:
        self.dropped_for.append(error)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "started"])
def test_last_words_come_before_an_end_that_is_no_reset(call):
    error = OSError(errno.EIO, "the filter says so")
    with connection(admission=lambda stream: Speaking(call, error)) as it:
        provoke(it, call)
        assert receive_all(it.reactor, it.peer) == b"alert"
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.EIO
    assert current_reactor().bytes_kept == 0


def test_they_stand_behind_what_was_made_before():
    filter = Speaking("closing", OSError(errno.EIO, "no"))
    with connection(admission=lambda stream: filter) as it:
        it.socket.write(b"whole ")
        it.socket.write_eof()
        assert receive_all(it.reactor, it.peer) == b"whole alert"


def test_unread_input_does_not_make_it_a_reset():
    """Closed over unread input, the system would reset the connection, and the peer might not see the words."""
    with connection(admission=lambda stream: Speaking("received", OSError(errno.EIO, "no"))) as it:
        it.peer.sendall(bytes(300_000))
        assert receive_all(it.reactor, it.peer) == b"alert"


def test_a_peer_that_takes_nothing_is_reset():
    """They would stand in the middle of something."""
    filter = Plain()
    with connection(admission=lambda stream: filter) as it:
        it.socket._set_option(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        while it.socket.bytes_pending < 4_000_000:
            it.socket.write(bytes(1_000_000))
            settle(it.reactor)
        filter.last_words = b"alert"
        filter.received = lambda data: 1 // 0
        it.reactor.add_event_listener("uncaughtError", lambda event: None)
        it.peer.sendall(b"x")
        it.until_event("close")
        with pytest.raises(ConnectionResetError):
            while it.peer.recv(65536):
                pass


@pytest.mark.parametrize("uncounted", [False, True])
@pytest.mark.parametrize("how", ["received", "end", "reset"])
def test_one_that_is_refused_hears_why(how, uncounted):
    error = OSError(errno.EPROTO, "nonsense")
    filter = Speaking("received", error, holding=True, uncounted=uncounted)
    with listening() as server:
        server._admission = lambda stream: filter
        server.add_event_listener("connect", lambda event: pytest.fail("it was let in"))
        peer = socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE)
        run_until(server.reactor, lambda: server.connections == 1)
        if how == "received":
            peer.sendall(b"x")
            assert receive_all(server.reactor, peer) == b"alert"
        elif how == "end":
            peer.shutdown(socket.SHUT_WR)
        else:
            reset(peer)
        run_until(server.reactor, lambda: server.connections == 0)
        peer.close()
        assert server.turned_away == (not uncounted)
        assert len(filter.dropped_for) == 1
        if how == "received":
            assert filter.dropped_for == [error]
        else:
            assert filter.dropped_for[0].errno == errno.ECONNRESET


def test_closing_the_server_is_no_reason():
    filter = Speaking("received", OSError(), holding=True)
    with listening() as server:
        server._admission = lambda stream: filter
        server.add_event_listener("connect", lambda event: pytest.fail("it was let in"))
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE) as peer:
            run_until(server.reactor, lambda: server.connections == 1)
            server.close()
            assert filter.dropped_for == [None]
            run_until(current_reactor(), lambda: ended(peer))


def test_what_hearing_of_it_raises_is_contained():
    class Raising(Filter):
        def dropped(self, error: OSError | None) -> None:
            raise ZeroDivisionError

    filter = Raising()
    filter.holding = True
    uncaught: list[BaseException] = []
    current_reactor().add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    with listening() as server:
        server._admission = lambda stream: filter
        server.add_event_listener("connect", lambda event: None)
        socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE).close()
        run_until(server.reactor, lambda: uncaught)
        assert [type(error) for error in uncaught] == [ZeroDivisionError]
        assert server.turned_away == 1
