"""What a filter raises, in whichever call, breaks its connection and nothing else."""

from __future__ import annotations

import errno
import socket

import pytest

from serversocket import Event, IOError
from serversocket.engine import Filter
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE, connection, ended, listening, run_until, settle
from .filters import CALLS, Failing, Plain

FAILURES = {
    "system": OSError(errno.EIO, "the filter says so"),
    "reason": IOError("a reason without a number"),
    "bug": ZeroDivisionError("a bug"),
    "cancelled": GeneratorExit("of nobody's business"),
}


def provoke(it, call: str) -> None:
    """Has the call made."""
    if call == "received":
        it.peer.sendall(b"x")
    elif call == "written":
        it.socket.write(b"x")
    elif call == "ended":
        it.peer.shutdown(socket.SHUT_WR)
    elif call == "closing":
        it.socket.write_eof()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", [call for call in CALLS if call != "started"])
def test_the_connection_breaks_with_what_it_raised(call, failure):
    error = FAILURES[failure]
    reactor = current_reactor()
    uncaught: list[BaseException] = []
    reactor.add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    with connection(admission=lambda stream: Failing(call, error)) as it:
        provoke(it, call)
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]
        told = it.log.of("ioError")[0].error
        if failure == "system":
            assert (told.errno, "the filter says so" in str(told)) == (errno.EIO, True)
            assert isinstance(told, IOError)
        elif failure == "reason":
            assert (str(told), told.errno) == ("a reason without a number", None)
        else:
            assert told.errno == errno.ECONNABORTED
        assert uncaught == ([] if isinstance(error, OSError) else [error])
        run_until(reactor, lambda: ended(it.peer))
        settle(reactor)
        assert it.log.count("close") == 1
    assert reactor.bytes_kept == 0


@pytest.mark.parametrize("failure", FAILURES)
def test_one_that_fails_at_once_is_told_after_connect(failure):
    error = FAILURES[failure]
    uncaught: list[BaseException] = []
    current_reactor().add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    with connection(admission=lambda stream: Failing("started", error)) as it:
        it.until_event("close")
        assert it.log.types == ["ioError", "close"]
        assert uncaught == ([] if isinstance(error, OSError) else [error])


@pytest.mark.parametrize("call", ["received", "ended"])
@pytest.mark.parametrize("failure", FAILURES)
def test_before_connect_the_client_is_refused(call, failure):
    error = FAILURES[failure]
    reactor = current_reactor()
    uncaught: list[BaseException] = []
    connected: list[Event] = []
    reactor.add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))

    def admit(stream: object) -> Filter:
        filter = Failing(call, error)
        filter.holding = True
        return filter

    with listening() as server:
        server._admission = admit
        server.add_event_listener("connect", connected.append)
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE) as peer:
            if call == "received":
                peer.sendall(b"x")
            else:
                peer.shutdown(socket.SHUT_WR)
            run_until(reactor, lambda: server.turned_away == 1)
            run_until(reactor, lambda: ended(peer))
        assert connected == []
        assert server.connections == 0
        assert uncaught == ([] if isinstance(error, OSError) else [error])
    assert reactor.bytes_kept == 0


@pytest.mark.parametrize("call", ["received", "written", "ended", "closing"])
def test_what_has_to_leave_the_reactor_leaves_it_and_breaks_the_connection(call):
    with connection(admission=lambda stream: Failing(call, KeyboardInterrupt())) as it:
        with pytest.raises(KeyboardInterrupt):
            provoke(it, call)
            it.until_event("close")
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]


@pytest.mark.parametrize("call", ["received", "written", "ended", "closing"])
@pytest.mark.parametrize("returned", [None, "text", bytearray(b"x"), 7])
def test_what_is_not_bytes_is_a_type_error(call, returned):
    uncaught: list[BaseException] = []
    current_reactor().add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    filter = Plain()
    setattr(filter, call, lambda *arguments: returned)
    with connection(admission=lambda stream: filter) as it:
        provoke(it, call)
        it.until_event("close")
        assert [type(error) for error in uncaught] == [TypeError]
        assert repr(returned) in str(uncaught[0])


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("call", ["received", "written", "ended", "closing"])
def test_a_filter_may_end_its_own_connection(call, how):
    """Not that it should."""

    class Ending(Plain):
        stream: object = None

    filter = Ending()

    def end(*arguments: object) -> bytes:
        getattr(it.socket, how)() if it.socket.connected else None
        return b"x"

    setattr(filter, call, end)
    with connection(admission=lambda stream: filter) as it:
        provoke(it, call)
        if call == "closing" and how == "close":
            it.socket.flush() if it.socket.connected else None
        run_until(it.reactor, lambda: ended(it.peer) or not it.socket.connected)
        settle(it.reactor)
    assert current_reactor().bytes_kept == 0


def test_what_came_before_stays_readable():
    filter = Plain()
    with connection(admission=lambda stream: filter, reading=False) as it:
        it.peer.sendall(b"good")
        it.until_event("socketData")
        filter.received = lambda data: 1 // 0
        errors: list[BaseException] = []
        it.reactor.add_event_listener("uncaughtError", lambda event: errors.append(event.error))
        it.peer.sendall(b"bad")
        it.until_event("close")
        assert it.socket.read() == b"good"
        assert len(errors) == 1


def test_others_are_served_meanwhile():
    reactor = current_reactor()
    served: list[bytes] = []
    reactor.add_event_listener("uncaughtError", lambda event: None)
    with listening() as server:
        filters = iter([Failing("received", ZeroDivisionError()), Plain()] * 20)
        server._admission = lambda stream: next(filters)

        def connected(event: Event) -> None:
            event.socket.add_event_listener("socketData", lambda event: served.append(event.target.read()))

        server.add_event_listener("connect", connected)
        peers = [socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE) for _ in range(40)]
        for peer in peers:
            peer.sendall(b"x")
        run_until(reactor, lambda: served.count(b"x") == 20)
        for peer in peers:
            peer.close()
        run_until(reactor, lambda: server.connections == 0)
