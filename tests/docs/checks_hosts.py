"""What the programs do that run in other loops, with async/await or in workers."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys

import pytest

from ..behaviour.helpers import PATIENCE, complaints, unused_port
from ..hosts.loops import DEBIAN, display
from .programs import (
    HELLO,
    MILK,
    Checks,
    Process,
    Program,
    check,
    echoes,
    echoes_in_each_library,
    echoes_until_a_signal,
    forwards,
    need,
    python,
    receive,
    running,
    serving,
)

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


CHECKS: Checks = {
    "howto/async-await.md: Use async/await": [check(echoes_in_each_library)],
    "howto/async-await.md: Two connections made one": [check(forwards)],
    "howto/async-await.md: Single events": [check(waits_for_its_first_client)],
    "howto/many-cores.md: A program": [check(echoes_until_a_signal)],
    "howto/many-cores.md: With async/await": [check(echoes_until_a_signal), check(says_hello)],
    "howto/many-cores.md: What happens when": [check(says_hello_beside_another_server)],
    "howto/hosts/asyncio.md: asyncio and uvloop": [check(echoes)],
    "howto/hosts/asyncio.md: uvloop": [check(echoes_until_a_signal, "uvloop")],
    "howto/hosts/asyncio.md: Timers, signals and timeouts": [check(greets)],
    "howto/hosts/gevent.md: gevent": [check(echoes_until_a_signal, "gevent")],
    "howto/hosts/glib.md: GLib and GTK": [check(in_glib)],
    "howto/hosts/qt.md: Qt": [check(window_of_qt, "PySide6")],
    "howto/hosts/threads.md: Threads": [check(waits_for_enter)],
    "howto/hosts/tk.md: Tk": [check(window_of_tk)],
    "howto/hosts/trio.md: trio and anyio": [check(echoes, "trio")],
    "howto/hosts/trio.md: Timers, signals and timeouts": [check(greets, "trio")],
    "howto/hosts/trio.md: anyio": [check(echoes, "anyio", "trio")],
    "howto/hosts/trio.md: As trio's own streams": [check(echoes, "trio")],
    "howto/hosts/trio.md: As anyio's": [check(echoes, "anyio")],
}
