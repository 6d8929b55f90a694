"""Thousands of clients that connect at once."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import descriptors, listening, on_linux, run_until

pytestmark = [on_linux, pytest.mark.long]

CLIENTS = 10_000
TOGETHER = 1000  # fewer than the backlog holds
DESCRIPTORS = CLIENTS + 500  # of each of the two processes

PEERS = """
import socket, sys
clients = []
for line in sys.stdin:
    call, port, count = line.split()
    for client in [socket.socket() for _ in range(int(count))]:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", int(port)))
        clients.append(client)
    if call == "leave":
        for client in clients:
            client.settimeout(60)
            assert client.recv(1) == b"x"
            client.shutdown(socket.SHUT_WR)
        for client in clients:
            assert client.recv(1) == b""
            client.close()
        clients.clear()
    print(call, flush=True)
"""


class Peers:
    """So many clients of one server, in a process with descriptors of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def begin(self, call: str, count: int = 0) -> None:
        print(call, self.port, count, file=self.process.stdin, flush=True)

    def done(self) -> None:
        assert self.process.stdout.readline()

    def connect(self, count: int) -> None:
        self.begin("connect", count)
        self.done()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    with descriptors(DESCRIPTORS):
        yield


def growth(call: Callable[[], None]) -> int:
    """How many bytes of memory more are allocated after the second call than after the first."""
    allocated = []
    tracemalloc.start()
    try:
        for _ in range(2):
            call()
            gc.collect()
            allocated.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return allocated[1] - allocated[0]


def queued(server: ServerSocket) -> int:
    """How many clients wait to be accepted: tcpi_unacked, of a socket that listens."""
    with socket.socket(fileno=os.dup(server.fileno())) as it:
        information = it.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("I", information, 24)[0])


@contextlib.contextmanager
def peers(port: int) -> Iterator[Peers]:
    with subprocess.Popen([sys.executable, "-c", PEERS], stdin=-1, stdout=-1, text=True) as process:
        yield Peers(process, port)
        process.stdin.close()
        assert process.wait(60) == 0


def test_all_are_served_and_nothing_is_left(many_descriptors):
    """The second burst costs what the first did, and the last clients of each what those before them did."""
    reactor = current_reactor()
    served = 0

    def answer(event):
        nonlocal served
        served += 1
        event.socket.add_event_listener("socketData", lambda event: None)
        event.socket.write(b"x")

    with listening() as server, peers(server.local_port) as clients:
        server.add_event_listener("connect", answer)

        def wave() -> tuple[int, int]:
            """How many turns and blocks of memory so many clients more take."""
            clients.connect(TOGETHER)
            while queued(server) < TOGETHER:
                time.sleep(0.001)
            turns, wanted, blocks = 0, served + TOGETHER, sys.getallocatedblocks()
            while served < wanted:
                assert reactor.poll(10)
                turns += 1
            return turns, sys.getallocatedblocks() - blocks

        def burst() -> None:
            costs = [wave() for _ in range(CLIENTS // TOGETHER)]
            assert server.connections == CLIENTS
            turns, blocks = zip(*costs, strict=True)
            assert max(turns) <= min(turns) + 1
            last = blocks[len(blocks) // 2 :]  # the first find some that are free
            assert max(last) <= 1.05 * min(last)
            clients.begin("leave")
            run_until(reactor, lambda: not server.connections)
            clients.done()
            assert len(os.listdir("/proc/self/fd")) == before

        before = len(os.listdir("/proc/self/fd"))
        assert growth(burst) < CLIENTS  # less than a byte for each
    assert served == 2 * CLIENTS
