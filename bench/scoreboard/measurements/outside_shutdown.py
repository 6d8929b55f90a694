"""The listening socket is shut down from outside, as `ss -K` or another holder of it does."""

import ctypes
import os
import socket
import time
from pathlib import Path

from harness import Failure, Running
from peers import Peer

from scoreboard import client, process

PIDFD_GETFD = 438  # the same number on every architecture
LISTEN = "0A"


def measure(peer: Peer, seconds: float = 2.0) -> dict:
    """Figures: `cpu_percent`, `log_lines_per_second`, `told`: how often the library said that it listens no more."""
    # The connection stays open: a server with nothing left to do may end.
    with Running(peer.server, "echo") as running, client.connect(running.port) as other:
        client.exchange(other)
        lines = process.Lines(running)
        with listener_of(running) as listener:
            listener.shutdown(socket.SHUT_RDWR)
        cpu, logged = process.cpu_seconds(running), process.log_lines(running)
        began = time.monotonic()
        process.wait_until(lambda: not process.alive(running), seconds)
        took = time.monotonic() - began
        process.require_alive(running)
        return {
            "cpu_percent": 100 * (process.cpu_seconds(running) - cpu) / took,
            "log_lines_per_second": (process.log_lines(running) - logged) / took,
            "told": lines.read().count("TOLD"),
        }


def listener_of(running: Running) -> socket.socket:
    """The server's own listening socket, as a child could have inherited it."""
    pid = running.process.pid
    inodes = {
        fields[9]
        for fields in map(str.split, Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
        if fields[3] == LISTEN and int(fields[1].partition(":")[2], 16) == running.port
    }
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(link) in {f"socket:[{inode}]" for inode in inodes}:
            libc = ctypes.CDLL(None, use_errno=True)
            handle = os.pidfd_open(pid)
            descriptor = libc.syscall(PIDFD_GETFD, handle, int(link.name), 0)
            os.close(handle)
            if descriptor < 0:
                raise Failure(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
            return socket.socket(fileno=descriptor)
    raise Failure("its listening socket was not found")
