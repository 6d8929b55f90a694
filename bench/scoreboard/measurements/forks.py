"""A forked child ends its copy of the listener, of a connection, or itself; the parent goes on with all of them."""

import contextlib

from harness import Running
from peers import Peer

from scoreboard import client, process

CHECKS = ("listener", "connection", "exit")


def measure(peer: Peer) -> dict:
    """Figures: `passed` of three, `details`: which were not."""
    failed = [what for what in CHECKS if not survives(peer, what)]
    return {"passed": len(CHECKS) - len(failed), "details": failed}


def survives(peer: Peer, what: str) -> bool:
    """Returns True if the connection that asked, another one, and a new one are served after the child's end."""
    with Running(peer.server, "fork") as running, client.many(2, running.port) as (asking, other):
        with contextlib.suppress(OSError):
            for sock in (asking, other):
                client.exchange(sock)
            return (
                client.exchange(asking, what.encode()) == what.encode()
                and all(client.exchange(sock) == b"hello" for sock in (asking, other))
                and client.served(running.port)
                and process.alive(running)
            )
        return False
