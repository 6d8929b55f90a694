"""Over a link that loses, delays and reorders, and then is cut: every byte arrives once, and who is gone is noticed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ..behaviour.helpers import on_linux

pytestmark = on_linux

SERVER = """
import serversocket

def echo(event):
    event.target.write(event.target.read())
    if event.target.congested:
        event.target.pause()

def go_on(event):
    if not event.target.congested:
        event.target.resume()

def connected(event):
    event.socket.add_event_listener("socketData", echo)
    event.socket.add_event_listener("outputProgress", go_on)

server = serversocket.ServerSocket()
server.add_event_listener("connect", connected)
server.bind(7000, "10.9.0.1")
server.listen()
print("ready", flush=True)
serversocket.run()
"""

EVERY_BYTE = """
import serversocket

CONNECTIONS, SIZE, PIECE = 20, 100_000, 5000
DATA = b"".join(number.to_bytes(4, "big") for number in range((SIZE + CONNECTIONS * 1000) // 4))
done = []

class Client:
    def __init__(self, number):
        self.data = DATA[number * 1000:][:SIZE]
        self.sent, self.got = 0, bytearray()
        self.socket = serversocket.Socket()
        self.socket.timeout = 30_000
        for type in ("connect", "outputProgress"):
            self.socket.add_event_listener(type, self.send)
        self.socket.add_event_listener("socketData", self.receive)
        self.socket.add_event_listener("close", self.lost)
        self.socket.add_event_listener("ioError", self.lost)
        self.socket.connect(sys.argv[1], 7000)

    def send(self, event):
        while self.sent < SIZE and not self.socket.congested:
            self.sent += self.socket.write(self.data[self.sent:][:PIECE])

    def receive(self, event):
        self.got += self.socket.read()
        assert self.got == self.data[:len(self.got)], "lost, doubled or exchanged"
        if len(self.got) == SIZE:
            done.append(self)
            self.socket.close()

    def lost(self, event):
        raise SystemExit(f"{event} after {len(self.got)} bytes")

clients = [Client(number) for number in range(CONNECTIONS)]
serversocket.run()
assert len(done) == CONNECTIONS
print("all", flush=True)
"""

GONE = """
import errno, time
import serversocket

START = time.monotonic()
told = {}
def client(setting, seconds, talks):
    it = serversocket.Socket()
    setattr(it, setting, seconds)
    types = told[setting] = []
    it.add_event_listener("socketData", lambda event: heard(it))
    it.add_event_listener("connect", lambda event: it.write(b"x"))
    it.add_event_listener("ioError", lambda event: types.append(errno.errorcode[event.errno]))
    it.add_event_listener("close", lambda event: types.append("close"))
    it.connect(sys.argv[1], 7000)
    it.talks = talks
    return it

heard_from = set()

def heard(it):
    it.read()
    heard_from.add(it)
    if len(heard_from) == 3:
        print("cut", flush=True)
        for each in heard_from:
            if each.talks:
                serversocket.Reactor.call_later(each.reactor, 0.2, each.write, b"is anybody there?")

clients = [client("keep_alive", 1, False), client("user_timeout", 1.5, True), client("idle_timeout", 4, False)]
while not all(types[-1:] == ["close"] for types in told.values()) and clients[0].reactor.poll(1) is not None:
    assert time.monotonic() < START + 60, told
assert told == {name: ["ETIMEDOUT", "close"] for name in told}, told
print("noticed", flush=True)
"""


@functools.cache
def obstacle() -> str | None:
    """Why there can be no namespaces here."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for tool in ("ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "r0", "type", "veth"], capture_output=True, text=True
    )
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


def over_a_bad_link(loss: float, delay: float, client: str) -> list[str]:
    """What the client says, line by line, with the server at the other end of the link."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    program = Path(__file__).with_name("link.py")
    result = subprocess.run(
        [sys.executable, program, str(loss), str(delay), "seed", textwrap.dedent(SERVER), textwrap.dedent(client)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.stderr == "", result.stderr
    return result.stdout.splitlines()


def test_every_byte_arrives_once_over_a_link_that_loses_and_reorders() -> None:
    assert over_a_bad_link(0.05, 0.01, EVERY_BYTE) == ["all"]


def test_a_peer_that_vanishes_is_noticed() -> None:
    assert over_a_bad_link(0.0, 0.0, GONE) == ["cut", "noticed"]
