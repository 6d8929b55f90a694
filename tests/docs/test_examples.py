"""Every example in a docstring, the README and the documentation does what it says."""

import doctest
import importlib
import pkgutil
import re
import socket
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

import serversocket

from ..behaviour import helpers

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(serversocket.__path__, "serversocket.")
    if not name.endswith("__main__")
    and ("._core" if serversocket.implementation == "pure" else ".engine.pure") not in name  # the other engine
]


@pytest.mark.parametrize("name", ["serversocket", *MODULES])
def test_docstrings(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name.startswith("serversocket"):
            raise
        pytest.skip(f"needs {missing.name}")
    # The examples of a class are written for its users: they find the public names.
    names = {**vars(module), **{public: getattr(serversocket, public) for public in serversocket.__all__}}
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name, extraglobs=names):
        failures = []
        runner.run(test, out=failures.append)
        assert not failures, "".join(failures)


def snippets(language):
    for page in PAGES:
        for code in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield pytest.param(code, id=f"{page.name}: {code.strip().splitlines()[0][:40]}")


@pytest.mark.parametrize("code", list(snippets("python")))
def test_python_snippets_compile(code):
    compile(code, "snippet", "exec")


def test_the_readmes_example_is_an_echo_server(unused_port):
    code = first_snippet(ROOT / "README.md")
    assert len(code.strip().splitlines()) <= 13
    echoes(as_program(code, unused_port), unused_port)


LARGE_DATA = dict(
    re.findall(
        r"^## (.+?)\n.*?^```python\n(.*?)^```",
        (ROOT / "docs" / "explanation" / "large-data.md").read_text(),
        re.M | re.S,
    )
)
LARGE = bytes(range(251)) * 20_000


def test_reading_in_place(unused_port):
    messages = [b"", b"hello", LARGE, b"x" * 65_536, b"end"]
    with client_of(LARGE_DATA["Reading in place"], unused_port) as client, client.makefile("rb") as answer:
        client.sendall(b"".join(struct.pack(">I", len(message)) + message for message in messages))
        for message in messages:
            assert answer.read(4) == struct.pack(">I", zlib.crc32(message))


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=len)
def test_receiving_into_your_own_memory(unused_port, data):
    code = LARGE_DATA["Receiving into your own memory"]
    with client_of(code, unused_port) as client, client.makefile("rb") as answer:
        client.sendall(struct.pack(">I", len(data)) + data)
        assert answer.read() == sha256(data).digest()


def test_writing(unused_port):
    with client_of(LARGE_DATA["Writing"], unused_port) as client, client.makefile("rb") as answer:
        (rows,) = struct.unpack(">I", answer.read(4))
        for number in range(rows):
            name = answer.read(*struct.unpack(">H", answer.read(2)))
            assert (name, *struct.unpack(">I", answer.read(4))) == (b"row %d" % number, number * number)
        assert rows == 1000
        (size,) = struct.unpack(">I", answer.read(4))
        assert answer.read() == bytes(range(256)) * (size // 256)


@pytest.mark.parametrize("data", [b"", b"hello", LARGE], ids=len)
def test_sending_no_faster_than_the_peer_receives(unused_port, data, tmp_path):
    (tmp_path / "file").write_bytes(data)
    code = LARGE_DATA["Sending no faster than the peer receives"]
    with client_of(code, unused_port, str(tmp_path / "file")) as client, client.makefile("rb") as answer:
        with socket.create_connection(("127.0.0.1", unused_port), timeout=60) as impatient:
            assert impatient.recv(1) == data[:1]  # and leaves
        client.shutdown(socket.SHUT_WR)
        assert answer.read() == data


PROXIES = {"async-await.md": "def proxy", "proxying.md": "class Half"}


@pytest.mark.parametrize("page", PROXIES)
def test_the_proxies(unused_port, page):
    text = (ROOT / "docs" / "howto" / page).read_text()
    (code,) = (code for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if PROXIES[page] in code)
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        code = code.replace("9000", str(upstream.getsockname()[1])).replace("8080", "8000")
        with client_of(code, unused_port) as client, upstream.accept()[0] as server:
            server.sendall(b"welcome")
            assert client.recv(7) == b"welcome"
            client.sendall(LARGE)
            client.shutdown(socket.SHUT_WR)
            with server.makefile("rb") as request:
                assert request.read() == LARGE
            server.sendall(LARGE)
            server.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                assert answer.read() == LARGE
            for leave in ("client", "server", "client resets", "server resets"):
                with socket.create_connection(("127.0.0.1", unused_port), timeout=60) as client:
                    ends = {"client": client, "server": upstream.accept()[0]}
                    with ends.pop("client" if "client" in leave else "server") as leaving:
                        if "resets" in leave:
                            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    for staying in ends.values():
                        with staying:
                            staying.settimeout(60)
                            assert end_of(staying) == ("reset" if "resets" in leave else "end")
            upstream.close()
            assert end_of_connecting(unused_port) == "reset"


def test_the_proxy_for_the_command_line(unused_port):
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        command = example("proxy.py", str(unused_port), "127.0.0.1", str(upstream.getsockname()[1]))
        with running(command, unused_port) as (client, program):
            with upstream.accept()[0] as server:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                with server.makefile("rb") as request:
                    assert request.read() == b"question"
                program.terminate()  # which lets this client finish
                server.sendall(LARGE)
            with client.makefile("rb") as answer:
                assert answer.read() == LARGE
            assert program.wait(60) == 0
        with running(command, unused_port) as (client, program):
            with upstream.accept()[0] as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert end_of(client) == "reset"
            upstream.close()
            assert end_of_connecting(unused_port) == "reset"
        assert program.returncode == 0


def example(name, *arguments):
    """The command that runs a program of the folder of examples."""
    return [sys.executable, "-X", "dev", str(ROOT / "examples" / name), *arguments]


def end_of(peer):
    """How a stream ends that brings nothing more."""
    try:
        return "end" if peer.recv(1) == b"" else "more"
    except ConnectionResetError:
        return "reset"


def end_of_connecting(port):
    """How a connection ends that is not wanted; that may be before the call returns that opens it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            return end_of(client)
    except ConnectionResetError:
        return "reset"


def test_links_of_the_readme_lead_somewhere():
    # Those of the other pages are checked when the documentation is made.
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def first_snippet(page):
    code = re.search(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)[1]
    assert "8000" in code
    return code


def as_program(code, port, *arguments):
    """The command that runs an example which serves on port 8000 on another one."""
    return [sys.executable, "-X", "dev", "-c", code.replace("8000", str(port)), *arguments]


def echoes(command, port):
    """Runs an echo server and asks it something; its exit status."""
    with running(command, port) as (client, server):
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    return server.returncode


@contextmanager
def client_of(code, port, *arguments):
    """A client of an example."""
    with running(as_program(code, port, *arguments), port) as (client, _):
        yield client


@pytest.fixture
def unused_port():
    return helpers.unused_port()


@contextmanager
def running(command, port):
    """A client of a program and its process; the program has to say nothing on stderr."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with connected(port, server) as client:
            yield client, server
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=60)
    assert helpers.complaints(errors.decode()) == ""


def connected(port, server):
    while server.poll() is None:
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            continue
        return client
    pytest.fail("the example has ended")
