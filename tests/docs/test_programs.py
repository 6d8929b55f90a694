"""Every program of the pages on hosts, async/await, workers and coming from elsewhere runs, and answers its clients.

They run as they are printed, in processes of their own; only the port is another one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from ..behaviour.helpers import PATIENCE, complaints, unused_port
from ..hosts.loops import DEBIAN, display

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PORTS = re.compile(r"\b(8000|8080)\b")
HELLO = b"hello"
MILK = b"Lucy can't drink milk."


class Program(NamedTuple):
    """One block of code of a page."""

    page: str
    heading: str
    language: str
    code: str

    @property
    def place(self) -> str:
        return f"{self.page}: {self.heading}"


def programs(page: str) -> Iterator[Program]:
    """The blocks of a page, those that are included from files too."""
    heading = ""
    text = (DOCS / page).read_text()
    for title, language, code, included in re.findall(
        r"^##? ([^\n]+)$|^```(\w+)\n(.*?)^```|^```\{literalinclude\} (\S+)$", text, re.MULTILINE | re.DOTALL
    ):
        heading = title or heading
        if included:
            yield Program(page, heading, "python", ((DOCS / page).parent / included).read_text())
        elif language:
            yield Program(page, heading, language, code)


HOSTS = [f"hosts/{path.name}" for path in sorted((DOCS / "hosts").glob("*.md"))]
PAGES = ["async-await.md", "coming-from.md", "workers.md", *HOSTS]
PROGRAMS = [program for page in PAGES for program in programs(page)]


def need(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")


class Process:
    """A program that runs, on a port of its own."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment |= {
            "QT_QPA_PLATFORM": "offscreen",
            "QT_LOGGING_RULES": "*=false",
        }  # it says what that display lacks
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )

    def connect(self) -> socket.socket:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"nobody listens: {self.process.communicate()}")
                time.sleep(0.01)

    def talk(self, *pieces: bytes) -> bytes:
        """The whole answer to what is sent piece by piece, and ended."""
        with self.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.01)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def echoes(self) -> None:
        """Two clients at once are answered."""
        with self.connect() as one, self.connect() as two:
            for client in one, two, one:
                client.sendall(HELLO)
                assert receive(client, len(HELLO)) == HELLO


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def python(code: str, port: int, *options: str) -> list[str]:
    assert PORTS.search(code)
    return [sys.executable, *options, "-c", PORTS.sub(str(port), code)]


@contextmanager
def running(command: list[str], port: int, *, status: int = -signal.SIGTERM) -> Iterator[Process]:
    """Ended by SIGTERM, where it has not ended itself; it has to say nothing on stderr."""
    it = Process(command, port)
    try:
        yield it
        it.process.terminate()
        _, stderr = it.process.communicate(timeout=PATIENCE)
    finally:
        it.process.kill()
        it.process.communicate()
    assert complaints(stderr.decode()) == ""
    assert it.process.returncode == status


@contextmanager
def serving(code: str, *, status: int = -signal.SIGTERM) -> Iterator[Process]:
    port = unused_port()
    with running(python(code, port, "-X", "dev"), port, status=status) as it:
        yield it


# ---- what each has to do


def echoes(program: Program) -> None:
    with serving(program.code) as it:
        it.echoes()
        assert it.talk(HELLO) == HELLO


def echoes_until_a_signal(program: Program) -> None:
    with serving(program.code, status=0) as it:
        it.echoes()


def echoes_in_each_library(program: Program) -> None:
    """The page says which line is another one in trio; uvloop and anyio are run likewise."""
    asyncio_runs = "asyncio.run(main())"
    assert program.code.count(asyncio_runs) == 1
    need("anyio", "trio", "uvloop")
    for line in (
        asyncio_runs,
        "import trio; trio.run(main)",
        "import uvloop; uvloop.run(main())",
        "import anyio; anyio.run(main)",
        "import anyio; anyio.run(main, backend='trio')",
    ):
        echoes(program._replace(code=program.code.replace(asyncio_runs, line)))


