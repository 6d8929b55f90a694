"""What the clients of the scoreboard do: plain blocking sockets on loopback."""

import contextlib
import select
import socket
import struct
import time

ADDRESS = "127.0.0.1"
TIMEOUT = 3.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset


def connect(port: int, timeout: float = TIMEOUT) -> socket.socket:
    return socket.create_connection((ADDRESS, port), timeout)


def begin(port: int) -> socket.socket:
    """A connection on its way: nothing waits."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((ADDRESS, port))
    return client


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def exchange(client: socket.socket, message: bytes = b"hello", timeout: float = TIMEOUT) -> bytes:
    """Send *message*; return the answer, as long as the message, or what came before the end."""
    client.settimeout(timeout)
    client.sendall(message)
    answer = b""
    while len(answer) < len(message) and (data := client.recv(len(message) - len(answer))):
        answer += data
    return answer


def served(port: int, timeout: float = TIMEOUT) -> bool:
    """Returns True if a new client gets its echo."""
    try:
        with connect(port, timeout) as client:
            return exchange(client, timeout=timeout) == b"hello"
    except OSError:
        return False


def told(client: socket.socket, wait: float = 0.0) -> bool:
    """Returns True if the server has ended the connection. What it sent before is dropped."""
    deadline = time.monotonic() + wait
    while select.select([client], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            if not client.recv(65536):
                return True
        except OSError:
            return True
    return False


@contextlib.contextmanager
def many(count: int, port: int):
    """*count* connections, all open, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port)) for _ in range(count)]
