"""The memory of connections that are silent."""

from harness import Running
from peers import Peer

from scoreboard import client, process

WARM_UP = 200


def measure(peer: Peer, connections: int = 5000) -> dict:
    """Figures: `rss_kib` for each connection."""
    with Running(peer.server, "echo") as running:
        with client.many(WARM_UP, running.port) as warm:
            client.exchange(warm[-1])
        process.settle(running, 0, seconds=0.3)
        empty = process.descriptors(running)
        before = process.rss_kib(running)
        with client.many(connections, running.port):
            process.wait_until(lambda: process.descriptors(running) >= empty + connections, 10)
            process.require_alive(running)
            return {"rss_kib": (process.rss_kib(running) - before) / connections}