def forwards(program: Program) -> None:
    """Both ways at once, and what comes after the end of one direction."""
    code = program.code if "asyncio.run(" in program.code else program.code + "\nasyncio.run(main())\n"
    data = bytes(range(256)) * 4096
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(PATIENCE)
        assert code.count("9000") == 1

        def answer() -> None:
            peer, _ = upstream.accept()
            with peer:
                peer.settimeout(PATIENCE)
                while chunk := peer.recv(65536):
                    peer.sendall(chunk)
                peer.sendall(b"and goodbye")

        with serving(code.replace("9000", str(upstream.getsockname()[1]))) as it:
            for _ in range(2):
                threads = [threading.Thread(target=answer)]
                with it.connect() as client:
                    threads.append(threading.Thread(target=send, args=(client, data)))
                    for thread in threads:
                        thread.start()
                    received = b"".join(iter(lambda: client.recv(65536), b""))
                    for thread in threads:
                        thread.join(PATIENCE)
                assert received == data + b"and goodbye"


def send(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)


FIRST_CLIENT = """
import asyncio

async def main():
    with await first_client() as socket:
        print(socket.remote_port)

asyncio.run(main())
"""


def waits_for_its_first_client(program: Program) -> None:
    code = program.code.replace("bind(0,", "bind(8080,")
    assert code != program.code
    code += FIRST_CLIENT
    with serving(code, status=0) as it:
        with it.connect() as client:
            assert it.process.stdout is not None
            assert int(it.process.stdout.readline()) == client.getsockname()[1]
        it.process.wait(PATIENCE)


def greets(program: Program) -> None:
    """By name, or without one when that does not come in time; the signal ends it."""
    with serving(program.code, status=0) as it:
        # A slow machine may take longer for that than the program waits.
        assert b"hello Lucy\n" in (it.talk(b"Lu", b"cy\nand more") for _ in range(20))
        with it.connect() as silent:
            assert receive(silent, 100) == b"hello whoever you are\n"


def says_hello(program: Program) -> None:
    with serving(program.code, status=0) as it, it.connect() as client:
        assert receive(client, len(HELLO)) == HELLO


def says_hello_beside_another_server(program: Program) -> None:
    """Each worker is connected to that until the end."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(PATIENCE)
        assert program.code.count("9000") == 1
        says_hello(program._replace(code=program.code.replace("9000", str(upstream.getsockname()[1]))))
        peer, _ = upstream.accept()
        with peer:
            peer.settimeout(PATIENCE)
            assert peer.recv(1) == b""


def waits_for_enter(program: Program) -> None:
    it = Process([sys.executable, "-X", "dev", "-c", program.code], 0)
    try:
        assert it.process.stdout is not None
        line = it.process.stdout.readline()
        assert line.startswith(b"listening on ")
        it.port = int(line.split()[-1])
        with it.connect() as client:
            client.sendall(HELLO)
            assert receive(client, len(HELLO)) == HELLO
            assert it.process.stdin is not None
            it.process.stdin.write(b"\n")
            it.process.stdin.flush()
            assert it.process.stdout.readline() == b"Enter ends it. 1 connections\n"
        _, stderr = it.process.communicate(timeout=PATIENCE)
        assert (complaints(stderr.decode()), it.process.returncode) == ("", 0)
    finally:
        it.process.kill()
        it.process.communicate()


def window(code: str, prepared: str) -> None:
    """A window that binds when its button is pressed, shows a client's text, and answers when the other one is."""
    port = unused_port()
    changed = code.replace('"0"', f'"{port}"').replace('if __name__ == "__main__":', prepared + "\nif True:")
    assert changed.count(f'"{port}"') == 1
    with running([sys.executable, "-c", changed], port, status=0) as it, it.connect() as client:
        client.sendall("Grüße".encode())
        assert receive(client, len(MILK)) == MILK
        assert it.process.stdout is not None
        assert it.process.stdout.readline().decode() == "Received: Grüße\n"


# Who uses the window: it presses the buttons, and closes it at the signal.
TK = """
def on_data(self, event, listener=ServerWindow.on_data):
    listener(self, event)
    print(self.log_field.get("1.0", "end-1c").splitlines()[-1])
    self.send_button.invoke()
ServerWindow.on_data = on_data

def attach(root, attach=tk.attach):
    hosting = attach(root)
    hosting.reactor.on_signal(__import__("signal").SIGTERM, root.destroy)
    root.after(1, root.winfo_children()[0].bind_button.invoke)
    return hosting
tk.attach = attach
"""
QT = """
def on_data(self, event, listener=ServerWindow.on_data):
    listener(self, event)
    print(self.log_field.toPlainText().splitlines()[-1])
    self.send_button.click()
ServerWindow.on_data = on_data

def attach(attach=qt.attach):
    hosting = attach()
    app = QApplication.instance()
    hosting.reactor.on_signal(__import__("signal").SIGTERM, app.quit)
    for each in app.topLevelWidgets():
        if isinstance(each, ServerWindow):
            hosting.reactor.call_later(0.001, each.bind_button.click)
    return hosting
qt.attach = attach
"""


