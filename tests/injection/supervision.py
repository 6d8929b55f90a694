"""Has supervisors live through failing calls, one call after the other, and says what went wrong.

python supervision.py GROUP GROUPS
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import logging
import mmap
import os
import re
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from descriptors import descriptors
from supervisor_calls import IN_SUPERVISOR, IN_WORKER, MADE, SYSTEM, Case, cases

from serversocket import Supervisor
from serversocket.workers.options import parse_workers

PATIENCE = 60.0  # seconds
AWHILE = 0.15  # for which a call goes on failing
FOR_EVER = 2**31
MOST_CALLS = 200  # of one that fails for a while, by all processes
MODULES = {name: importlib.import_module(f"serversocket.workers.{name}") for name in IN_SUPERVISOR + IN_WORKER}

# What takes its time does so in less.
MODULES["process"].FIRST_DELAY = 0.02
MODULES["process"].LONGEST_DELAY = 0.1
MODULES["process"].KILL_AGAIN = 0.05
MODULES["process"].BEATS = 1000
MODULES["failures"].LONGEST_PAUSE = 0.1


# ------------------------------------------------------------------------------------------------- what fails


class Plan(ctypes.Structure):
    """Which call fails, how often from now on, and how often it was made and failed since. All processes share it."""

    _fields_ = [("case", ctypes.c_int), ("times", ctypes.c_long), ("made", ctypes.c_long), ("failed", ctypes.c_long)]


PLAN = Plan.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
CASES = cases()


def arm(case: Case, times: int) -> None:
    PLAN.times = PLAN.made = PLAN.failed = 0
    PLAN.case = CASES.index(case)
    PLAN.times = times


def disarm() -> None:
    PLAN.times = 0


def failing(frame: FrameType) -> BaseException | None:
    """The error of the call that a frame makes, if it is to fail."""
    case = CASES[PLAN.case]
    if frame.f_globals["__name__"] != f"serversocket.workers.{case.site.module}":
        return None
    position = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    if position != case.site.position:
        return None
    PLAN.made += 1
    if PLAN.times <= 0:
        return None
    PLAN.times -= 1
    PLAN.failed += 1
    return case.error()


def may_fail(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        error = failing(sys._getframe(1))
        if error is None:
            return wrapped(function(*arguments, **options))
        if name in MADE:
            function(*arguments, **options)
        raise error

    return call


class Faulty:
    """A module of the system's, or a socket or poll: what is called in it may fail."""

    def __init__(self, real: Any, name: str = "") -> None:
        self._real = real
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if callable(value) and not isinstance(value, signal.Signals | signal.Handlers):
            return may_fail(value, f"{self._name}.{name}")
        return value


def wrapped(value: Any) -> Any:
    return Faulty(value) if isinstance(value, socket.socket | type(select.poll())) else value


def install() -> None:
    for module in MODULES.values():
        for name, real in SYSTEM.items():
            if getattr(module, name, None) is real:
                setattr(module, name, Faulty(real, name))


# ------------------------------------------------------------------------------------------- the supervisor


def setup(server: Any) -> None:
    server.add_event_listener("connect", connected)


async def asetup(server: Any) -> None:
    setup(server)


def connected(event: Any) -> None:
    event.socket.write(b"%d\n" % os.getpid())
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))


def supervise(log: int) -> None:
    """In a process of its own: makes a supervisor and runs it, again where that is refused."""
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    gc.collect()
    before = descriptors()
    site = CASES[PLAN.case].site
    for _ in range(4):
        try:
            assert parse_workers(None) > 0
            supervisor = Supervisor(
                asetup if site.module == "async_worker" else setup, 0, "127.0.0.1", workers=2, grace=1000,
                watchdog=None if (site.module, site.name) == ("worker", "os.close") else PATIENCE,
            )  # fmt: skip
            print("port", supervisor.local_port, flush=True)
            supervisor.run()
            break
        except (OSError, MemoryError) as error:
            print("refused:", error, flush=True)
            gc.collect()
            assert descriptors() == before, f"descriptors before: {before}, after: {descriptors()}"
    else:
        raise AssertionError("it is refused for ever")
    assert signal.set_wakeup_fd(-1) == -1 or site.name == "signal.set_wakeup_fd"
    gc.collect()
    assert descriptors() == before, f"descriptors before: {before}, after: {descriptors()}"
    print("over", flush=True)


