"""Whatever a peer sends, and however it leaves: nothing of that is worth a line in a log or on stderr."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable

import pytest

from serversocket import IOError
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, listening, on_linux, receive_all, reset, run_until, send_all, settle

pytestmark = on_linux

GARBAGE = b"\x16\x03\x01\xff\xff\x00\r\n\r\n\xfe\xff\xc0\x80%s%n../..\x1b]0;\x07" + bytes(range(256)) * 40
LIMIT = 200_000


def send_garbage(reactor, peer):
    peer.sendall(GARBAGE)
    peer.close()


def close_its_half(reactor, peer):
    peer.sendall(GARBAGE)
    peer.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        receive_all(reactor, peer)


def say_nothing(reactor, peer):
    peer.close()


def reset_at_once(reactor, peer):
    reset(peer)


def reset_before_data(reactor, peer):
    settle(reactor)
    reset(peer)


def reset_after_data(reactor, peer):
    peer.sendall(GARBAGE)
    settle(reactor)
    reset(peer)


def reset_with_data(reactor, peer):
    peer.sendall(GARBAGE)
    reset(peer)


def leave_without_reading(reactor, peer):
    peer.sendall(GARBAGE)
    settle(reactor)
    peer.close()


def send_urgent_data(reactor, peer):
    for _ in range(3):
        peer.sendall(b"before")
        peer.send(b"!", socket.MSG_OOB)
        settle(reactor)
    peer.close()


def flood(reactor, peer):
    with contextlib.suppress(OSError):
        send_all(reactor, peer, bytes(20 * LIMIT))
    peer.close()


def deaf(it):
    """Has no listener."""


def reading(it):
    it.add_event_listener("socketData", lambda event: event.target.read())


def leaving(it):
    """Leaves its input."""
    it.add_event_listener("socketData", lambda event: None)


def answering(it):
    def answer(event):
        with contextlib.suppress(IOError):  # that is how a limit is told of
            event.target.write(event.target.read() * 10)

    it.add_event_listener("socketData", answer)


@pytest.mark.parametrize("program", [deaf, reading, leaving, answering])
@pytest.mark.parametrize(
    "behave",
    [send_garbage, close_its_half, say_nothing, reset_at_once, reset_before_data, reset_after_data, reset_with_data,
     leave_without_reading, send_urgent_data, flood],
)  # fmt: skip
def test_whatever_a_peer_does(behave: Callable, program: Callable, caplog, capfd):
    caplog.set_level(logging.NOTSET)
    caplog.set_level(logging.NOTSET, "serversocket")
    reactor = current_reactor()
    accepted = []

    def connected(event):
        accepted.append(event.socket)
        event.socket.buffer_limit = LIMIT
        program(event.socket)

    with listening() as server:
        server.add_event_listener("connect", connected)
        for _ in range(3):
            with connect_to("127.0.0.1", server.local_port) as peer:
                behave(reactor, peer)
        run_until(reactor, lambda: len(accepted) == 3 and not server.connections)
    settle(reactor)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
