"""Two programs in network namespaces of their own, and between them a bad link: it loses, delays and reorders.

Run as a program, in a namespace of its own too: what is made goes with the processes, and nothing outside is touched.
It starts ``python -c PROGRAM address-of-the-other`` twice, at 10.9.0.1 and 10.9.0.2, forwards the frames between
them, and ends with both; the second begins when the first has said ``ready``. A line ``cut`` on the second one's
output cuts the link for good.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import os
import random
import select
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
# Checksums and segmentation that the system leaves to the hardware: there is none behind this link.
OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)
PATIENCE = 200.0

PROLOGUE = """
import contextlib, ctypes, fcntl, socket, struct, sys
sys.stdin.readline()  # the link is there
for command in {offloads!r}:
    off = ctypes.create_string_buffer(struct.pack("II", command, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        fcntl.ioctl(probe, {ioctl}, struct.pack("16sP", b"e0", ctypes.addressof(off)))
"""


class Side:
    """One end: its process, its namespace, and our socket on the wire to it."""

    def __init__(self, number: int, program: str) -> None:
        prologue = PROLOGUE.format(offloads=OFFLOADS, ioctl=SIOCETHTOOL)
        self.process = subprocess.Popen(
            [
                "unshare",
                "--net",
                sys.executable,
                "-X",
                "dev",
                "-W",
                "error",
                "-c",
                prologue + program,
                f"10.9.0.{3 - number}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.number = number
        self.name = f"r{number}"

    def connect(self) -> None:
        pid = str(self.process.pid)
        enter = ("nsenter", "--target", pid, "--net")
        self.wait_for_namespace()
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "e0", "netns", pid)
        run("ip", "link", "set", self.name, "up")
        run(*enter, "ip", "link", "set", "lo", "up")
        run(*enter, "ip", "address", "add", f"10.9.0.{self.number}/24", "dev", "e0")
        run(*enter, "ip", "link", "set", "e0", "up")
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.wire.bind((self.name, 0))
        self.wire.setblocking(False)

    def wait_for_namespace(self) -> None:
        end = time.monotonic() + PATIENCE
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < end, "no namespace"
            time.sleep(0.01)

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def ready(self) -> None:
        """Waits for its first line."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def forward(one: Side, other: Side, loss: float, delay: float, rng: random.Random) -> None:
    """Carries frames until the second program has ended."""
    wires = {one.wire.fileno(): (one.wire, other.wire), other.wire.fileno(): (other.wire, one.wire)}
    assert other.process.stdout is not None
    words = other.process.stdout.fileno()
    under_way: list[tuple[float, int, socket.socket, bytes]] = []
    order = itertools.count()
    cut = False
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        due = under_way[0][0] - time.monotonic() if under_way else 0.1
        for fd in select.select([*wires, words], [], [], max(0.0, min(due, 0.1)))[0]:
            if fd == words:
                line = other.process.stdout.readline()
                if not line:
                    return
                print(line, end="", flush=True)
                cut |= line == "cut\n"
                continue
            source, target = wires[fd]
            for _ in range(64):
                try:
                    frame, (_, _, kind, *_) = source.recvfrom(65536)
                except OSError:  # nothing more, or the namespace has gone with its program
                    break
                if kind == socket.PACKET_OUTGOING or cut or rng.random() < loss:
                    continue
                heapq.heappush(under_way, (time.monotonic() + rng.random() * delay, next(order), target, frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(under_way)
            with contextlib.suppress(OSError):  # the queue is full: one more that is lost
                target.send(frame)
    sys.exit("the second program does not end")


def main() -> None:
    loss, delay, seed = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    sides = [Side(number, program) for number, program in enumerate(sys.argv[4:6], 1)]
    try:
        for side in sides:
            side.connect()
        sides[0].go()
        sides[0].ready()
        sides[1].go()
        forward(*sides, loss, delay, random.Random(seed))
        status = sides[1].process.wait(PATIENCE)
    finally:
        for side in sides:
            side.process.kill()
            side.process.wait()
    sys.exit(status)


if __name__ == "__main__":
    main()
