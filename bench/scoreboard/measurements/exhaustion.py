"""A server is out of descriptors: what it logs, what others notice, who is told, and how fast it comes back."""

import contextlib
import resource
import socket
import time
from statistics import median

from harness import Running
from peers import Peer

from scoreboard import client, process

LIMIT = 64
CLIENTS = 150
ARRIVALS = 20  # new clients a second, all the time
PATIENCE = 1.0  # seconds in which a client is served or told, or else is waiting
RECOVERY = 5.0  # seconds


def measure(peer: Peer, seconds: float = 3.0) -> dict:
    """Figures: `log_lines_per_second`, `p99_ms`, `told` of `waiting` (per cent: `told_percent`), `recovery_s`."""
    with Running(peer.server, peer.crowd) as running, contextlib.ExitStack() as stack:
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        probe = stack.enter_context(client.connect(running.port))
        client.exchange(probe)
        clients = [stack.enter_context(client.begin(running.port)) for _ in range(CLIENTS)]
        time.sleep(0.3)
        logged = process.log_lines(running)
        latencies = []
        start_time = now = time.monotonic()
        while now < start_time + seconds:
            if (now - start_time) * ARRIVALS > len(clients) - CLIENTS:
                clients.append(stack.enter_context(client.begin(running.port)))
            began = time.monotonic()
            process.require_alive(running)
            client.exchange(probe, b"x")
            now = time.monotonic()
            latencies.append(now - began)
            time.sleep(0.001)
        lines = (process.log_lines(running) - logged) / (now - start_time)
        served, told = sorted_out(clients)
        waiting = len(clients) - len(served)
        recovery = recover(running.port, clients)
    latencies.sort()
    return {
        "log_lines_per_second": lines,
        "p50_ms": median(latencies) * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "told": told,
        "waiting": waiting,
        "told_percent": 100 * told / waiting,
        "recovery_s": recovery,
    }


def sorted_out(clients: list) -> tuple[list, int]:
    """The clients that are served, and how many of the others were told that they are not."""
    served, told = [], []
    for sock in clients:
        with contextlib.suppress(OSError):
            sock.send(b"x")

    def all_known() -> bool:
        for sock in clients:
            if sock not in served and sock not in told:
                with contextlib.suppress(BlockingIOError):
                    (served if answers(sock) else told).append(sock)
        return len(served) + len(told) == len(clients)

    process.wait_until(all_known, PATIENCE)
    return served, len(told)


def answers(sock: socket.socket) -> bool:
    """Returns True if an answer came, False if the connection was ended."""
    try:
        return sock.recv(1) == b"x"
    except ConnectionError:
        return False


def recover(port: int, clients: list) -> float:
    """Seconds from the end of all clients until a new one is served."""
    for sock in clients:
        sock.close()
    began = time.monotonic()
    while (now := time.monotonic()) < began + RECOVERY:
        if client.served(port, began + RECOVERY - now):
            break
    return time.monotonic() - began
