"""What is taken for a port, an address or a host, and nothing else is.

The oracle is the system's own strict parser, `inet_pton`, and the plain rule for a port.
"""

from __future__ import annotations

import socket

from choices import Choices

from serversocket import ServerSocket, Socket, checks, errors
from serversocket.net import addresses

REFUSALS = (errors.ArgumentError, errors.RangeError, errors.SecurityError, errors.IOError, TypeError)


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def check(data: bytes) -> None:
    choices = Choices(data)
    number = choices.integer()
    port = choices.pick((number, Index(number), float(number % 2**60), str(number), None, True, [number]))
    text = choices.text()
    check_port(port, number)
    check_address(text)
    check_host(text)
    with ServerSocket() as server:
        try:
            server.bind(port, text or "127.0.0.1")  # type: ignore[arg-type]
        except REFUSALS:
            assert not server.bound
        else:
            assert server.bound
            assert 0 <= number <= 65535
    with Socket() as client:
        try:
            client.connect(text, port)  # type: ignore[arg-type]
        except REFUSALS:
            pass
        else:
            assert 0 <= number <= 65535


def check_port(port: object, number: int) -> None:
    good = isinstance(port, (int, Index)) and not isinstance(port, bool) and 0 <= number <= 65535
    try:
        taken = checks.as_port("local_port", port)
    except (errors.RangeError, TypeError):
        assert not good, port
    else:
        assert good, port
        assert taken == number


def check_address(text: str) -> None:
    try:
        taken = addresses.parse_address(text)
    except (errors.ArgumentError, errors.IOError):
        assert text
        assert not is_literal(text), text
    else:
        host = text.partition("%")[0] or "0.0.0.0"
        assert is_literal(host), text
        assert socket.inet_pton(taken.family, taken.host) == socket.inet_pton(taken.family, host)


def is_literal(text: str) -> bool:
    """Whether the system reads it as an address, strictly."""
    if not text.isascii() or "\0" in text:
        return False
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def check_host(text: str) -> None:
    try:
        taken = addresses.parse_host(text)
    except (errors.ArgumentError, errors.IOError):
        return
    if isinstance(taken, str):
        assert taken.isascii()
        assert "\0" not in taken
        assert " " not in taken
        assert 0 < len(taken) <= 255
