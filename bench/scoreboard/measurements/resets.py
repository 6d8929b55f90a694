"""Connections reset at random stages: what is left, and what is logged."""

import contextlib
import random
import socket

from harness import Failure, Running
from peers import Peer

from scoreboard import client, process

OPEN = 50
LARGE = b"x" * 300_000


def measure(peer: Peer, resets: int = 20_000) -> dict:
    """Figures: `descriptors` left, `log_lines`."""
    choose = random.Random(resets)
    with Running(peer.server, "echo") as running:
        client.served(running.port)
        process.settle(running, 0, seconds=0.1)
        before = process.descriptors(running)
        opened = []
        for _ in range(resets):
            with contextlib.suppress(OSError):  # the server may be the first to end it
                opened.append(advanced(running.port, choose.randrange(6)))
            if len(opened) > OPEN:
                client.reset(opened.pop(choose.randrange(len(opened))))
        for sock in opened:
            client.reset(sock)
        process.require_alive(running)
        if not client.served(running.port):
            raise Failure("the next client was not served")
        return {"descriptors": process.settle(running, before), "log_lines": process.log_lines(running)}


def advanced(port: int, stage: int) -> socket.socket:
    """A connection in one of six stages, from one that has just begun to one with much on its way."""
    sock = client.begin(port)
    if stage == 1:
        sock.send(b"hello")
    elif stage == 2:
        client.exchange(sock)
        sock.setblocking(False)
    elif stage == 3:
        sock.send(LARGE)
    elif stage == 4:
        sock.send(b"hello")
        sock.shutdown(socket.SHUT_WR)
    elif stage == 5:
        sock.shutdown(socket.SHUT_WR)
    return sock
