"""Errors of listeners, in a program that has not configured logging and whose stderr is a pipe that is full."""

from __future__ import annotations

import sys

import pytest

from ..behaviour.helpers import on_linux, python
from .test_foreign_hands import ECHO

pytestmark = [on_linux, pytest.mark.skipif(sys.platform == "win32", reason="needs poll")]

FULL = (
    ECHO
    + """
import fcntl
reading, writing = os.pipe()
os.dup2(writing, 2)
os.close(writing)
def fill(room=0):
    other = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(other, b"x" * 4096)
    except BlockingIOError:
        os.close(other)
    if room:
        os.read(reading, room)
def said():
    os.set_blocking(reading, False)
    text = b""
    try:
        while True:
            text += os.read(reading, 65536)
    except BlockingIOError:
        return text.decode()
client = connect()
LENGTH = 0
def fail(event):
    raise ZeroDivisionError("?" * LENGTH)
held[0].add_event_listener("socketData", fail, priority=1)
"""
)


def test_the_service_goes_on_and_what_was_not_said_is_counted():
    python(
        FULL
        + """
fill()
for _ in range(20):
    is_served(client)
assert "uncaught" not in said()
is_served(client)
text = said()
assert text.startswith("uncaught error in a listener of "), text
assert "; 20 more before it were not logged\\n" in text, text
assert text.endswith("ZeroDivisionError\\n"), text
assert not fcntl.fcntl(2, fcntl.F_GETFL) & os.O_NONBLOCK, "the descriptor is shared with others"
end()
"""
    )


def test_a_record_that_was_torn_is_counted_and_the_next_one_has_lines_of_its_own():
    python(
        FULL
        + """
fill(room=8192)
LENGTH = 100_000
is_served(client)
torn = said()
assert "uncaught" in torn and torn.endswith("?"), torn[-100:]
LENGTH = 0
is_served(client)
assert said().startswith("\\nuncaught error"), "on the line of the torn one"
is_served(client)
assert said().startswith("uncaught error")
end()
"""
    )


def test_a_reader_that_has_gone_is_no_matter():
    python(
        FULL
        + """
import signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.close(reading)
for _ in range(20):
    is_served(client)
end()
"""
    )
