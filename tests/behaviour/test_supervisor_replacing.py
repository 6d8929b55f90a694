"""Workers are replaced, on request and when they do not start, and no client is lost meanwhile."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter

import pytest

from .helpers import PATIENCE, on_linux
from .supervising import age, answer, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux


def test_clients_in_the_queue_of_a_killed_worker_are_served_by_the_next_one(supervised):
    it = supervised()
    old = set(it.all_started())
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    clients = [it.connect() for _ in range(40)]  # the system has accepted them, nobody else
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    served = Counter(client.pid for client in clients)
    assert sum(served.values()) == 40
    assert len(served) == 2
    assert not served.keys() & old
    for client in clients:
        assert client.echoes()
        client.close()
    assert it.ends() == 0


def test_no_connection_is_lost_when_an_idle_worker_is_killed(supervised):
    it = supervised()
    pids = it.all_started()
    for turn in range(300):
        if turn in (100, 200):
            # No connection is open, so it has accepted none.
            os.kill(pids[turn // 100 - 1], signal.SIGKILL)
        with it.connect() as client:
            assert client.pid
            assert client.echoes(b"%d" % turn)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    assert it.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_no_connection_is_lost_while_workers_are_replaced(supervised, number):
    it = supervised(
        """
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        signal.signal(signal.SIGUSR1, lambda number, frame: supervisor.restart())
        run(supervisor)
        """
    )
    old = set(it.all_started())
    seen = []
    while len(seen) < 300 or not old.isdisjoint(seen[-50:]):
        if len(seen) == 100:
            it.send(number)
        with it.connect() as client:
            seen.append(client.pid)
            assert client.echoes(b"%d" % len(seen))
        assert len(seen) < 20_000
    assert len(set(seen)) == 4
    new = {it.started(1), it.started(2)}
    assert new == set(seen) - old
    assert it.ends() == 0


def test_restarts_that_overlap_end_with_new_workers_and_no_others(supervised):
    it = supervised()
    old = set(it.all_started())
    for _ in range(5):
        it.send(signal.SIGHUP)
        with it.connect() as client:
            assert client.pid
            assert client.echoes()
    until(lambda: len(it.workers()) == 2 and old.isdisjoint(it.workers()), "two new workers")
    assert it.ends() == 0


def test_the_old_worker_accepts_no_more_and_finishes_its_connections(supervised):
    it = supervised()
    old = set(it.all_started())
    with it.connect() as client:
        pid = client.pid
        it.send(signal.SIGHUP)
        new = {it.started(1), it.started(2)}
        (other,) = old - {pid}
        it.tells(rf"worker \d \(pid {other}\) ended: exit status 0")
        until(lambda: {answer(it.port) for _ in range(10)} <= new, "nobody else accepts")
        for _ in range(50):
            assert answer(it.port, PATIENCE) in new
        assert client.echoes(bytes(1 << 20))
    it.tells(rf"worker \d \(pid {pid}\) ended: exit status 0")
    assert it.ends() == 0


def test_a_replacement_that_fails_leaves_the_old_workers(supervised, tmp_path):
    it = supervised(
        """
        def setup(server):
            if os.path.exists(sys.argv[1]):
                raise ValueError("the new settings are wrong")
            server.add_event_listener("connect", connected)
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """,
        str(tmp_path / "wrong"),
    )
    old = set(it.all_started())
    (tmp_path / "wrong").touch()
    it.send(signal.SIGHUP)
    it.line(r"worker 1 \(pid \d+\) ended before it was ready: exit status 1; the workers not replaced yet continue")
    for _ in range(50):
        assert answer(it.port, PATIENCE) in old
    (tmp_path / "wrong").unlink()
    it.send(signal.SIGHUP)
    assert not {it.started(1), it.started(2)} & old
    assert it.ends() == 0


# ------------------------------------------------------------------------------------ one that does not get ready

# Those that are started while there is that file do not get ready.
STUCK = """
def setup(server):
    if os.path.exists(sys.argv[1]):
        print("stuck", os.getpid(), flush=True)
        time.sleep(1000)
    server.add_event_listener("connect", connected)
