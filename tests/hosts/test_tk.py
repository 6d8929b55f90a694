from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

from .loops import TkLoop
from .windows import EXAMPLES, converse, example


@pytest.fixture(scope="session", params=["tk"])
def module(module: str) -> str:
    return module


@pytest.fixture
def loop(module: str) -> Iterator[TkLoop]:
    it = TkLoop()
    yield it
    it.end()


def text(field: Any) -> str:
    return str(field.get("1.0", "end-1c"))


def test_the_window(loop: TkLoop) -> None:
    window = example("tk_window").ServerWindow(loop.root)
    with loop.attach():
        converse(loop, window.bind_button.invoke, window.send_button.invoke, lambda: text(window.log_field))
        window.local_port.delete(0, "end")
        window.local_port.insert(0, "65536")
        window.bind_button.invoke()
        assert "Error #2003" in text(window.log_field)
        window.local_port.insert("end", "th")
        window.bind_button.invoke()
        assert "invalid literal" in text(window.log_field)
        loop.root.destroy()


def test_the_window_as_a_program(module: str) -> None:
    """It runs until somebody closes it."""
    program = (
        "import runpy, sys, tkinter\n"
        "from tkinter import Tk\n"
        "tkinter.Tk = lambda: (root := Tk(), root.after(200, root.destroy))[0]\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(EXAMPLES / "tk_window.py")]
    ended = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_it_ends_with_the_window(loop: TkLoop) -> None:
    hosting = loop.attach()
    child = loop.tkinter.Frame(loop.root)
    child.destroy()
    assert not hosting.closed
    loop.root.bind("<Destroy>", lambda event: None)
    loop.root.destroy()
    assert hosting.closed
    assert not current_reactor().closed
    serversocket.run()


def test_any_widget_will_do(loop: TkLoop) -> None:
    child = loop.tkinter.Frame(loop.root)
    seen: list[str] = []
    child.serversocket = loop.attach  # type: ignore[attr-defined]
    loop.place = lambda: (child,)  # type: ignore[method-assign]
    hosting = loop.attach()
    current_reactor().call_later(0, seen.append, "timer")
    loop.until(lambda: seen)
    child.destroy()
    assert hosting.closed


def test_a_destroyed_window_is_refused(loop: TkLoop) -> None:
    loop.root.destroy()
    with pytest.raises(loop.tkinter.TclError):
        loop.attach()
    serversocket.run()


class WithoutFiles:
    """Tk as it is on Windows."""

    def __init__(self, tk: Any) -> None:
        self._tk = tk

    def __getattr__(self, name: str) -> Any:
        if name in ("createfilehandler", "deletefilehandler"):
            raise AttributeError(name)
        return getattr(self._tk, name)


def look(loop: TkLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop.root, "tk", WithoutFiles(loop.root.tk))


def test_where_tk_cannot_watch_descriptors_it_looks(loop: TkLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    look(loop, monkeypatch)
    window = example("tk_window").ServerWindow(loop.root)
    with loop.attach() as hosting:
        converse(loop, window.bind_button.invoke, window.send_button.invoke, lambda: text(window.log_field))
    seen: list[str] = []
    hosting.reactor.call_later(0, seen.append, "timer")
    ticks: list[int] = []
    loop.later(50, lambda: ticks.append(1))
    loop.until(lambda: ticks)
    assert not seen
    loop.root.destroy()
    serversocket.run()


def test_a_dialog_in_a_listener_while_it_looks(loop: TkLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    look(loop, monkeypatch)
    seen: list[str] = []

    def ask() -> None:
        ticks: list[int] = []
        current_reactor().call_later(0, seen.append, "later")
        loop.later(50, lambda: ticks.append(1))
        loop.until(lambda: ticks)
        seen.append("answer")

    with loop.attach() as hosting:
        hosting.reactor.call_later(0, ask)
        loop.until(lambda: seen == ["answer", "later"])


def test_a_busy_reactor_while_it_looks(loop: TkLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    look(loop, monkeypatch)
    turns: list[int] = []
    drawn: list[int] = []

    def flood() -> None:
        turns.append(1)
        if len(drawn) < 3:
            current_reactor().call_soon_threadsafe(flood)
            loop.idle(lambda: drawn.append(1))

    with loop.attach():
        flood()
        loop.until(lambda: len(drawn) >= 3)


@pytest.mark.skipif(not hasattr(os, "dup2"), reason="needs descriptors")
def test_a_descriptor_beyond_what_select_knows(loop: TkLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    from serversocket.hosts import tk  # noqa: PLC0415 - it needs tkinter

    monkeypatch.setattr(tk, "SELECTABLE", 3)
    seen: list[str] = []
    with loop.attach() as hosting:
        hosting.reactor.call_later(0, seen.append, "timer")
        loop.until(lambda: seen)


def test_hostings_that_are_over_leave_nothing(loop: TkLoop) -> None:
    before = loop.root.bindtags()
    hosted = []
    for _ in range(3):
        reactor = serversocket.Reactor()
        hosting = loop.attach(reactor)
        with pytest.raises(RuntimeError, match="Tk delivers"):
            loop.attach(reactor)
        assert len(loop.root.bindtags()) == len(before) + 1
        hosted.append(weakref.ref(hosting))
        hosting.close()
        reactor.close()
    del hosting, reactor
    gc.collect()
    assert loop.root.bindtags() == before
    assert [it() for it in hosted] == [None] * 3
