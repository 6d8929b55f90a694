from __future__ import annotations

import errno
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

import serversocket
from serversocket import ServerSocket, Supervisor

from .helpers import connect_to, on_linux, open_descriptors, python
from .supervising import age, answer, descriptors, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux


def nothing(server):
    pass


# --------------------------------------------------------------------------------------------- before it runs


def test_the_port_is_bound_at_once_and_clients_may_connect():
    with Supervisor(nothing, 0, "127.0.0.1", workers=3) as supervisor:
        assert (supervisor.workers, supervisor.local_address) == (3, "127.0.0.1")
        assert supervisor.localPort == supervisor.local_port > 0
        for _ in range(10):
            connect_to("127.0.0.1", supervisor.local_port).close()


def test_there_is_a_worker_for_each_usable_core():
    with Supervisor(nothing, 0, "127.0.0.1") as supervisor:
        assert supervisor.workers == len(os.sched_getaffinity(0))


def test_ipv6_and_both_families():
    with Supervisor(nothing, 0, "::1", workers=2) as supervisor:
        assert supervisor.local_address == "::1"
        connect_to("::1", supervisor.local_port).close()
    with Supervisor(nothing, 0, "::", workers=2, dual_stack=True) as supervisor:
        connect_to("127.0.0.1", supervisor.local_port).close()
        connect_to("::1", supervisor.local_port).close()


def test_close_gives_the_port_back_and_may_be_repeated():
    before = open_descriptors()
    supervisor = Supervisor(nothing, 0, "127.0.0.1", workers=4)
    port = supervisor.local_port
    supervisor.close()
    supervisor.close()
    supervisor.stop()
    supervisor.restart()
    assert open_descriptors() == before
    assert supervisor.local_port == port
    with ServerSocket() as server:
        server.bind(port, "127.0.0.1")
    with pytest.raises(RuntimeError, match="closed"):
        supervisor.run()


@pytest.mark.parametrize("sharing", [False, True])
def test_a_port_that_somebody_has_is_refused_even_if_it_is_shared(sharing):
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1", reuse_port=sharing)
        server.listen()
        before = open_descriptors()
        with pytest.raises(serversocket.IOError) as caught:
            Supervisor(nothing, server.local_port, "127.0.0.1", workers=2)
        assert caught.value.errno == errno.EADDRINUSE
        assert str(server.local_port) in str(caught.value)
        assert open_descriptors() == before


