"""A server writes 256 MiB to a client that never reads: the memory that this takes, and whether the program is told."""

import socket
import time

from harness import Running
from peers import Peer

from scoreboard import client, process

SECONDS = 6.0


def measure(peer: Peer) -> dict:
    """Figures: `rss_mib` gained at most, `details`: what the library said against it."""
    with Running(peer.server, "offer") as running:
        lines = process.Lines(running)
        before = process.rss_kib(running)
        process.forget_peak(running)
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            reader.connect((client.ADDRESS, running.port))
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline and "OFFERED" not in lines.read():
                time.sleep(0.01)
            process.wait_until(lambda: errors(lines), 1)
            process.require_alive(running)
            told = errors(lines)
        return {"rss_mib": (process.peak_kib(running) - before) / 1024, "errors": len(told), "details": told}


def errors(lines: process.Lines) -> list[str]:
    return [line for line in lines.read() if line.startswith("ERROR")]
