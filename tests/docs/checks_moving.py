"""What the programs do that came from elsewhere."""

from __future__ import annotations

import shutil
import signal
import socket

import pytest

from ..behaviour.helpers import unused_port
from .programs import MILK, PORTS, Checks, Program, check, echoes_until_a_signal, python, receive, running, serving

#: The input, in pieces, and the answer. Some clients say nothing, or do not end their last line.
CONVERSATIONS = [
    ([], b""),
    ([b"one\ntwo\n"], b"ONE\nTWO\n"),
    ([b"on", b"e\nt", b"wo\n"], b"ONE\nTWO\n"),
    ([b"one\ntwo"], b"ONE\n"),
    ([b"not ended"], b""),
    ([b"\n\n"], b"\n\n"),
    ([b"x" * 10_000 + b"\n"], b"X" * 10_000 + b"\n"),
]


def capitals(command: list[str], port: int, *, status: int = -signal.SIGTERM) -> None:
    with running(command, port, status=status) as it:
        for pieces, answer in CONVERSATIONS:
            assert it.talk(*pieces) == b"hello\n" + answer + b"goodbye\n", pieces


def answers_in_capitals(program: Program) -> None:
    port = unused_port()
    # Twisted's reactor ends in order when the signal comes.
    capitals(python(program.code, port), port, status=0 if "reactor.run()" in program.code else -signal.SIGTERM)


def answers_in_capitals_in_node(program: Program) -> None:
    node = shutil.which("node") or pytest.skip("needs node")
    port = unused_port()
    capitals([node, "-e", PORTS.sub(str(port), program.code)], port)


def answers_what_arrives(program: Program) -> None:
    """AIR's own cannot be run here. It knows no lines, and closes when the client has ended its output."""
    with serving(program.code) as it:
        for data in b"one\ntwo\n", b"not ended", "Grüße".encode():
            with it.connect() as client:
                assert receive(client, 6) == b"hello\n"
                client.sendall(data)
                expected = data.decode().upper().encode()
                assert receive(client, len(expected)) == expected
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""


def answers_with_its_message(program: Program) -> None:
    port = unused_port()
    command = [*python(program.code + f"# {port} 8000", port, "-X", "dev"), str(port), MILK.decode()]
    with running(command, port) as it, it.connect() as client:
        client.sendall("Grüße".encode())
        assert receive(client, len(MILK)) == MILK
        assert it.says(b"Received: ") == "Received: Grüße\n".encode()


UPPER = check(answers_in_capitals)
CHECKS: Checks = {
    "howto/moving-from-asyncio.md: Streams": [UPPER, UPPER],
    "howto/moving-from-asyncio.md: Protocols": [UPPER, UPPER],
    "howto/moving-from-twisted.md: Moving from Twisted": [check(answers_in_capitals, "twisted"), UPPER],
    "howto/moving-from-twisted.md: Both in one program": [check(echoes_until_a_signal, "twisted")],
    "howto/moving-from-node.md: Moving from Node": [check(answers_in_capitals_in_node), UPPER],
    "howto/moving-from-air.md: Moving from AIR": [None, check(answers_what_arrives)],
    "howto/moving-from-air.md: The example of AIR's reference page": [check(answers_with_its_message)],
}
