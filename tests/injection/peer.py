"""The other side of every connection: a process of its own, so that no fault hits it.

It has clients that know what they must receive, and an echoing server for what connects. A client's outcome is
"complete"; "broken", where the connection was refused, reset or ended early; "wrong", where it received other bytes
than it should; or "silent", where nothing came for `PATIENCE` seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PATIENCE = 70.0
AT_A_TIME = 8
SMALL = 600
LARGE = 400_000
RECEIVE_BUFFER = 32_768  # so that a large message has to wait for its receiver


def pattern(size: int) -> bytes:
    """Bytes of which any two places differ: a loss, a doubling or an exchange shows."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


SMALL_MESSAGE = b"E" + pattern(SMALL - 1)
LARGE_MESSAGE = b"E" + pattern(LARGE - 1)
GIFT = pattern(LARGE)


class Peer:
    """Starts the process. `port` is where it echoes."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = os.fork()
        if self._process == 0:
            status = 1
            try:
                self._ours.close()
                _serve(theirs)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        self.port: int = self._answer()

    def fileno(self) -> int:
        """Readable when there is an answer."""
        return self._ours.fileno()

    def begin(self, kind: str, port: int, count: int = 1) -> None:
        """Has `count` clients of this kind connect to a port, some at a time."""
        os.writev(self._ours.fileno(), [json.dumps([kind, port, count]).encode()])

    def outcomes(self) -> dict[str, int] | None:
        """How many clients ended how; None as long as they are at it."""
        if not select.select([self._ours], [], [], 0)[0]:
            return None
        outcomes: dict[str, int] = self._answer()
        return outcomes

    def _answer(self) -> Any:
        """By calls that the engines do not make: the shim leaves them alone."""
        answer = bytearray(4096)
        return json.loads(answer[: os.readv(self._ours.fileno(), [answer])])

    def close(self) -> None:
        self._ours.close()
        _, status = os.waitpid(self._process, 0)
        assert status == 0, f"the peer's process ended with {status}"


def _serve(control: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo_all, args=(listener,), daemon=True).start()
        control.send(json.dumps(listener.getsockname()[1]).encode())
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            while request := control.recv(4096):
                kind, port, count = json.loads(request)
                outcomes = Counter(threads.map(_outcome, [kind] * count, [port] * count))
                control.send(json.dumps(outcomes).encode())


def _echo_all(listener: socket.socket) -> None:
    while True:
        connection = listener.accept()[0]
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(PATIENCE)
        while data := connection.recv(65536):
            connection.sendall(data)


def _outcome(kind: str, port: int) -> str:
    try:
        with socket.socket() as client:
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            client.connect(("127.0.0.1", port))
            return _CLIENTS[kind](client)
    except TimeoutError:
        return "silent"
    except OSError:
        return "broken"


def _echoed(client: socket.socket) -> str:
    """A small message, a large one that does not fit into the system's buffers, and a half-close."""
    for message in (SMALL_MESSAGE, LARGE_MESSAGE):
        client.sendall(message)
        outcome = _compared(message, client, len(message))
        if outcome != "complete":
            return outcome
    client.shutdown(socket.SHUT_WR)
    return _compared(b"", client)


def _brief(client: socket.socket) -> str:
    """One small message."""
    client.sendall(SMALL_MESSAGE)
    return _compared(SMALL_MESSAGE, client, SMALL)


def _given(client: socket.socket) -> str:
    """A large answer to a small question, after which the server closes."""
    client.sendall(b"G")
    return _compared(GIFT, client)


def _asked_too_much(client: socket.socket) -> str:
    """As `_given`, with more input than the server will ever read."""
    client.sendall(b"G" * 100_000)
    return _compared(GIFT, client)


def _aborted(client: socket.socket) -> str:
    """A question that makes the server reset the connection."""
    client.sendall(b"A")
    with contextlib.suppress(ConnectionResetError):
        return "wrong" if client.recv(1) else "broken"
    return "complete"


def _resetting(client: socket.socket) -> str:
    """A message, and a reset before its answer can have been read."""
    client.sendall(SMALL_MESSAGE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "complete"


_CLIENTS = {
    "echoed": _echoed,
    "brief": _brief,
    "given": _given,
    "asked too much": _asked_too_much,
    "aborted": _aborted,
    "resetting": _resetting,
}


def _compared(wanted: bytes, client: socket.socket, size: int | None = None) -> str:
    """Receives so many bytes, or until the end of the stream, and compares them with what should come."""
    received = bytearray()
    while size is None or len(received) < size:
        chunk = client.recv(65536)
        if not chunk:
            break
        if wanted[len(received) : len(received) + len(chunk)] != chunk:
            return "wrong"
        received += chunk
    return "complete" if received == wanted else "broken"
