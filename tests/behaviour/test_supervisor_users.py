"""Workers that have become another user, below a supervisor that may not signal them."""

from __future__ import annotations

import os
import signal
import textwrap

import pytest

from .helpers import on_linux
from .supervising import gone, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = [on_linux, pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs a root to begin with")]

# The supervisor is root or an ordinary user, and may change the user; CAP_KILL it has not.
WITHOUT_CAP_KILL = """
import ctypes, struct
CAP_SETGID, CAP_SETUID = 6, 7
def drop(user):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    allowed = 1 << CAP_SETGID | 1 << CAP_SETUID
    header, sets = struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", allowed, allowed, 0, 0, 0, 0)
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
def setup(server):
    os.setuid(65534)
    server.add_event_listener("connect", connected)
def refused(pid):
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
def started(record):
    # What every test is about: the supervisor may not signal a worker that has started.
    if record.getMessage().endswith("started"):
        assert refused(int(record.getMessage().split()[3].rstrip(")"))), "it may"
    return True
logging.getLogger("serversocket").addFilter(started)
"""
BLOCKED = """
def echo(event):
    event.target.read()
    time.sleep(1000)
"""


@pytest.fixture(params=[0, 65533], ids=["root", "user"])
def powerless(request, supervised):
    """Starts a supervisor that may not signal its workers."""

    def start(keywords, more=""):
        run = f'run(Supervisor(setup, 0, "127.0.0.1", workers=2, {keywords}))'
        return supervised(f"{WITHOUT_CAP_KILL}\n{more}\ndrop({request.param})\n{run}")

    return start


def no_trouble(it):
    return "cannot" not in it.log and "could not" not in it.log and "Traceback" not in it.log


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_they_are_told_to_end_and_finish_their_connections(powerless, number):
    it = powerless("grace=1000")
    old = it.all_started()
    with it.connect() as client:
        pid = client.pid
        it.send(number)
        if number == signal.SIGHUP:
            new = it.all_started()
            assert not set(new) & set(old)
        (other,) = set(old) - {pid}
        it.tells(rf"worker \d \(pid {other}\) ended: exit status 0")
        assert client.echoes(bytes(1 << 20))
    it.tells(rf"worker \d \(pid {pid}\) ended: exit status 0")
    assert it.ends(signal.SIGTERM if number == signal.SIGHUP else None) == 0
    assert no_trouble(it)


@pytest.mark.parametrize(
    ("option", "number", "why"),
    [
        pytest.param("grace=0.3", signal.SIGHUP, "the 0.3 seconds of grace are over", id="after the grace"),
        pytest.param("watchdog=1", 0, "its reactor has not turned for 1 seconds", id="by the watchdog"),
    ],
)
def test_they_are_killed(powerless, option, number, why):
    it = powerless(option, BLOCKED)
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        client.sendall(b"block")
        it.send(number)  # 0 is none
        it.tells(rf"worker \d \(pid {pid}\) is killed: {why}")
        it.tells(rf"worker \d \(pid {pid}\) ended: SIGKILL")
    assert it.ends() == 0
    assert no_trouble(it)


def test_they_are_killed_by_the_second_signal(powerless):
    it = powerless("grace=1000")
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        it.send(signal.SIGTERM)
        it.line("the workers are told to end")
        assert it.ends() == 0
    assert f"(pid {pid}) ended: SIGKILL" in it.log
    assert no_trouble(it)


def test_they_do_not_outlive_it(powerless):
    it = powerless("grace=1000", BLOCKED)
    pids = it.all_started()
    with it.connect() as client:
        assert client.pid in pids
        client.sendall(b"block")
        it.process.kill()
        it.process.wait()
        until(lambda: all(map(gone, pids)), "the workers are gone")


def test_one_that_nobody_may_kill_is_said_once_and_left_behind_in_the_end(supervised):
    """It has changed its user after it had started, when nobody expected that any more."""
    it = supervised(
        WITHOUT_CAP_KILL
        + textwrap.dedent(
            """
            from serversocket.workers import process
            process.KILL_AGAIN = 0.05
            def setup(server):
                server.add_event_listener("connect", connected)
            def echo(event):
                os.setuid(65534)
                event.target.write(event.target.read())
            logging.getLogger("serversocket").removeFilter(started)
            drop(65533)
            run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000))
            """
        )
    )
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        try:
            assert client.echoes()
            it.send(signal.SIGTERM)
            it.line("the workers are told to end")
            it.send(signal.SIGTERM)
            it.tells(rf"worker \d \(pid {pid}\) cannot be killed: Operation not permitted$")
            it.tells(rf"worker \d \(pid {pid}\) could not be killed and is left behind$")
            it.tells("over")
            assert it.process.wait() == 0
            assert it.log.count("cannot be killed") == 1
        finally:
            os.kill(pid, signal.SIGKILL)
