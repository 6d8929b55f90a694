"""What holds for every test: it leaves nothing behind, and the report says which engine ran."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import serversocket
from serversocket.loop.reactor import current_reactor

# No example is wrong because the machine is busy.
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=500, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_DESCRIPTORS = "/proc/self/fd"
_SECONDS_FOR_THREADS_TO_END = 60.0
_SECONDS_FOR_A_LOOKUP = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("time").addoption("--least-timeout", type=float, default=0, help="every test has so many seconds")
    group = parser.getgroup("faults injected at random")
    group.addoption("--inject-seed", type=int, default=1, help="what the faults are drawn from")
    group.addoption("--inject-connections", type=int, default=500, help="how many connections are served meanwhile")


def pytest_configure() -> None:
    # A shell starts what it runs in the background with SIGINT ignored; the programs of the tests would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # And nohup has them inherit an ignored SIGHUP.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two for each core: many tests wait."""
    return 2 * (os.cpu_count() or 1)


def pytest_report_header() -> str:
    return f"serversocket {serversocket.__version__}, the {serversocket.implementation} engine"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if least := config.getoption("--least-timeout"):
        for item in items:
            item.add_marker(pytest.mark.timeout(least), append=False)


def pytest_collection_finish() -> None:
    # What exists now stays: a collection after each test then looks only at what the tests made, and costs little.
    gc.collect()
    gc.freeze()


@pytest.fixture
def uncaught() -> Iterator[list[logging.LogRecord]]:
    """The records of errors that no listener handled. A test that provokes some takes them out of the list."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("serversocket")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest, uncaught: list[logging.LogRecord]) -> Iterator[None]:
    """Fails the test that leaves a descriptor, a thread or an uncaught error.

    Each test has a reactor of its own for its thread. What nobody refers to is collected here, so that its
    `ResourceWarning`, and whatever `__del__` raises, is an error of the test that made it.
    """
    current_reactor()
    descriptors = _descriptors()
    threads = set(threading.enumerate())
    yield
    gc.collect()
    _end_lookups()
    # Closing the reactor closes what it still holds, and the sockets among that were forgotten.
    forgotten = {each for each in _descriptors() - descriptors if each[1].startswith("socket:")}
    current_reactor().close()
    left = [f"descriptor {number}: {what}" for number, what in forgotten | (_descriptors() - descriptors)]
    left += [f"thread {thread.name}" for thread in _alive(threads)]
    if "caplog" not in request.fixturenames:
        left += [f"uncaught error: {record.getMessage()}: {record.exc_info}" for record in uncaught]
    assert not left, f"left behind: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Fails the test that lets anything reach stderr; one that means to captures it."""
    report: pytest.TestReport = yield
    noise = "".join(text for title, text in report.sections if title == f"Captured stderr {report.when}")
    if report.passed and noise:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} wrote to stderr:\n{noise}"
    return report


def _descriptors() -> set[tuple[int, str]]:
    """What is open; nothing where the system does not tell."""
    found = set()
    for name in os.listdir(_DESCRIPTORS) if os.path.isdir(_DESCRIPTORS) else ():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add((int(name), os.readlink(f"{_DESCRIPTORS}/{name}")))
    return found


def _end_lookups() -> None:
    """The system has sockets of its own open while it looks up a name, and lets nobody end that."""
    for thread in threading.enumerate():
        if thread.name.startswith("resolve "):
            thread.join(_SECONDS_FOR_A_LOOKUP)


def _alive(before: set[threading.Thread]) -> set[threading.Thread]:
    """The new threads that do not end by themselves in a moment."""
    end = time.monotonic() + _SECONDS_FOR_THREADS_TO_END
    while (new := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(0.005)
    return new