"""


def stuck(it):
    return int(it.line(r"stuck (\d+)")[1])


def test_one_that_is_not_ready_in_time_is_killed_and_counts_as_one_that_died(supervised, tmp_path):
    (tmp_path / "stuck").touch()
    it = supervised(
        STUCK + 'run(Supervisor(setup, 0, "127.0.0.1", workers=1, start_timeout=0.5))', str(tmp_path / "stuck")
    )
    for delay in ("0.1", "0.2", "0.4"):
        it.line(
            rf"worker 1 \(pid \d+\) is killed: it was not ready within 0.5 seconds; the next one starts in {delay} s$"
        )
    client = it.connect()
    (tmp_path / "stuck").unlink()
    pid = it.started()
    assert client.pid == pid  # it has waited
    client.close()
    assert it.ends() == 0


def test_a_replacement_that_is_not_ready_in_time_leaves_the_old_workers(supervised, tmp_path):
    it = supervised(
        STUCK + 'run(Supervisor(setup, 0, "127.0.0.1", workers=2, start_timeout=2))', str(tmp_path / "stuck")
    )
    old = set(it.all_started())
    (tmp_path / "stuck").touch()
    it.send(signal.SIGHUP)
    pid = stuck(it)
    assert answer(it.port, PATIENCE) in old
    why = "it was not ready within 2 seconds"
    it.line(rf"worker 1 \(pid {pid}\) is killed: {why}; the workers not replaced yet continue")
    it.tells(rf"worker 1 \(pid {pid}\) ended: SIGKILL")
    for _ in range(50):
        assert answer(it.port, PATIENCE) in old
    (tmp_path / "stuck").unlink()
    it.send(signal.SIGHUP)
    assert not {it.started(1), it.started(2)} & old
    assert it.ends() == 0


def test_another_restart_does_not_wait_for_a_replacement_that_is_stuck(supervised, tmp_path):
    it = supervised(STUCK + 'run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000))', str(tmp_path / "stuck"))
    old = set(it.all_started())
    (tmp_path / "stuck").touch()
    it.send(signal.SIGHUP)
    pids = [stuck(it)]
    it.send(signal.SIGHUP)
    pids.append(stuck(it))
    until(lambda: age(pids[0]) > 1.2, "it was started more than a second ago")
    (tmp_path / "stuck").unlink()
    it.send(signal.SIGHUP)
    assert not {it.started(1), it.started(2)} & {*old, *pids}
    it.tells(rf"worker 1 \(pid {pids[0]}\) ended: SIGKILL")  # so that they do not become more and more
    os.kill(pids[1], signal.SIGKILL)
    assert it.ends() == 0


def test_a_restart_starts_what_is_stuck_from_the_beginning(supervised, tmp_path):
    (tmp_path / "stuck").touch()
    it = supervised(STUCK + 'run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=0))', str(tmp_path / "stuck"))
    pids = {stuck(it), stuck(it)}
    until(lambda: all(age(pid) > 1.2 for pid in pids), "they were started more than a second ago")
    (tmp_path / "stuck").unlink()
    it.send(signal.SIGHUP)
    assert not set(it.all_started()) & pids
    assert it.ends() == 0


def replacing_by_a_stuck_one(supervised, path):
    """A supervisor that has begun to replace its workers, their pids, and that of the one which does not get ready."""
    it = supervised(STUCK + 'run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1))', str(path))
    first, second = it.all_started()
    path.touch()
    it.send(signal.SIGHUP)
    pid = stuck(it)
    path.unlink()
    return it, first, second, pid


def test_a_worker_that_dies_while_its_replacement_is_stuck_is_replaced_all_the_same(supervised, tmp_path):
    it, first, second, pid = replacing_by_a_stuck_one(supervised, tmp_path / "stuck")
    os.kill(first, signal.SIGKILL)
    it.line(rf"worker 1 \(pid {first}\) died: SIGKILL; the next one is already starting")
    third = it.started(1)
    assert third != pid
    assert it.started(2) != second  # the restart goes on
    it.send(signal.SIGHUP)
    assert not {it.started(1), it.started(2)} & {first, second, third, pid}
    assert it.ends() == 0


def test_a_worker_that_dies_while_another_one_is_replaced_is_replaced_at_once(supervised, tmp_path):
    it, first, second, _ = replacing_by_a_stuck_one(supervised, tmp_path / "stuck")
    os.kill(second, signal.SIGKILL)
    third = it.started(2)
    assert {answer(it.port, PATIENCE) for _ in range(50)} == {first, third}
    assert it.ends() == 0


def test_one_that_is_told_to_end_before_it_is_ready_ends_when_it_is(supervised, tmp_path):
    it = supervised(
        """
        def setup(server):
            print("stuck", os.getpid(), flush=True)
            while not os.path.exists(sys.argv[1]):
                time.sleep(0.01)
            server.add_event_listener("connect", connected)
            return lambda: print("farewell", flush=True)
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, grace=1000))
        """,
        str(tmp_path / "ready"),
    )
    pid = stuck(it)
    it.send(signal.SIGTERM)
    it.line("the workers are told to end")
    (tmp_path / "ready").touch()
    it.line("farewell")
    it.line(rf"worker 1 \(pid {pid}\) ended: exit status 0")
    assert it.ends(None) == 0