class Supervised:
    """What the rest of the world sees of it: `supervise` runs in a process of its own, and writes a log."""

    def __init__(self, supervise: Callable[[int], None]) -> None:
        self._log, theirs = os.pipe()
        self.log = ""
        self._port = 0
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._log)
                supervise(theirs)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(theirs)

    def until(self, over: Callable[[], object], what: str) -> None:
        """Reads the log until that is so."""
        end = time.monotonic() + PATIENCE
        while not over():
            assert time.monotonic() < end, f"for ever not: {what}"
            if select.select([self._log], [], [], 0.01)[0]:
                data = os.read(self._log, 65536)
                assert data or over(), f"it ended, but not: {what}"
                self.log += data.decode()

    def started(self, since: int = 0) -> list[tuple[str, int]]:
        """The places and pids of those that have started, in their order."""
        found = re.findall(r"^worker (\d) \(pid (\d+)\) started$", self.log[since:], re.MULTILINE)
        return [(place, int(pid)) for place, pid in found]

    def replace(self, *, until_it_works: bool = True) -> None:
        since = len(self.log)
        attempts = 1
        self.signal(signal.SIGHUP)

        def replaced() -> bool:
            nonlocal attempts
            log = self.log[since:]
            if log.count("the workers are replaced") == attempts <= log.count("the workers not replaced yet continue"):
                attempts += 1
                self.signal(signal.SIGHUP)
            return len({place for place, _ in self.started(log.find("the workers are replaced") + since)}) == 2

        if until_it_works:
            self.until(replaced, "the workers are replaced")

    def kill_one(self, *, until_it_works: bool = True) -> None:
        place, pid = self.started()[-1]
        since = len(self.log)
        os.kill(pid, signal.SIGKILL)
        if until_it_works:
            until = f"worker {place} is started anew"
            self.until(lambda: place in [each for each, _ in self.started(since)], until)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def connect(self) -> socket.socket:
        port = re.findall(r"^port (\d+)$", self.log, re.MULTILINE)[-1]
        return socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE)

    def answer(self) -> int:
        with self.connect() as client, client.makefile("rb") as answer:
            return int(answer.readline())

    def end(self) -> int:
        self.until(lambda: "\nover\n" in self.log or "Traceback" in self.log, "it ends")
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # its workers die with it
            os.waitpid(self.pid, 0)
        os.close(self._log)


# ------------------------------------------------------------------------------------------------- its life


def echoes(client: socket.socket, data: bytes = b"still there?") -> bool:
    client.sendall(data)
    received = b""
    while len(received) < len(data) and (more := client.recv(100)):
        received += more
    return received == data


def live(case: Case) -> int:
    """Lets the call fail when it is made first, once later, for a while, and for ever at the end; how often it did."""
    failed = 0
    arm(case, 1)
    it = Supervised(supervise)
    try:
        it.until(lambda: len(it.started()) >= 2, "two workers start")
        failed += PLAN.failed
        held = it.connect()
        with held, held.makefile("rb") as answer:
            pid = int(answer.readline())
            arm(case, 1)
            it.signal(signal.SIGUSR1)
            it.replace()
            it.kill_one()
            failed += PLAN.failed
            assert echoes(held), "a worker that works was touched"
            arm(case, FOR_EVER)
            it.signal(signal.SIGUSR1)
            it.replace(until_it_works=False)
            it.kill_one(until_it_works=False)
            time.sleep(AWHILE)
            disarm()
            failed += PLAN.failed
            assert PLAN.made < MOST_CALLS, f"it spins: {PLAN.made} calls"
            assert echoes(held), "a worker that works was touched"
            it.replace()
            it.kill_one()
            assert it.answer() not in (pid, it.pid)
            assert echoes(held), "a worker that works was touched"
        arm(case, FOR_EVER)
        it.signal(signal.SIGTERM)
        if case.site.name == "os.waitpid":  # nobody hears that they have ended: they are killed
            it.until(lambda: "are told to end" in it.log, "the workers are told to end")
            it.signal(signal.SIGTERM)
        assert it.end() == 0, "it failed"
        failed += PLAN.failed
        disarm()
        end = time.monotonic() + PATIENCE
        while any(alive(pid) for _, pid in it.started()):
            assert time.monotonic() < end, "workers are left"
            time.sleep(0.005)
        if case.site.module in IN_SUPERVISOR:
            assert_said_once(it.log)
        return failed
    except BaseException:
        print(f"the log of {case}:\n{it.log}")
        raise
    finally:
        disarm()
        it.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


def assert_said_once(log: str) -> None:
    """Each time that something begins to fail. It did so four times."""
    complaints = [line for line in log.splitlines() if re.match(r".* (cannot|could not) ", line)]
    assert all(complaints.count(line) <= 4 for line in complaints), "it is said again and again"


def main(group: str, groups: str) -> int:
    install()
    passed = bad = 0
    never = []
    for case in CASES[int(group) :: int(groups)]:
        try:
            if not live(case):
                never.append(str(case))
            passed += 1
        except Exception:
            print(f"{case}:\n{traceback.format_exc()}")
            bad += 1
    for case in never:
        print(f"never failed: {case}")
    print(f"{passed} passed, {bad} failed")
    return 1 if bad or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
