"""Two processes have one listening socket: both hear of a client, and one of them comes too late."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys

from ..behaviour.helpers import connect_to, on_linux

pytestmark = on_linux

PROGRAM = """
import select, sys
import serversocket

def accept(event):
    event.socket.write(sys.argv[2].encode())
    event.socket.close()
    accepted.append(event)

accepted, errors = [], []
server = serversocket.ServerSocket()
server._inherit(int(sys.argv[1]))
server.add_event_listener("connect", accept)
server.add_event_listener("ioError", errors.append)
server.add_event_listener("close", errors.append)
for line in sys.stdin:
    if line == "wait\\n":
        select.select([server.reactor], [], [])
    else:
        server.reactor.poll(0)
    assert not errors and server.listening, errors
    print(len(accepted), flush=True)
server.close()
"""


class Process:
    def __init__(self, listener: socket.socket, name: str) -> None:
        self.name = name
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, str(listener.fileno()), name]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, pass_fds=[listener.fileno()], text=True, bufsize=1, **pipes)

    def does(self, what: str) -> int:
        """How many it has accepted then."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        return int(self.process.stdout.readline())

    def end(self) -> None:
        _, complaints = self.process.communicate(timeout=60)
        assert (self.process.returncode, complaints) == (0, "")


def test_who_comes_too_late_is_quiet_and_has_the_next_one():
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        processes = [Process(listener, name) for name in "ab"]
        for process in processes:
            stack.callback(process.end)
        for _ in range(5):
            for early, late in (processes, reversed(processes)):
                with connect_to("127.0.0.1", listener.getsockname()[1]) as client:
                    counts = [process.does("wait") for process in (early, late)]
                    assert [process.does("poll") for process in (early, late)] == [counts[0] + 1, counts[1]]
                    assert client.recv(10).decode() == early.name
