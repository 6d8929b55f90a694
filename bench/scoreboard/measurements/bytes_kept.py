"""Bytes echoed while half of the connections are killed, and with the client's half-close at the end."""

import random
import selectors
import socket
import time

from harness import Failure, Running
from peers import Peer

from scoreboard import client, process

CONNECTIONS = 240
SIZE = 400_000
PATIENCE = 30.0
PATTERN = random.Random(6).randbytes(SIZE + CONNECTIONS)


class Stream:
    """One client that sends its own part of the pattern and compares what comes back."""

    def __init__(self, port: int, number: int, half_close: bool, killed_after: int | None):
        self.socket = client.begin(port)
        self.expected = memoryview(PATTERN)[number : number + SIZE]
        self.half_close = half_close
        self.killed_after = killed_after
        self.sent = self.received = self.wrong = 0
        self.done = False

    def send(self) -> None:
        try:
            self.sent += self.socket.send(self.expected[self.sent : self.sent + 65536])
        except BlockingIOError:
            return
        except OSError:
            self.done = True
        if self.killed_after is not None and self.sent > self.killed_after:
            client.reset(self.socket)
            self.done = True
        elif self.sent == SIZE and self.half_close:
            self.socket.shutdown(socket.SHUT_WR)

    def receive(self) -> None:
        try:
            data = self.socket.recv(8192)  # slowly: the server has output that waits when the half-close comes
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.done = True
        elif data == self.expected[self.received : self.received + len(data)]:
            self.received += len(data)
            self.done = self.received == SIZE and not self.half_close
        else:  # doubled, missing in the middle, or another client's
            self.wrong += len(data)
            self.done = True


def measure(peer: Peer, connections: int = CONNECTIONS) -> dict:
    """Figures: `lost` bytes (missing, doubled or wrong) of the connections that were not killed; `lost_half_close`."""
    with Running(peer.server, "echo") as running:
        return {
            "lost": lost(running.port, connections, half_close=False),
            "lost_half_close": lost(running.port, connections, half_close=True),
            "served": client.served(running.port) and process.alive(running),
        }


def lost(port: int, connections: int, half_close: bool) -> int:
    choose = random.Random(connections)
    streams = [
        Stream(port, number, half_close, choose.randrange(SIZE) if number % 2 else None)
        for number in range(connections)
    ]
    deadline = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, stream)
        while selector.get_map():
            if time.monotonic() > deadline:
                raise Failure("not all bytes came back in time")
            for key, events in selector.select(1):
                stream = key.data
                if events & selectors.EVENT_WRITE:
                    stream.send()
                    if stream.sent == SIZE and not stream.done:
                        selector.modify(key.fileobj, selectors.EVENT_READ, stream)
                if events & selectors.EVENT_READ and not stream.done:
                    stream.receive()
                if stream.done:
                    selector.unregister(key.fileobj)
                    stream.socket.close()
    return sum(stream.wrong + SIZE - stream.received for stream in streams if stream.killed_after is None)
