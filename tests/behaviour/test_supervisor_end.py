"""How a supervisor ends, and its workers with it."""

from __future__ import annotations

import os
import signal

import pytest

from .helpers import on_linux
from .supervising import gone, refused, serves_who_waits_at_the_end, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "Ctrl-C", "group", "stop"])
def test_an_orderly_end_finishes_what_is_in_flight(supervised, how):
    it = supervised(
        """
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        signal.signal(signal.SIGUSR1, lambda number, frame: supervisor.stop())
        run(supervisor)
        """
    )
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        if how == "Ctrl-C":  # it reaches every process of the terminal
            os.killpg(it.process.pid, signal.SIGINT)
        elif how == "group":
            os.killpg(it.process.pid, signal.SIGTERM)
        else:
            it.send({"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "stop": signal.SIGUSR1}[how])
        until(lambda: refused(it.port), "nobody accepts")
        assert client.echoes(bytes(1 << 20))
        assert not gone(pid)
        client.close()
        assert it.ends(None) == 0
    assert it.log.endswith("over\n")
    assert "died" not in it.log or how == "group"
    assert f"(pid {pid}) ended: exit status 0\n" in it.log or how == "group"


def test_who_waits_at_the_end_is_served_before_the_queue_is_closed(supervised):
    serves_who_waits_at_the_end(supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=1))'))


def test_another_thread_may_end_it(supervised):
    it = supervised(
        """
        import warnings
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        def end():
            os.read(gate, 1)
            supervisor.stop()
        gate, told = os.pipe()
        signal.signal(signal.SIGUSR1, lambda number, frame: os.write(told, b"x"))
        threading.Thread(target=end).start()
        run(supervisor)
        """
    )
    it.all_started()
    assert it.ends(signal.SIGUSR1) == 0


def test_stop_before_run_ends_it(supervised):
    it = supervised(
        """
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        supervisor.stop()
        run(supervisor)
        """
    )
    assert it.ends(None) == 0


def test_the_second_signal_ends_it_at_once(supervised):
    it = supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000))')
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        it.send(signal.SIGTERM)
        it.line("the workers are told to end")
        assert client.echoes()
        assert it.ends(signal.SIGINT) == 0
        assert client.recv(1) == b""
    assert f"(pid {pid}) ended: SIGKILL\n" in it.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_after_the_grace_a_worker_is_killed(supervised, number):
    it = supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=0.3))')
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        it.send(number)
        it.tells(rf"worker \d \(pid {pid}\) is killed: the 0.3 seconds of grace are over")
        it.tells(rf"worker \d \(pid {pid}\) ended: SIGKILL")
        assert client.recv(1) == b""
    assert it.ends(signal.SIGTERM if number == signal.SIGHUP else None) == 0


def test_a_worker_that_is_stuck_is_killed_after_the_grace(supervised):
    it = supervised(
        """
        def setup(server):
            server.add_event_listener("connect", lambda event: time.sleep(1000))
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, grace=0))
        """
    )
    it.started()
    with it.connect():
        assert it.ends() == 0


def test_what_setup_returns_closes_the_rest(supervised):
    it = supervised(
        """
        def setup(server):
            server.add_event_listener("connect", connected)
            timer = server.reactor.call_later(1000, print)
            def farewell():
                assert not server.bound
                print("farewell", flush=True)
                timer.cancel()
            return farewell
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, grace=1000))
        """
    )
    pid = it.started()
    os.kill(pid, signal.SIGTERM)  # one worker alone
    it.line("farewell")
    it.tells(rf"worker 1 \(pid {pid}\) died: exit status 0")
    it.started()
    assert it.ends() == 0
    assert it.log.count("farewell") == 2


@pytest.mark.parametrize("user", ["same", "nobody"])
@pytest.mark.parametrize("busy", ["pass", "time.sleep(1000)", "sum(range(10**15))"])
def test_workers_do_not_outlive_a_supervisor_that_is_killed(supervised, busy, user):
    if user == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    it = supervised(
        f"""
        def setup(server):
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            if {user == "nobody"}:
                os.setuid(65534)
            server.add_event_listener("connect", connected)
        def connected(event):
            event.socket.write(b"%d\\n" % os.getpid())
            event.socket.flush()
            {busy}
        run(Supervisor(setup, 0, "127.0.0.1", workers=3))
        """
    )
    pids = it.all_started(3)
    os.kill(pids[0], signal.SIGKILL)  # those that are started later have seen more
    pids[0] = it.started(1)
    clients = [it.connect() for _ in range(12)]
    clients[0].pid  # noqa: B018 - a worker is busy now
    it.process.kill()
    it.process.wait()
    try:
        until(lambda: all(map(gone, pids)), "the workers are gone")
    finally:
        for pid in pids:
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)
        for client in clients:
            client.close()


def test_an_error_of_the_programs_own_handler_leaves_no_worker(supervised):
    it = supervised(
        """
        def fail(number, frame):
            raise SystemExit  # no Exception, for logging would contain that
        signal.signal(signal.SIGUSR1, fail)
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        try:
            run(supervisor)
        except SystemExit:
            print("failed", len(os.listdir("/proc/self/fd")) - 4, flush=True)
        """
    )
    pids = it.all_started()
    it.send(signal.SIGUSR1)
    it.line("failed 0")
    assert all(map(gone, pids))
    assert it.ends(None) == 0


def test_a_stop_behind_many_restarts_is_heard(supervised):
    """What it was asked for is remembered, also where the bell that wakes it is full."""
    it = supervised(
        """
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=1)
        for _ in range(1000):
            supervisor.restart()
        supervisor.stop()
        run(supervisor)
        """
    )
    it.line("over")
    assert it.ends(None) == 0