def window_of_tk(program: Program) -> None:
    need("_tkinter")
    with display():
        window(program.code, TK)


def window_of_qt(program: Program) -> None:
    window(program.code, QT)


def in_glib(program: Program) -> None:
    path = ""
    if importlib.util.find_spec("gi") is None:
        path = f"import sys; sys.path.append({DEBIAN!r})\n"
        if subprocess.run(
            [sys.executable, "-c", path + "import gi.repository.GLib"], stderr=subprocess.DEVNULL
        ).returncode:
            pytest.skip("needs gi.repository.GLib")
    port = unused_port()
    # Without -X dev: PyGObject itself warns of what is deprecated.
    with running(python(path + program.code, port), port, status=0) as it:
        it.echoes()


# ---- coming from elsewhere

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


class Check(NamedTuple):
    needs: tuple[str, ...]
    run: Callable[[Program], None]


def check(run: Callable[[Program], None], *needs: str) -> Check:
    return Check(needs, run)


UPPER = check(answers_in_capitals)
#: By page and heading, in their order there.
CHECKS: dict[str, list[Check | None]] = {
    "async-await.md: async/await": [check(echoes_in_each_library)],
    "async-await.md: Two connections made one": [check(forwards)],
    "async-await.md: Single events": [check(waits_for_its_first_client)],
    "coming-from.md: asyncio streams": [UPPER, UPPER],
    "coming-from.md: asyncio protocols, and Twisted": [UPPER, check(answers_in_capitals, "twisted"), UPPER],
    "coming-from.md: Node": [check(answers_in_capitals_in_node)],
    "coming-from.md: AIR": [None, check(answers_what_arrives)],
    "workers.md: A program": [check(echoes_until_a_signal)],
    "workers.md: What happens when": [check(says_hello_beside_another_server)],
    "workers.md: Coroutines": [check(echoes_until_a_signal), check(says_hello)],
    "hosts/asyncio.md: asyncio and uvloop": [check(echoes)],
    "hosts/asyncio.md: uvloop": [check(echoes_until_a_signal, "uvloop")],
    "hosts/asyncio.md: Timers, signals and timeouts": [check(greets)],
    "hosts/gevent.md: gevent": [check(echoes_until_a_signal, "gevent")],
    "hosts/glib.md: GLib and GTK": [check(in_glib)],
    "hosts/qt.md: Qt": [check(window_of_qt, "PySide6")],
    "hosts/threads.md: Threads": [check(waits_for_enter)],
    "hosts/tk.md: Tk": [check(window_of_tk)],
    "hosts/trio.md: trio and anyio": [check(echoes, "trio")],
    "hosts/trio.md: Timers, signals and timeouts": [check(greets, "trio")],
    "hosts/trio.md: anyio": [check(echoes, "anyio", "trio")],
    "hosts/trio.md: As trio's own streams": [check(echoes, "trio")],
    "hosts/trio.md: As anyio's": [check(echoes, "anyio")],
}


def checked() -> Iterator[object]:
    counts: dict[str, int] = {}
    for program in PROGRAMS:
        if program.language not in ("python", "javascript", "actionscript"):
            continue
        number = counts[program.place] = counts.get(program.place, -1) + 1
        checks = CHECKS.get(program.place, [])
        it = checks[number] if number < len(checks) else check(unknown)
        if it is not None:
            yield pytest.param(program, it, id=f"{program.place}, {number + 1}")


def unknown(program: Program) -> None:
    pytest.fail(f"nobody says what this program of {program.place} does:\n{program.code}")


@pytest.mark.parametrize(("program", "it"), list(checked()))
def test_the_program_does_what_its_page_says(program: Program, it: Check) -> None:
    need(*it.needs)
    if program.page == "workers.md" and sys.platform != "linux":
        pytest.skip("needs what only Linux has")
    it.run(program)


def test_every_check_has_its_program() -> None:
    found = [program.place for program in PROGRAMS]
    assert {place: found.count(place) for place in CHECKS} == {place: len(checks) for place, checks in CHECKS.items()}


def test_every_page_of_a_host_has_a_complete_program() -> None:
    without = {"hosts/index.md", "hosts/interpreters.md"}
    assert {program.page for program in PROGRAMS} >= set(HOSTS) - without
