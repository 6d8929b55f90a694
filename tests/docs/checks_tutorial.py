"""What the programs of the front page and the tutorials do."""

from __future__ import annotations

import signal
import socket

from ..behaviour.helpers import PATIENCE
from .programs import ROOT, Checks, Program, check, echoes, end_of, passes, receive, serving


def greets_and_closes(program: Program) -> None:
    with serving(program.code) as it, it.connect() as client:
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"Welcome to the chat.\n"


def answers_each_line(program: Program) -> None:
    with serving(program.code) as it, it.connect() as client, client.makefile("rb") as heard:
        assert heard.readline() == b"Say something.\n"
        client.sendall(b"it is")
        client.sendall(b" a line\nanother\r\nnot")
        assert heard.readline() == b"You said 'it is a line'.\n"
        assert heard.readline() == b"You said 'another'.\n"
        client.sendall(b" ended\n")
        assert heard.readline() == b"You said 'not ended'.\n"


def tells_everybody(program: Program) -> None:
    with serving(program.code) as it, it.connect() as ann, ann.makefile("rb") as heard:
        assert heard.readline() == b"* %d has come, 1 here\n" % port_of(ann)
        with it.connect() as bob, bob.makefile("rb") as heard_by_bob:
            other = port_of(bob)
            assert heard.readline() == b"* %d has come, 2 here\n" % other
            bob.sendall(b"hello\nAnn\n")
            for line in b"hello", b"Ann":
                assert heard.readline() == b"%d: %s\n" % (other, line)
            heard_by_bob.readline()
            assert heard_by_bob.readline() == b"%d: hello\n" % other
        assert heard.readline() == b"* %d has gone, 1 here\n" % other


def chats_in_rooms(program: Program) -> None:
    with serving(program.code) as it:
        chats(it.connect(), it.connect())


def chats(ann: socket.socket, bob: socket.socket) -> None:
    with ann, bob, ann.makefile("rb") as ann_heard, bob.makefile("rb") as bob_heard:
        for client in ann, bob:
            assert ann_heard.readline() == b"* guest%d has joined lobby\n" % port_of(client)
        bob.sendall(b"/name Bob\nhello\n/join den\nalone\n/join lobby\n")
        assert ann_heard.readline() == b"* guest%d is now Bob\n" % port_of(bob)
        assert ann_heard.readline() == b"Bob: hello\n"
        assert ann_heard.readline() == b"* Bob has left lobby\n"
        assert ann_heard.readline() == b"* Bob has joined lobby\n"
        bob.sendall(b"/quit\n")
        assert ann_heard.readline() == b"* Bob has left lobby\n"
        assert bob_heard.read().endswith(b"Bob: alone\n* Bob has joined lobby\n")


def chats_with_limits(program: Program) -> None:
    code = program.code
    with (
        serving(code.replace("MOST_CLIENTS = 1000", "MOST_CLIENTS = 2"), status=0) as it,
        it.connect() as ann,
        ann.makefile("rb") as heard,
        it.connect() as bob,
    ):
        for client in ann, bob:
            assert heard.readline() == b"* guest%d has joined lobby\n" % port_of(client)
        with it.connect() as third:
            assert end_of(third) in ("end", "reset")
        bob.sendall(b"x" * 5000)
        assert heard.readline() == b"* guest%d has left lobby\n" % port_of(bob)
        bob.recv(100)  # who has joined
        assert end_of(bob) == "reset"
        it.process.send_signal(signal.SIGTERM)
        assert heard.read() == b"* the server stops\n"
        it.process.wait(PATIENCE)
    with serving(code, status=0) as it, it.connect() as ann, ann.makefile("rb") as heard, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", it.port))
        said = b"guest%d: %s\n" % (port_of(ann), b"x" * 1000)
        line = heard.readline()
        while b"has left" not in line:  # until the system keeps no more for it, and then the server
            assert line == said or b"has joined" in line
            ann.sendall(b"x" * 1000 + b"\n")
            line = heard.readline()
        assert line == b"* guest%d has left lobby\n" % port_of(deaf)


def port_of(client: socket.socket) -> int:
    port: int = client.getsockname()[1]
    return port


def tests_the_chat(example: str) -> object:
    def passes_beside_it(program: Program) -> None:
        passes(program.code, "test_chat.py", chat=(ROOT / "examples" / example).read_text())

    return check(passes_beside_it)


QUOTES = ["Less is more.", "Form follows function."]


def quotes(program: Program) -> None:
    with serving(program.code) as it:
        gives_quotes(it.connect())


def quotes_and_logs(program: Program) -> None:
    with serving(program.code, status=0, log=r"^INFO:quotes:listening on 127\.0\.0\.1:") as it:
        gives_quotes(it.connect())


def gives_quotes(client: socket.socket) -> None:
    with client:
        numbers = [0, 1, 2, 4_294_967_295]
        sent = b"".join(number.to_bytes(4, "big") for number in numbers)
        expected = [QUOTES[number % 2].encode() for number in numbers]
        answer = b"".join(len(quote).to_bytes(2, "big") + quote for quote in expected)
        for piece in sent[:3], sent[3:9], sent[9:]:
            client.sendall(piece)
        assert receive(client, len(answer)) == answer


STEPS = {
    "Greet each client": greets_and_closes,
    "Answer each line": answers_each_line,
    "Tell all clients": tells_everybody,
    "Names and rooms": chats_in_rooms,
    "Limits, and a clean stop": chats_with_limits,
}
CHECKS: Checks = {
    "index.md: serversocket": [check(echoes), check(echoes)],
    "tutorial/chat-listeners.md: Test it": [tests_the_chat("chat_server.py")],
    "tutorial/chat-async.md: Test it": [tests_the_chat("async_chat.py")],
    "tutorial/carry-over-air.md: Carry an AIR program over": [None],
    "tutorial/carry-over-air.md: Name for name": [check(quotes)],
    "tutorial/carry-over-air.md: What you may leave out": [check(quotes)],
    "tutorial/carry-over-air.md: In Python's own words": [check(quotes)],
    "tutorial/carry-over-air.md: What AIR does not have": [check(quotes_and_logs)],
} | {
    f"tutorial/{page}.md: {heading}": [check(run)]
    for page in ("chat-listeners", "chat-async")
    for heading, run in STEPS.items()
}
