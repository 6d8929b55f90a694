"""The programs of the pages, how they are run, and what many of them do.

They run as they are printed, in processes of their own; only the port is another one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from ..behaviour.helpers import PATIENCE, complaints, unused_port

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


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return [program.code for program in programs(page) if program.language == language]


def need(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")


class Process:
    """A program that runs, on a port of its own."""

    def __init__(self, command: list[str], port: int, folder: Path | None = None) -> None:
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
            cwd=folder,
        )

    def says(self, text: bytes) -> bytes:
        """The next line that it prints with that in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return line
        pytest.fail(f"it never says {text!r}")

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
def running(
    command: list[str], port: int, *, status: int = -signal.SIGTERM, folder: Path | None = None, log: str = ""
) -> Iterator[Process]:
    """Ended by SIGTERM, where it has not ended itself; on stderr there may be lines that match, and nothing else."""
    it = Process(command, port, folder)
    try:
        yield it
        it.process.terminate()
        _, stderr = it.process.communicate(timeout=PATIENCE)
    finally:
        it.process.kill()
        it.process.communicate()
    said = complaints(stderr.decode())
    assert not [line for line in said.splitlines() if not (log and re.search(log, line))], said
    assert it.process.returncode == status, said


@contextmanager
def serving(
    code: str, *arguments: str, status: int = -signal.SIGTERM, folder: Path | None = None, log: str = ""
) -> Iterator[Process]:
    port = unused_port()
    command = [*python(code, port, "-X", "dev"), *arguments]
    with running(command, port, status=status, folder=folder, log=log) as it:
        yield it


def changed(code: str, old: str, new: str) -> str:
    """A program with one place changed, such as a time that no test waits for."""
    assert code.count(old) == 1, old
    return code.replace(old, new)


def end_of(client: socket.socket) -> str:
    """How a stream ends that brings nothing more."""
    try:
        data = client.recv(65536)
    except ConnectionResetError:
        return "reset"
    assert data == b""
    return "end"


def answers(client: socket.socket, question: bytes, answer: bytes) -> None:
    client.sendall(question)
    assert receive(client, len(answer)) == answer


def passes(code: str, name: str = "test_it.py", **beside: str) -> None:
    """The tests of a page pass, and each of them is collected; modules that they import lie beside them."""
    with TemporaryDirectory() as folder:
        for module, text in {name.removesuffix(".py"): code, **beside}.items():
            (Path(folder) / f"{module}.py").write_text(text)
        command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
        run = subprocess.run([*command, f"--rootdir={folder}", name], cwd=folder, capture_output=True, timeout=PATIENCE)
    assert run.returncode == 0, (run.stdout + run.stderr).decode()
    (passed,) = re.findall(rb"(\d+) passed", run.stdout)
    assert int(passed) >= code.count("def test_")


def runs(program: Program) -> None:
    """To its end, without a word of complaint."""
    run = subprocess.run([sys.executable, "-X", "dev", "-c", program.code], capture_output=True, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, b"")


def passes_its_tests(program: Program) -> None:
    passes(program.code)


class Check(NamedTuple):
    """What a program has to do, and which modules it needs."""

    needs: tuple[str, ...]
    run: Callable[[Program], None]


def check(run: Callable[[Program], None], *needs: str) -> Check:
    return Check(needs, run)


#: By page and heading, in their order there; `None` is a program that cannot be run here.
Checks = dict[str, list[Check | None]]


# ---- what many of them do


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


def forwards(program: Program, status: int = -signal.SIGTERM) -> None:
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

        with serving(code.replace("9000", str(upstream.getsockname()[1])), status=status) as it:
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
