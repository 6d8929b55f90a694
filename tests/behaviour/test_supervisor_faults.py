"""What the program's own code does to a supervisor that runs: it goes on, and so do its workers."""

from __future__ import annotations

import os
import signal

import pytest

from .helpers import on_linux
from .supervising import gone, state, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux


def lives_on(it, client):
    """The worker of the client was not touched, and whatever a supervisor does it still does."""
    assert client.echoes()
    it.send(signal.SIGHUP)
    pids = it.all_started()
    assert client.echoes()
    os.kill(pids[0], signal.SIGKILL)
    it.started(1)
    assert client.echoes()


@pytest.mark.parametrize("error", ["ValueError('no')", "asyncio.CancelledError()", "MemoryError()"])
@pytest.mark.parametrize("where", ["emit", "filter"])
def test_logging_that_raises(supervised, error, where):
    it = supervised(
        f"""
        import asyncio
        class Raising(logging.Handler):
            def {where}(self, record):
                raise {error}
        def run(supervisor):
            print("port", supervisor.local_port, flush=True)
            logging.getLogger("serversocket").addHandler(Raising())
            supervisor.run()
            print("over", flush=True)
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    # Its other handlers come later, or not at all.
    client = it.connect()
    pid = client.pid
    assert client.echoes()
    it.send(signal.SIGHUP)
    until(lambda: len(it.workers()) == 3 and pid in it.workers(), "two new ones, and that which has a client")
    other = next(each for each in it.workers() if each != pid)
    os.kill(other, signal.SIGKILL)
    until(lambda: len(it.workers()) == 3 and other not in it.workers(), "the killed one is replaced")
    assert client.echoes()
    client.close()
    assert it.ends() == 0
    assert it.log.endswith("over\n")


def test_logging_that_fails_and_says_so(supervised):
    """`logging` itself contains what a usual handler raises, and prints it to stderr."""
    it = supervised(
        """
        class Full:
            def write(self, text):
                raise OSError(28, "No space left on device")
            def flush(self):
                pass
        class Quiet(logging.StreamHandler):
            def handleError(self, record):
                assert logging.raiseExceptions
                super().handleError(record)
        logging.getLogger("serversocket").addHandler(Quiet(Full()))
        sys.stderr = sys.stdout
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    it.all_started()
    with it.connect() as client:
        assert client.pid
        lives_on(it, client)
    assert it.ends() == 0
    assert "--- Logging error ---" in it.log


LOG_THAT_EXITS = """
class Exiting(logging.Handler):
    def emit(self, record):
        if "are replaced" in record.getMessage():
            sys.exit("enough")
logging.getLogger("serversocket").addHandler(Exiting())
"""
SIGNAL_THAT_EXITS = """
def end(number, frame):
    sys.exit("enough")
signal.signal(signal.SIGUSR1, end)
"""
UNTIL_IT_EXITS = """
try:
    run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000))
except SystemExit as error:
    print("ended by", error, flush=True)
"""


def test_a_handler_of_the_log_that_ends_the_program_ends_it_in_order(supervised):
    it = supervised(LOG_THAT_EXITS + UNTIL_IT_EXITS)
    it.all_started()
    with it.connect() as client:
        assert client.pid
        it.send(signal.SIGHUP)
        it.tells("the workers are told to end")
        assert client.echoes()
    it.tells("ended by enough")
    assert it.ends(None) == 0


def test_an_output_that_cannot_be_flushed(supervised):
    it = supervised(
        """
        class Stream:
            def __init__(self, stream):
                self.stream = stream
            def __getattr__(self, name):
                return getattr(self.stream, name)
            def flush(self):
                if running:
                    raise RuntimeError("it cannot be flushed")
                self.stream.flush()
        running = False
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2)
        print("port", supervisor.local_port, flush=True)
        sys.stdout, sys.stderr, running = Stream(sys.stdout), Stream(sys.stderr), True
        supervisor.run()
        running = False
        """
    )
    it.all_started()
    with it.connect() as client:
        assert client.pid
        lives_on(it, client)
    assert it.ends() == 0


# ------------------------------------------------------------------------------------------ handlers of signals

RAISING = """
import asyncio
def fail(number, frame):
    raise {error}
signal.signal(signal.SIGUSR1, fail)
run(Supervisor(setup, 0, "127.0.0.1", workers=2))
"""


@pytest.mark.parametrize("error", ["ValueError('no')", "asyncio.CancelledError('no')", "OSError(5, 'no')"])
def test_a_handler_that_raises_is_said_once(supervised, error):
    it = supervised(RAISING.format(error=error))
    it.all_started()
    with it.connect() as client:
        assert client.pid
        for _ in range(300):
            it.send(signal.SIGUSR1)
        it.tells(r"a signal handler failed: .*no$")
        for _ in range(300):
            it.send(signal.SIGUSR1)
        lives_on(it, client)
    assert it.ends() == 0
    assert it.log.count("a signal handler failed") == 1
    assert it.log.count("Traceback") == (0 if "OSError" in error else 1)


def test_a_handler_that_was_put_in_place_by_another_one_and_raises(supervised):
    """Nobody could make it harmless beforehand, so it raises in the middle of whatever is being done."""
    it = supervised(
        """
        def fail(number, frame):
            raise ValueError("no")
        signal.signal(signal.SIGUSR1, lambda number, frame: signal.signal(signal.SIGUSR2, fail))
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    it.all_started()
    it.send(signal.SIGUSR1)
    until(lambda: _handles(it.process.pid, signal.SIGUSR2), "the second handler is in place")
    with it.connect() as client:
        assert client.pid
        until(lambda: state(it.process.pid) == "S", "it waits")
        it.send(signal.SIGUSR2)
        it.tells("the supervisor cannot wait: ValueError: no")
        lives_on(it, client)
    assert it.ends() == 0


def _handles(pid, number):
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) & 1 << number - 1


@pytest.mark.parametrize("error", ["SystemExit('enough')", "KeyboardInterrupt('enough')"])
def test_a_handler_that_ends_the_program_ends_it_in_order(supervised, error):
    it = supervised(
        f"""
        def end(number, frame):
            raise {error}
        signal.signal(signal.SIGUSR1, end)
        supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000)
        try:
            run(supervisor)
        except BaseException as error:
            print("ended by", repr(error), len(os.listdir("/proc/self/fd")) - 4, flush=True)
            assert signal.getsignal(signal.SIGUSR1) is end
        """
    )
    pids = it.all_started()
    with it.connect() as client:
        assert client.pid in pids
        it.send(signal.SIGUSR1)
        it.line("the workers are told to end")
        assert client.echoes(bytes(1 << 20))
    name = error.partition("(")[0]
    it.line(rf"ended by {name}\('enough'\) 0$")
    assert all(map(gone, pids))
    assert it.ends(None) == 0


def test_the_second_one_ends_it_at_once(supervised):
    it = supervised(SIGNAL_THAT_EXITS + UNTIL_IT_EXITS)
    it.all_started()
    with it.connect() as client:
        assert client.pid
        it.send(signal.SIGUSR1)
        it.line("the workers are told to end")
        it.send(signal.SIGUSR1)
        it.line("the workers are killed")
        it.tells("ended by enough")
        assert it.ends(None) == 0


# --------------------------------------------------------------------------- somebody else's hands on its things


def test_somebody_else_waits_for_the_children(supervised):
    it = supervised(
        """
        def wait(number, frame):
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
        signal.signal(signal.SIGUSR1, wait)
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    first, _ = it.all_started()
    os.kill(it.process.pid, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    until(lambda: gone(first), "it is dead")
    it.send(signal.SIGUSR1)
    os.kill(it.process.pid, signal.SIGCONT)
    it.tells(rf"worker 1 \(pid {first}\) died: (unknown exit status|SIGKILL)")
    it.started(1)
    assert it.ends() == 0


def test_an_end_that_could_not_be_asked_for_is_asked_for_again(supervised):
    """The signal that tells of it comes once, and nothing else may ever wake the supervisor."""
    it = supervised(
        """
        wait, failed = os.waitpid, set()
        def fail_once(pid, options):
            if pid not in failed and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                failed.add(pid)
                raise OSError(22, "Invalid argument")
            return wait(pid, options)
        os.waitpid = fail_once
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, grace=1000))
        """
    )
    pid = it.started()
    os.kill(pid, signal.SIGKILL)
    it.tells(rf"worker 1 \(pid {pid}\) cannot be waited for: Invalid argument")
    it.tells(rf"worker 1 \(pid {pid}\) died: SIGKILL")
    it.started()
    assert it.ends() == 0


def test_a_program_that_has_python_write_its_signals_elsewhere(supervised):
    it = supervised(
        """
        def redirect(number, frame):
            signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        signal.signal(signal.SIGUSR1, redirect)
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    it.all_started()
    it.send(signal.SIGUSR1)
    with it.connect() as client:
        assert client.pid
        lives_on(it, client)
    assert it.ends() == 0
