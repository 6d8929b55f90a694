"""Host names are to be looked up where no thread or no descriptor is left: one `ioError`, and nothing is half done."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading

import pytest

import serversocket
from serversocket import Socket, aio
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE, Log, dialling, on_linux, on_posix, python, run_until, settle

STARTERS = [name for name in ("_start_new_thread", "_start_joinable_thread") if hasattr(threading, name)]
# A user who has no other processes, so that the limit on processes is the limit on this program's threads.
LONELY_USER = 54321


@pytest.fixture
def no_threads(monkeypatch):
    def start(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        for name in STARTERS:
            patch.setattr(threading, name, start)
        yield patch


def test_one_io_error_from_the_reactor(no_threads):
    with Socket() as it:
        log = Log(it)
        it.connect("localhost", 9)
        assert log.events == []
        current_reactor().run()  # returns: nothing waits for a look-up that nobody makes
        (event,) = log.events
        assert (event.type, event.errno, event.error_id) == ("ioError", errno.EAGAIN, 2031)
        assert event.text.startswith("Error #2031: Socket Error. URL: localhost connect localhost:9: no thread")
        assert not it.connected
        settle(it.reactor)


def test_a_connection_is_closed_in_order_and_not_half(no_threads):
    with dialling() as it:
        it.socket.connect("127.0.0.1", it.port)
        peer = it.accept()
        it.socket.write(b"goodbye")
        it.socket.connect("localhost", it.port)
        assert it.log.types == ["connect"]
        it.until(lambda: it.log.count("ioError"))
        with peer:
            assert peer.recv(100) == b"goodbye"
            assert peer.recv(100) == b""
        settle(it.reactor)
        assert it.log.types == ["connect", "ioError"]
        with pytest.raises(serversocket.IOError, match="not open"):
            it.socket.close()


def test_connect_works_as_soon_as_there_are_threads_again(no_threads):
    with dialling() as it:
        for _ in range(2):
            it.socket.connect("localhost", it.port)
            before = it.log.count("ioError")
            it.until(lambda: it.log.count("ioError") > before)  # noqa: B023 - it is called before the next round
        assert it.log.count("ioError") == 2
        no_threads.undo()
        it.socket.connect("localhost", it.port)
        it.accept().close()
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["ioError", "connect", "close"]
        it.reactor.run()


def test_close_before_it_is_told_tells_nothing(no_threads):
    it = Socket("localhost", 9)
    log = Log(it)
    it.close()
    settle(it.reactor)
    assert log.events == []


def test_a_coroutine_gets_an_io_error(no_threads):
    async def main():
        with pytest.raises(serversocket.IOError, match="no thread"):
            await aio.connect("localhost", 9)

    asyncio.run(main())


PROLOGUE = """
import errno, os, resource, socket, sys, threading
import serversocket
from serversocket.loop.reactor import current_reactor
reactor = current_reactor()
def note(host):
    it = serversocket.Socket()
    events = []
    for type in ("connect", "close", "ioError"):
        it.add_event_listener(type, events.append)
    it.connect(host, 9)
    assert events == []
    return events
def one_error(events):
    for _ in range(200):
        if events:
            break
        reactor.poll(0.1)
    for _ in range(3):
        reactor.poll(0)
    event, = events
    assert event.type == "ioError", event
    return event
"""


@on_linux
def test_the_systems_own_limit_on_threads():
    if os.geteuid() != 0:
        pytest.skip("only root can become a user who has no processes")
    python(
        PROLOGUE
        + f"""
os.setgroups([])
os.setgid({LONELY_USER})
os.setuid({LONELY_USER})
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=int).start()
except RuntimeError:
    event = one_error(note("localhost"))
    assert event.errno == errno.EAGAIN, event
    assert "no thread" in event.text, event
    reactor.run()
else:
    print("not limited")
"""
    )


@on_posix
def test_no_descriptor_is_left():
    """Names that are not ASCII, interfaces and the name's look-up itself: what needs files or sockets has none."""
    python(
        PROLOGUE
        + """
top = os.dup(0)
os.close(top)
resource.setrlimit(resource.RLIMIT_NOFILE, (top + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError as error:
    assert error.errno == errno.EMFILE
hosts = ["b\\xfccher.example", "localhost", "127.0.0.1", "fe80::1%1", "fe80::1%nosuch"]
noted = [note(host) for host in hosts]
for events in noted:
    event = one_error(events)
    assert event.errno == errno.EMFILE, event
for fd in taken:
    os.close(fd)
assert one_error(note("fe80::1%nosuch")).errno == errno.ENODEV
reactor.run()
"""
    )


@on_posix
@pytest.mark.parametrize("hanging", [False, True], ids=["", "beside look-ups that hang"])
def test_at_the_interpreters_end(hanging):
    """Newer versions of Python start no thread any more then; whatever this one does, one event tells."""
    program = """
import atexit, time
if sys.argv[1] == "True":
    socket.getaddrinfo = lambda *args, **kwargs: time.sleep(1000)
    for number in range(20):
        note(f"host{number}.example")
    while sum(thread.name.startswith("resolve ") for thread in threading.enumerate()) < 16:
        reactor.poll(0.01)
def late():
    it = serversocket.Socket()
    events = []
    it.add_event_listener("connect", events.append)
    it.add_event_listener("ioError", events.append)
    it.timeout = 250
    it.connect("localhost", 9)
    while not events:
        reactor.poll(0.1)
    for _ in range(3):
        reactor.poll(0)
    print(len(events))
atexit.register(late)
sys.exit(7)
"""
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROLOGUE + program, str(hanging)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (result.returncode, result.stdout, result.stderr) == (7, "1\n", "")


def test_no_thread_at_the_end_but_others_that_are_there(monkeypatch):
    """A look-up waits for the threads that there are, where one more cannot be had."""
    go, asked = threading.Event(), []

    def look_up(host, *args, **kwargs):
        asked.append(host)
        go.wait(PATIENCE)
        return []

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    first = Log(Socket("one.example", 9))
    run_until(current_reactor(), lambda: asked)

    def start(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    for name in STARTERS:
        monkeypatch.setattr(threading, name, start)
    second = Log(Socket("two.example", 9))
    settle(current_reactor())
    assert (first.events, second.events) == ([], [])
    go.set()
    run_until(current_reactor(), lambda: first.events and second.events)
    assert asked == ["one.example", "two.example"]
    assert [event.errno for event in first.events + second.events] == [errno.EHOSTUNREACH] * 2
