"""Handlers raise when a client connects, sends, or ends: connections that are left, clients that wait for ever."""

import contextlib
import time

from harness import Running
from peers import Peer

from scoreboard import client, process

BRIEF = 0.3  # seconds in which the first one is let go, or the server has ended
PAUSE = 0.3  # seconds between the message that raises and the next
MOMENTS = ("connect", "data", "close")


def measure(peer: Peer, connections: int = 600, patience: float = 3.0) -> dict:
    """Figures: `descriptors` left, clients `hung`: neither served nor told that they will not be."""
    left = hung = 0
    for moment in MOMENTS:
        with Running(peer.server, f"raise-{moment}") as running:
            with client.connect(running.port) as first:  # what is opened once, for ever, is opened
                provoke(moment, [first], patience)
            process.wait_until(lambda: not process.alive(running), BRIEF)
            process.require_alive(running)
            before = process.descriptors(running)
            with client.many(connections // len(MOMENTS), running.port) as clients:
                hung += provoke(moment, clients, patience)
            process.require_alive(running)
            left += process.settle(running, before)
    return {"descriptors": left, "hung": hung}


def provoke(moment: str, clients: list, patience: float) -> int:
    """How many of *clients* are neither served nor told."""
    for sock in clients:
        with contextlib.suppress(OSError):
            if moment == "close":
                client.exchange(sock)
                sock.shutdown(1)
            else:
                sock.sendall(b"raise" if moment == "data" else b"hello")
    if moment == "data":
        time.sleep(PAUSE)
        for sock in clients:
            with contextlib.suppress(OSError):
                sock.sendall(b"hello")
    waiting = list(clients)

    def all_know() -> bool:
        waiting[:] = [sock for sock in waiting if not (client.told(sock) if moment == "close" else answered(sock))]
        return not waiting

    process.wait_until(all_know, patience)
    return len(waiting)


def answered(sock) -> bool:
    """Returns True if anything came: bytes, the end, or a reset."""
    sock.setblocking(False)
    try:
        sock.recv(64)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