def test_two_supervisors_do_not_share_a_port():
    with Supervisor(nothing, 0, "127.0.0.1", workers=2) as first:
        with pytest.raises(serversocket.IOError) as caught:
            Supervisor(nothing, first.local_port, "127.0.0.1", workers=2)
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"workers": 0}, serversocket.RangeError, "0 workers"),
        ({"workers": -3}, serversocket.RangeError, "-3 workers"),
        ({"workers": True}, TypeError, "workers must be an int or None, not True"),
        ({"workers": 2.0}, TypeError, "not 2.0"),
        ({"workers": "2"}, TypeError, "not '2'"),
        ({"grace": -1}, serversocket.RangeError, "grace -1"),
        ({"grace": float("nan")}, serversocket.RangeError, "grace nan"),
        ({"grace": "1"}, TypeError, "grace must be a number of seconds, not '1'"),
        ({"grace": None}, TypeError, "not None"),
        (
            {"start_timeout": 0},
            serversocket.RangeError,
            "start_timeout 0 is not a number of seconds that is more than 0",
        ),
        ({"start_timeout": -(10**400)}, serversocket.RangeError, "start_timeout -1000"),
        ({"start_timeout": float("nan")}, serversocket.RangeError, "start_timeout nan"),
        ({"start_timeout": None}, TypeError, "start_timeout must be a number of seconds, not None"),
        ({"watchdog": 0.0}, serversocket.RangeError, "watchdog 0.0 is not a number of seconds that is more than 0"),
        ({"watchdog": -1}, serversocket.RangeError, "watchdog -1"),
        ({"watchdog": True}, TypeError, "watchdog must be a number of seconds or None, not True"),
        ({"loop_factory": 5}, TypeError, "loop_factory must be callable or None, not 5"),
        ({"loop_factory": list}, TypeError, "needs a setup that is a coroutine function, not <function nothing"),
        ({"setup": None}, TypeError, "setup must be callable, not None"),
        ({"setup": "server"}, TypeError, "not 'server'"),
        ({"local_port": 65536}, serversocket.RangeError, "65536"),
        ({"local_address": "localhost"}, serversocket.ArgumentError, "'localhost'"),
        ({"local_address": "192.0.2.1"}, serversocket.IOError, "192.0.2.1"),
        ({"dual_stack": True}, serversocket.ArgumentError, "dual_stack needs an IPv6 address"),
        ({"backlog": -1}, serversocket.RangeError, "backlog -1"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_and_leave_nothing(arguments, error, said):
    before = open_descriptors()
    with pytest.raises(error) as caught:
        Supervisor(**{"setup": nothing, "local_address": "127.0.0.1", "workers": 2, **arguments})
    assert said in str(caught.value)
    assert open_descriptors() == before


def test_too_many_workers_for_the_descriptors_are_refused_and_leave_nothing():
    python(
        """
        import errno, os, resource
        import serversocket
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        before = os.listdir("/proc/self/fd")
        try:
            serversocket.Supervisor(print, 0, "127.0.0.1", workers=10**9)
        except serversocket.IOError as error:
            assert error.errno == errno.EMFILE, error
            assert error.error_id == 2002 and "Too many open files" in str(error), error
        else:
            raise SystemExit("it was made")
        assert os.listdir("/proc/self/fd") == before
        """
    )


def test_it_runs_once_and_on_the_main_thread_only():
    python(
        """
        import threading
        import serversocket
        supervisor = serversocket.Supervisor(lambda server: None, 0, "127.0.0.1", workers=1)
        said = []
        def elsewhere():
            try:
                supervisor.run()
            except RuntimeError as error:
                said.append(str(error))
        thread = threading.Thread(target=elsewhere, name="elsewhere")
        thread.start()
        thread.join()
        assert "main thread" in said[0] and "'elsewhere'" in said[0], said
        supervisor.stop()
        supervisor.run()
        try:
            supervisor.run()
        except RuntimeError as error:
            assert "has already run" in str(error)
        else:
            raise SystemExit("it ran twice")
        """
    )


# ---------------------------------------------------------------------------------------------------- serving


@pytest.mark.parametrize(("workers", "least", "most"), [(2, 0.40, 0.60), (4, 0.15, 0.35)])
def test_connections_are_spread_evenly(supervised, workers, least, most):
    it = supervised(
        f"""
        def setup(server):
            server.add_event_listener("connect", lambda event: (event.socket.write(b"%d\\n" % os.getpid()),
                                                                event.socket.close()))
        run(Supervisor(setup, 0, "127.0.0.1", workers={workers}))
        """
    )
    pids = set(it.all_started(workers))
    counts = Counter()
    for _ in range(2000):
        with it.connect() as client:
            counts[client.pid] += 1
    assert set(counts) == pids
    assert all(least <= count / 2000 <= most for count in counts.values()), counts
    assert it.ends() == 0


def test_a_worker_begins_with_what_an_exec_leaves_of_signals_and_a_reactor_of_its_own(supervised):
    it = supervised(
        """
        signal.signal(signal.SIGUSR1, lambda number, frame: None)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        reactor = serversocket.loop.reactor.current_reactor()
        def setup(server):
            assert server.listening
            assert server.reactor is not reactor and server.reactor is serversocket.loop.reactor.current_reactor()
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
            assert signal.set_wakeup_fd(-1) == -1
            handled = {number for number in signal.valid_signals() if callable(signal.getsignal(number))}
            assert handled == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}, handled
            assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
            assert supervisor.local_port == server.local_port
            supervisor.stop()  # of a copy, it stops nothing
            server.add_event_listener("connect", connected)
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=1)
        run(supervisor)
        """
    )
    it.started()
    with it.connect() as client:
        assert client.pid != it.process.pid
        assert client.echoes()
    assert it.ends() == 0


def test_what_was_and_is_printed_appears_once(supervised):
    it = supervised(
        """
        def setup(server):
            logging.getLogger().handlers.clear()  # so that the log does not flush what is printed
            sys.stdout.write("from the worker\\n")
            server.add_event_listener("connect", connected)
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        print("port", supervisor.local_port, flush=True)
        sys.stdout.write("before\\n")
        supervisor.run()
        """
    )
    it.all_started()
    assert it.ends() == 0
    assert it.log.count("before\n") == 1
    assert it.log.count("from the worker\n") == 2


def test_nobody_has_descriptors_of_others(supervised):
    it = supervised()
    supervisor = it.process.pid
    workers = it.all_started()

    def complete():
        return [len(descriptors(worker)) for worker in workers] == [8, 8]

    until(lambda: len(descriptors(supervisor)) == 8, "a pipe that wakes, two listeners, two pipes to each worker")
    own = descriptors(supervisor)
    shared = [set(descriptors(worker)) & set(own) for worker in workers]
    assert [sorted(each.partition(":")[0] for each in one) for one in shared] == [["pipe", "pipe", "socket"]] * 2
    assert not shared[0] & shared[1]
    what = "a listener and two pipes; epoll, a wakeup descriptor and pair, and the spare one of a reactor"
    until(complete, what)
    for _ in range(3):
        it.send(signal.SIGHUP)
        workers = [it.started(1), it.started(2)]
        until(lambda: len(descriptors(supervisor)) == 8, "the same as in the beginning")
        assert [each for each in descriptors(supervisor) if each.startswith("socket")] == [
            each for each in own if each.startswith("socket")
        ]
        until(complete, what)
    assert it.ends() == 0


def test_the_state_of_signals_is_restored(supervised):
    it = supervised(
        """
        def handler(number, frame):
            pass
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGCHLD, handler)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        before = [signal.getsignal(number) for number in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, ())
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        after = [signal.getsignal(number) for number in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert before == after
        assert signal.set_wakeup_fd(-1) == -1
        """
    )
    it.started()
    status = Path(f"/proc/{it.process.pid}/status").read_text()
    ignored = int(re.search(r"SigIgn:\s*([0-9a-f]+)", status)[1], 16)
    assert ignored & 1 << signal.SIGHUP - 1  # as under nohup
    assert it.ends() == 0


# ------------------------------------------------------------------------------------------ a worker that dies


def test_a_worker_that_is_killed_is_started_anew(supervised):
    it = supervised()
    first, second = it.all_started()
    os.kill(second, signal.SIGKILL)
    it.tells(rf"worker 2 \(pid {second}\) died: SIGKILL; the next one starts in ")
    third = it.started(2)
    seen = set()
    while seen != {first, third}:
        with it.connect() as client:
            seen.add(client.pid)
        assert seen <= {first, third}
    assert it.ends() == 0


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os._exit(3)", "exit status 3"),
        ("sys.exit(4)", "exit status 4"),
        ("sys.exit()", "exit status 0"),
        ("serversocket.stop()", "exit status 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "signal 40"),
    ],
)
def test_how_it_died_is_told(supervised, how, said):
    it = supervised(
        f"""
        import faulthandler
        faulthandler.disable()
        def setup(server):
            server.add_event_listener("connect", lambda event: {how})
        run(Supervisor(setup, 0, "127.0.0.1", workers=1))
        """
    )
    pid = it.started()
    it.connect().close()
    it.tells(rf"worker 1 \(pid {pid}\) died: {said}; the next one starts in ")
    it.started(1)
    assert it.ends() == 0


