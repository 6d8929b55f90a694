"""A handler closes connections whose data came in the same batch: nothing reaches them any more."""

from harness import Running
from peers import Peer

from scoreboard import client, process

GROUP = 500


def measure(peer: Peer, connections: int = 100_000) -> dict:
    """Figures: `late` events, `closed`: connections that were closed with data waiting."""
    with Running(peer.server, "batch") as running, client.connect(running.port) as control:
        figures(control)
        alone = process.descriptors(running)
        for _ in range(connections // GROUP):
            clients = [client.connect(running.port) for _ in range(GROUP)]
            process.wait_until(lambda: process.descriptors(running) >= alone + GROUP, client.TIMEOUT)
            with process.held(running):
                for sock in clients:
                    sock.send(b"hello")
            for sock in clients:
                client.told(sock, client.TIMEOUT)
                client.reset(sock)
            process.settle(running, alone)
        process.require_alive(running)
        closed, late = figures(control)
        return {"late": late, "closed": closed}


def figures(control) -> tuple[int, int]:
    control.sendall(b"tell")
    closed, late = control.recv(100).split()
    return int(closed), int(late)
