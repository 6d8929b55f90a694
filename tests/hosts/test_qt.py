from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

from .loops import QtLoop
from .windows import EXAMPLES, converse, example


@pytest.fixture(scope="session", params=["qt"])
def module(module: str) -> str:
    return module


@pytest.fixture
def loop(module: str) -> Iterator[QtLoop]:
    it = QtLoop()
    yield it
    it.end()


def test_the_window(loop: QtLoop, capfd: pytest.CaptureFixture[str]) -> None:
    window = example("qt_window").ServerWindow()
    window.show()
    with loop.attach():
        log = window.log_field.toPlainText
        converse(loop, window.bind_button.click, window.send_button.click, lambda: log() + "\n")
        window.local_port.setText("65536")
        window.bind_button.click()
        assert "Error #2003" in log()
        window.local_port.setText("http")
        window.bind_button.click()
        assert "invalid literal" in log()
        window.close()
    assert "Traceback" not in capfd.readouterr().err  # Qt says what the display lacks


def test_the_window_as_a_program(module: str) -> None:
    """It runs until somebody closes it."""
    program = (
        "import runpy, sys\n"
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication, QWidget\n"
        "show = QWidget.show\n"
        "QWidget.show = lambda self: (show(self), QTimer.singleShot(200, self.close))\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, str(EXAMPLES / "qt_window.py")]
    ended = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_ends_with_the_application(loop: QtLoop) -> None:
    application = loop.core.QCoreApplication.instance()
    hosting = loop.attach()
    seen: list[str] = []

    def quit() -> None:
        seen.append("timer")
        application.quit()

    current_reactor().call_later(0, quit)
    application.exec()
    assert seen == ["timer"]
    assert hosting.closed
    serversocket.run()


def test_it_ends_with_its_parent(loop: QtLoop) -> None:
    hosting = loop.attach()
    loop.end()
    assert hosting.closed
    loop.parent = loop.core.QObject()
    with loop.attach():
        seen: list[str] = []
        current_reactor().call_later(0, seen.append, "timer")
        loop.until(lambda: seen)


def test_without_a_parent_it_is_the_applications(loop: QtLoop) -> None:
    loop.place = lambda: ()  # type: ignore[method-assign]
    seen: list[str] = []
    with loop.attach():
        current_reactor().call_later(0, seen.append, "timer")
        loop.until(lambda: seen)


def test_a_parent_of_another_thread_is_refused(loop: QtLoop) -> None:
    refused: list[str] = []

    def attach() -> None:
        with pytest.raises(RuntimeError) as caught:
            loop.attach()
        refused.append(str(caught.value))
        current_reactor().close()

    thread = threading.Thread(target=attach)
    thread.start()
    thread.join(60)
    assert "another thread" in refused[0]


def test_without_an_application_it_is_refused(module: str) -> None:
    program = "from serversocket.hosts.qt import attach\nattach()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "RuntimeError: Qt has no application yet" in ended.stderr
