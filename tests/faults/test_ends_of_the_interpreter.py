"""The interpreter ends while sockets are in whatever state: in silence, with the status that the program has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..behaviour.helpers import on_posix

pytestmark = on_posix

PROLOGUE = """
import atexit, gc, os, socket, sys, threading, warnings
warnings.simplefilter("ignore", ResourceWarning)
import serversocket
reactor = serversocket.loop.reactor.current_reactor()
server, it = serversocket.ServerSocket(), serversocket.Socket()
held = []
def leave(*_):
    {end}
def listen():
    server.add_event_listener("connect", lambda event: held.append(event.socket))
    server.bind(0, "127.0.0.1")
    server.listen()
def connect():
    listen()
    it.add_event_listener("close", print)
    it.connect("127.0.0.1", server.local_port)
    while not (held and it.connected):
        reactor.poll(1)
"""
STATES = {
    "fresh": "leave()",
    "bound": 'server.bind(0, "127.0.0.1"); leave()',
    "listening": "listen(); leave()",
    "connecting": 'listen(); it.connect("127.0.0.1", server.local_port); leave()',
    "looking up": 'it.connect("localhost", 9); leave()',
    "paused with input": "connect(); it.pause(); held[0].write(b'x' * 9_000_000); held[0].flush(); leave()",
    "lingering": "connect(); it.write(b'x' * 9_000_000); it.close(); leave()",
    "viewed": (
        "connect(); held[0].read_buffer = bytearray(99); it.write(b'x'); it.flush(); reactor.poll(1)\n"
        "view = held[0].view(); leave()"
    ),
    "in a listener of connect": "server.add_event_listener('connect', leave, priority=1); connect(); reactor.run()",
    "in a listener of data": (
        "connect(); held[0].add_event_listener('socketData', leave); it.write(b'x'); it.flush(); reactor.run()"
    ),
    "in a timer": "connect(); reactor.call_later(0, leave); reactor.run()",
    "in a call": "connect(); reactor.call_soon_threadsafe(leave); reactor.run()",
    "in an atexit handler": (
        "def late():\n    connect()\n    it.write(b'x'); it.close(); server.close(); held[0].abort(); reactor.run()\n"
        "    other = serversocket.ServerSocket(); other.bind(0, '127.0.0.1'); other.listen()\n"
        "atexit.register(late); leave()"
    ),
    "while a daemon thread runs": (
        "ready = threading.Event()\n"
        "def serve():\n"
        "    other = serversocket.ServerSocket(); other.bind(0, '127.0.0.1'); other.listen()\n"
        "    other.add_event_listener('connect', print)\n"
        "    def again():\n        ready.set(); other.reactor.call_later(0, again)\n"
        "    again(); serversocket.run()\n"
        "threading.Thread(target=serve, daemon=True).start(); ready.wait(60); connect(); leave()"
    ),
}
ENDS = ["sys.exit(7)", "os._exit(7)"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", STATES)
def test_in_silence_and_with_its_status(state, end):
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROLOGUE.format(end=end) + STATES[state]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "")