def test_one_that_dies_at_once_is_started_later_and_later_and_the_others_serve_on(supervised, tmp_path):
    it = supervised(
        """
        def setup(server):
            try:
                os.mkdir(sys.argv[1])  # the first one can
            except FileExistsError:
                raise ValueError("not today") from None
            server.add_event_listener("connect", connected)
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """,
        str(tmp_path / "place"),
    )
    good = it.started()
    for delay in ("0.1", "0.2", "0.4"):
        # Its first death may be told before the other one has started.
        died = it.tells(rf"worker (\d) \(pid (\d+)\) died: exit status 1; the next one starts in {delay} s$")
        number, pid = died.groups()
        assert it.log.count(f"a worker (pid {pid}) failed\n") == 1
        until(lambda: answer(it.port) == good, "the other one serves")
    assert it.log.count("ValueError: not today\n") == it.log.count("failed\nTraceback") >= 3
    (tmp_path / "place").rmdir()
    late = it.started(int(number))
    # It lives long enough for a fresh start.
    with it.connect() as client, it.connect() as other:
        born = {client.pid, other.pid} <= {good, late}
    assert born
    until(lambda: age(late) > 1.2, "it has lived for more than a second")
    (tmp_path / "place").rmdir()
    os.kill(late, signal.SIGKILL)
    it.tells(rf"worker {number} \(pid {late}\) died: SIGKILL; the next one starts in 0 s")
    it.started(int(number))
    assert it.ends() == 0


def test_setup_that_returns_nonsense_fails(supervised):
    it = supervised('run(Supervisor(lambda server: 5, 0, "127.0.0.1", workers=1))')
    it.line(r"TypeError: the return value of setup must be callable or None, not 5 \(int\)")
    it.line(r"worker 1 \(pid \d+\) died: exit status 1")
    assert it.ends() == 0
