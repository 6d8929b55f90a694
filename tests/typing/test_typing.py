"""The public names are typed, under both of their styles, and the stub says what the package is."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import serversocket
from serversocket import aio
from serversocket.aio.options import ListenOptions

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_whole_api_passes_strict_type_checks() -> None:
    run("-m", "mypy", "tests/typing/public_api.py", "tests/typing/facades.py")


@pytest.mark.skipif(serversocket.implementation != "pure", reason="the stub is made on the pure engine")
def test_the_stub_is_up_to_date() -> None:
    run("tools/make_stubs.py", "--check")


def test_the_stub_says_what_the_package_is(tmp_path: Path) -> None:
    # The modules behind the public names are their own stubs, and lack the AS3 names: those exist at run time.
    # The native engine's classes have two special methods more, and a layout that Python's classes do not have; what
    # sets up an event in pure Python takes anything, for `__init__` says what.
    allowed = tmp_path / "allowed"
    allowed.write_text("serversocket\\.[a-z_]+(\\..*)?\nserversocket\\..*_cython__\nserversocket\\.\\w*Event.__new__\n")
    run(
        *("-m", "mypy.stubtest", "serversocket", "--ignore-disjoint-bases", "--mypy-config-file", "pyproject.toml"),
        *("--allowlist", str(allowed), "--ignore-unused-allowlist"),
    )


# Every marked line is wrong, and no other one is.
REFUSED = """
import serversocket.aio.anyio
import serversocket.aio.trio
from serversocket import Event, IOErrorEvent, ProgressEvent, Reactor, ServerSocket, ServerSocketConnectEvent, Socket
from serversocket import run_in_thread
from serversocket.aio import AsyncSocket, listen
from serversocket.hosts import gevent, glib, qt

def connected(event: ServerSocketConnectEvent) -> None: ...
def data(event: ProgressEvent) -> None: ...
def failed(event: IOErrorEvent) -> None: ...
def any(event: Event) -> None: ...
def two(event: Event, other: Event) -> None: ...
def call(number: int) -> int: return number

def listeners(server: ServerSocket, socket: Socket) -> None:
    server.add_event_listener("connect", connected)
    server.add_event_listener("connect", any)
    server.add_event_listener("connect", data)  # refused
    server.add_event_listener(ServerSocketConnectEvent.CONNECT, failed)  # refused
    server.addEventListener("connect", failed)  # refused
    socket.add_event_listener("socketData", data)
    socket.add_event_listener("socketData", connected)  # refused
    socket.addEventListener(ProgressEvent.SOCKET_DATA, connected)  # refused
    socket.add_event_listener("ioError", data)  # refused
    socket.add_event_listener("close", data)  # refused
    socket.add_event_listener("close", two)  # refused
    socket.add_event_listener("close", "name")  # refused

async def facades(socket: AsyncSocket, server: ServerSocket) -> None:
    await socket.send("text")  # refused
    listen(0, "127.0.0.1", backlogs=5)  # refused
    await serversocket.aio.anyio.create_tcp_listener(0, "127.0.0.1", backlog=5)
    await serversocket.aio.anyio.create_tcp_listener(0, "127.0.0.1", backlogs=5)  # refused
    await serversocket.aio.trio.open_tcp_listener(0, "127.0.0.1", dual_stack=True)
    await serversocket.aio.trio.open_tcp_listener(0, "127.0.0.1", dual_stack="yes")  # refused
    serversocket.aio.anyio.SocketStream(server)  # refused
    serversocket.aio.trio.SocketListener(socket)  # refused
    event: ProgressEvent = await server.once("connect")  # refused
    print(event)

def hosts(reactor: Reactor, server: ServerSocket) -> None:
    qt.attach(None, server)  # refused
    glib.attach(server)  # refused
    gevent.attach(server)  # refused
    run_in_thread(call, "text")  # refused
    reactor.call_soon_threadsafe("text")  # refused
"""
MARKED = [number for number, line in enumerate(REFUSED.splitlines(), 1) if "# refused" in line]


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    program = tmp_path / "refused.py"
    program.write_text(REFUSED)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    return program


def output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_mypy_refuses_wrong_listeners_and_options(refused: Path) -> None:
    told = output(sys.executable, "-m", "mypy", "--strict", str(refused))
    assert sorted({int(line) for line in re.findall(r"refused\.py:(\d+): error", told)}) == MARKED, told


def test_pyright_refuses_wrong_listeners_and_options(refused: Path) -> None:
    if importlib.util.find_spec("basedpyright") is None:
        pytest.skip("needs basedpyright")
    told = output(
        *(sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable),
        *("--project", str(refused.parent)),
    )
    found = json.loads(told)["generalDiagnostics"]
    assert sorted({each["range"]["start"]["line"] + 1 for each in found}) == MARKED, told


def test_both_checkers_are_strict_on_the_programs() -> None:
    """`make lint` runs them with these settings."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert settings["mypy"]["strict"] is True
    assert "tests/typing" in settings["mypy"]["files"]
    assert settings["pyright"]["typeCheckingMode"] == "strict"
    assert settings["pyright"]["include"] == ["tests/typing"]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert lint
    assert {"\t$(BIN)/mypy", "\t$(BIN)/basedpyright"} <= set(lint[1].splitlines())


def test_the_options_of_listeners_are_those_of_listen() -> None:
    parameters = inspect.signature(aio.listen).parameters.values()
    keywords = {each.name: each.annotation for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert {name: each.__forward_arg__ for name, each in ListenOptions.__annotations__.items()} == keywords
