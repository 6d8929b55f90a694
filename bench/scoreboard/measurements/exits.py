"""Programs end while connections are open, in six ways: with status 0, and without a word on stderr."""

import signal
import subprocess

from harness import Running
from peers import Peer

from scoreboard import client, process

WAYS = ("exit", "stop", "cycle", "atexit", "signal", "thread")
SIGNALLED = ("signal", "thread")
PATIENCE = 5.0


def measure(peer: Peer, exits: int = 30) -> dict:
    """Figures: `bad` of `exits`; `details`: why, by way."""
    reasons = {}
    bad = 0
    for number in range(exits):
        way = WAYS[number % len(WAYS)]
        if problem := leave(peer, way):
            bad += 1
            reasons[way] = problem
    return {"bad": bad, "exits": exits, "details": reasons}


def leave(peer: Peer, way: str) -> str | None:
    """End one server with four connections open; what was wrong with that."""
    role = f"exit-{way}" if way in SIGNALLED else "exit"
    with Running(peer.server, role) as running, client.many(4, running.port) as clients:
        if way in SIGNALLED:
            running.process.send_signal(signal.SIGTERM)
        else:
            clients[0].sendall(way.encode())
        try:
            status = running.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "did not end"
        said = running.stderr()
        return f"status {status}: {process.complaint(running)}" if status or said else None
