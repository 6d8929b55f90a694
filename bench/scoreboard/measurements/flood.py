"""An established connection while as many connections as the client can make are opened and reset."""

import json
import subprocess

from harness import BUILD, Failure, Running, last_line
from peers import Peer

from scoreboard import process


def measure(peer: Peer, seconds: float = 2.0) -> dict:
    """Figures: `p99_ms` and others of the exchange, `connections_per_second` of the flood."""
    with Running(peer.server, peer.crowd) as running:
        command = [BUILD / "flood", str(running.port), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20)
        process.require_alive(running)
        if done.returncode:
            raise Failure(last_line(done.stderr))
        return json.loads(done.stdout)
