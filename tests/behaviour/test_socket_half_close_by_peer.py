from __future__ import annotations

import socket

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, Log, connection, listening, pattern, receive_all, run_until, settle


@pytest.mark.parametrize("host", FAMILIES)
def test_it_looks_like_a_full_close(host):
    with connection(host) as it:
        it.peer.sendall(b"request")
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "close"]
        assert it.log.data == b"request"
        assert not it.socket.connected
        assert receive_all(it.reactor, it.peer) == b""


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_everything_queued_is_sent_before_the_end(size):
    reply = pattern(size)
    with connection() as it:

        def answer(event):
            event.target.write(reply)

        it.socket.add_event_listener("socketData", answer)
        it.peer.sendall(b"request")
        it.peer.shutdown(socket.SHUT_WR)
        assert receive_all(it.reactor, it.peer) == reply
        it.until(lambda: it.log.count("close"))
        settle(it.reactor)
        assert it.log.count("close") == 1
        assert it.log.count("ioError") == 0


def test_reply_that_was_blocked_already_is_sent_to_its_end():
    reply = pattern(5_000_000)
    with connection(receive_buffer=4096) as it:
        it.socket.write(reply)
        it.socket.flush()
        settle(it.reactor)
        assert it.socket.bytes_pending > 0
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.log.count("close"))
        assert it.socket.bytes_pending == 0
        assert receive_all(it.reactor, it.peer) == reply


def test_writing_in_the_close_handler_is_refused():
    with connection() as it:
        seen = []

        def closed(event):
            for call, arguments in (("write", (b"late",)), ("flush", ()), ("write_utf", ("late",))):
                with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
                    getattr(event.target, call)(*arguments)
            seen.append(event.target.connected)

        it.socket.add_event_listener("close", closed)
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: seen)
        assert seen == [False]
        assert receive_all(it.reactor, it.peer) == b""


@pytest.mark.parametrize("host", FAMILIES)
def test_both_sides_close_at_once(host):
    with connection(host) as it:
        it.peer.close()
        it.socket.close()
        settle(it.reactor)
        assert it.log.events == []


def test_both_sides_of_one_reactor_close_at_once():
    reactor = current_reactor()
    with listening() as server:
        logs = []
        server.add_event_listener("connect", lambda event: logs.append((event.socket, Log(event.socket))))
        client = serversocket.Socket("127.0.0.1", server.local_port)
        log = Log(client)
        run_until(reactor, lambda: logs and client.connected)
        client.close()
        logs[0][0].close()
        settle(reactor)
        assert log.types == ["connect"]
        assert logs[0][1].events == []
