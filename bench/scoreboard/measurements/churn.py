"""Connections opened, served and closed: what is left of them."""

import signal

from harness import Failure, Running, load
from peers import Peer

from scoreboard import process

WARM_UP = 20_000


def measure(peer: Peer, connections: int = 100_000) -> dict:
    """Figures: `descriptors` left and `rss_kib` gained by *connections*, after a warm-up."""
    with Running(peer.server, "reply") as running:

        def serve(count: int) -> None:
            seconds = 30 + count / 1000
            done = load(running, "short", "--ops", str(count), "--seconds", str(seconds), timeout=seconds + 30)
            running.process.send_signal(signal.SIGCONT)  # the load leaves it stopped
            if done["operations"] < count:
                raise Failure(f"served {done['operations']} connections of {count} in {seconds:.0f} seconds")

        serve(min(WARM_UP, connections))
        process.settle(running, 0, seconds=0.3)
        descriptors, rss = process.descriptors(running), process.rss_kib(running)
        serve(connections)
        left = process.settle(running, descriptors)
        return {"descriptors": left, "rss_kib": process.rss_kib(running) - rss, "connections": connections}
