"""Counts what a debug interpreter's reference count gains per connection, message and event: it has to be nothing.

``python3.11-dbg tools/count_references.py [case ...]``, with the package built for that interpreter on its path. Each
case runs often, and then often again; only the second time counts, because the first fills free lists and caches.
"""

from __future__ import annotations

import gc
import logging
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import serversocket
from serversocket import Event, EventDispatcher, ServerSocket, Socket

RESET = struct.pack("ii", 1, 0)
OFTEN = 300
TOLERATED = 0.02  # references a time: a table that happens to grow

server = ServerSocket()
reactor = server.reactor
accepted: list[Any] = []


def connect() -> tuple[Any, socket.socket]:
    peer = socket.create_connection(("127.0.0.1", server.local_port), timeout=10)
    while not accepted:
        reactor.poll(1)
    return accepted.pop(), peer


def until(predicate: Callable[[], object]) -> None:
    while not predicate():
        reactor.poll(1)


def closed_by_the_peer() -> None:
    it, peer = connect()
    it.add_event_listener("close", ignore)
    peer.close()
    until(lambda: not it.connected)


def closed_here() -> None:
    it, peer = connect()
    it.write(b"bye")
    it.close()
    peer.close()
    reactor.poll(0)


def reset() -> None:
    it, peer = connect()
    it.add_event_listener("ioError", ignore)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    until(lambda: not it.connected)


def aborted() -> None:
    it, peer = connect()
    it.write(b"lost")
    it.abort()
    peer.close()


def half_closed() -> None:
    it, peer = connect()
    it.write(bytes(1000))
    peer.shutdown(socket.SHUT_WR)
    until(lambda: not it.connected)
    peer.close()
    reactor.poll(0)


def paused() -> None:
    it, peer = connect()
    it.pause()
    peer.sendall(b"x")
    it.resume()
    until(lambda: it.bytes_available)
    it.close()
    peer.close()


def beyond_its_limit() -> None:
    it, peer = connect()
    it.buffer_limit = 10
    it.add_event_listener("ioError", ignore)
    with suppress(OSError):
        it.write(bytes(11))
    until(lambda: not it.connected)
    peer.close()


def idle() -> None:
    it, peer = connect()
    it.idle_timeout = 0.001
    until(lambda: not it.connected)
    peer.close()


def turned_away() -> None:
    it, peer = connect()
    server.max_connections = server.connections
    refused = socket.create_connection(("127.0.0.1", server.local_port), timeout=10)
    before = server.turned_away
    until(lambda: server.turned_away > before)
    refused.close()
    it.close()
    peer.close()
    server.max_connections = None


def client() -> None:
    it = Socket()
    it.add_event_listener("connect", ignore)
    it.connect("127.0.0.1", server.local_port)
    until(lambda: it.connected and accepted)
    it.close()
    accepted.pop().close()


def message() -> None:
    lasting_peer.sendall(b"hello")
    until(lambda: lasting.bytes_available)
    lasting.write(lasting.read())
    lasting.flush()
    lasting_peer.recv(5)


def view_and_skip() -> None:
    lasting_peer.sendall(bytes(10_000))
    until(lambda: lasting.bytes_available == 10_000)
    with lasting.view() as view:
        assert len(view) == 10_000
    lasting.skip()


def failed_bind() -> None:
    with suppress(OSError):
        ServerSocket().bind(server.local_port, "127.0.0.1")


def bad_address() -> None:
    with suppress(ValueError):
        ServerSocket().bind(0, "no address")


def dispatch() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("x", ignore)
    event = Event("x")
    dispatcher.dispatch_event(event)
    dispatcher.dispatch_event(event)
    dispatcher.remove_event_listener("x", ignore)


def raising_listener() -> None:
    dispatcher = EventDispatcher()
    dispatcher.add_event_listener("x", fail)
    dispatcher.dispatch_event(Event("x"))


def ignore(event: Any) -> None:
    pass


def fail(event: Any) -> None:
    raise ValueError


CASES = [
    closed_by_the_peer, closed_here, reset, aborted, half_closed, paused, beyond_its_limit, idle, turned_away, client,
    message, view_and_skip, failed_bind, bad_address, dispatch, raising_listener,
]  # fmt: skip


def slope(case: Callable[[], None]) -> float:
    counts = []
    for _ in range(3):
        for _ in range(OFTEN):
            case()
        gc.collect()
        counts.append(sys.gettotalrefcount())
    return (counts[2] - counts[1]) / OFTEN


def main() -> int:
    if not hasattr(sys, "gettotalrefcount"):
        sys.exit(f"{sys.executable} does not count references; python3-dbg does")
    logging.disable()
    wanted = sys.argv[1:]
    leaking = 0
    print(f"references gained for each, on the {serversocket.implementation} engine, CPython {sys.version.split()[0]}")
    for case in CASES:
        if not wanted or case.__name__ in wanted:
            gained = slope(case)
            leaking += abs(gained) > TOLERATED
            print(f"{case.__name__.replace('_', ' '):20} {gained:8.3f}")
    return 1 if leaking else 0


if __name__ == "__main__":
    server.add_event_listener("connect", lambda event: accepted.append(event.socket))
    server.bind(0, "127.0.0.1")
    server.listen()
    lasting, lasting_peer = connect()
    sys.exit(main())
