"""Ctrl-C while clients are busy: it ends the server, each time."""

import random
import select
import signal
import subprocess
import time

from harness import Running
from peers import Peer

from scoreboard import client

CLIENTS = 8
PATIENCE = 5.0


def measure(peer: Peer, interrupts: int = 150) -> dict:
    """Figures: `swallowed` of `interrupts`."""
    choose = random.Random(interrupts)
    swallowed = sum(not interrupted(peer, choose.uniform(0.005, 0.03)) for _ in range(interrupts))
    return {"swallowed": swallowed, "interrupts": interrupts}


def interrupted(peer: Peer, delay: float) -> bool:
    """Returns True if one server ended."""
    with Running(peer.server, "echo") as running, client.many(CLIENTS, running.port) as clients:
        for sock in clients:
            sock.sendall(b"hello")
        echo_back(clients, delay)
        running.process.send_signal(signal.SIGINT)
        echo_back(clients, 0.02)
        try:
            running.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return False
        return True


def echo_back(clients: list, seconds: float) -> None:
    """Send every answer again."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for sock in select.select(clients, [], [], left)[0]:
            try:
                data = sock.recv(64)
                sock.sendall(data)
            except OSError:
                return
            if not data:
                return
