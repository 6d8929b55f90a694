"""Host names are looked up in a few threads, in order; the others wait, each for as long as its own timeout."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from serversocket import Reactor, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import PATIENCE, Log, on_posix, python, run_until, settle

MOST = 16


class Resolver:
    """Stands in the place of the system's: it answers when it is told to, and notes who was looked up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most = 0  # threads that were seen at once
        self._permits = threading.Semaphore(0)

    def __call__(self, host: str, port: int, **options: object) -> list[object]:
        self.asked.append(host)
        self.most = max(self.most, len(threads()))
        assert self._permits.acquire(timeout=5 * PATIENCE)
        return []

    def answer(self, count: int) -> None:
        self._permits.release(count)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("resolve ")]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.answer(10_000)


def look_up(host: str, timeout: int = 60_000, reactor: Reactor | None = None) -> Log:
    it = Socket(reactor=reactor)
    it.timeout = timeout
    log = Log(it)
    it.connect(host, 9)
    return log


def all_busy(resolver: Resolver) -> list[Log]:
    """Look-ups in every thread that there may be."""
    logs = [look_up(f"busy{number}.example") for number in range(MOST)]
    run_until(current_reactor(), lambda: len(resolver.asked) == MOST)
    resolver.asked.clear()
    return logs


def test_three_thousand_names_take_sixteen_threads(resolver: Resolver) -> None:
    logs = [look_up(f"host{number}.example") for number in range(3000)]
    assert len(threads()) == MOST
    settle(current_reactor())
    assert all(log.events == [] for log in logs)
    resolver.answer(3000)
    run_until(current_reactor(), lambda: all(log.events for log in logs))
    assert [log.types for log in logs] == [["ioError"]] * 3000
    assert sorted(resolver.asked) == sorted(f"host{number}.example" for number in range(3000))
    assert resolver.most == MOST


def test_who_waits_is_served_in_order(resolver: Resolver) -> None:
    busy = all_busy(resolver)
    hosts = [f"host{number}.example" for number in range(20)]
    logs = [look_up(host) for host in hosts]
    for number in range(len(hosts)):
        resolver.answer(1)
        run_until(current_reactor(), lambda number=number: len(resolver.asked) == number + 1)  # type: ignore[misc]
    assert resolver.asked == hosts
    resolver.answer(MOST)
    run_until(current_reactor(), lambda: all(log.events for log in busy + logs))


def test_the_threads_end_when_nobody_waits(resolver: Resolver) -> None:
    logs = [*all_busy(resolver), look_up("last.example")]
    resolver.answer(MOST + 1)
    run_until(current_reactor(), lambda: all(log.events for log in logs) and not threads())
    log = look_up("anew.example")
    assert len(threads()) == 1
    resolver.answer(1)
    run_until(current_reactor(), lambda: log.events)


def test_the_timeout_counts_while_a_name_waits_and_then_it_waits_no_more(resolver: Resolver) -> None:
    busy = all_busy(resolver)
    impatient, patient = look_up("impatient.example", 0), look_up("patient.example")
    run_until(current_reactor(), lambda: impatient.events)
    (event,) = impatient.events
    assert (event.type, event.errno) == ("ioError", errno.ETIMEDOUT)
    assert isinstance(event.error, TimeoutError)
    resolver.answer(MOST + 1)
    run_until(current_reactor(), lambda: patient.events and all(log.events for log in busy))
    assert resolver.asked == ["patient.example"]
    assert impatient.types == ["ioError"]


def test_what_was_closed_while_it_waited_is_not_looked_up(resolver: Resolver) -> None:
    busy = all_busy(resolver)
    closed = [Socket(f"closed{number}.example", 9) for number in range(5)]
    anew = Socket("first.example", 9)
    log = Log(anew)
    for it in closed:
        it.close()
    anew.connect("second.example", 9)
    resolver.answer(MOST + 1)
    run_until(current_reactor(), lambda: log.events and all(log.events for log in busy))
    assert resolver.asked == ["second.example"]
    current_reactor().run()  # nothing is left to be waited for


def test_what_belongs_to_a_closed_reactor_is_not_looked_up(resolver: Resolver) -> None:
    busy = all_busy(resolver)
    other = Reactor()
    waiting = look_up("of.another.example", reactor=other)
    other.close()
    log = look_up("last.example")
    resolver.answer(MOST + 1)
    run_until(current_reactor(), lambda: log.events and all(log.events for log in busy))
    assert resolver.asked == ["last.example"]
    assert waiting.events == []


def test_reactors_of_several_threads_share_them(resolver: Resolver) -> None:
    begun = threading.Barrier(4)

    def serve(number: int) -> None:
        reactor = Reactor()
        logs = [look_up(f"host{number}-{each}.example", reactor=reactor) for each in range(50)]
        begun.wait(PATIENCE)
        run_until(reactor, lambda: all(log.events for log in logs), 3 * PATIENCE)
        reactor.close()

    workers = [threading.Thread(target=serve, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    begun.wait(PATIENCE)
    assert len(threads()) == MOST
    resolver.answer(150)
    for worker in workers:
        worker.join()
    assert (len(set(resolver.asked)), resolver.most) == (150, MOST)


@pytest.mark.parametrize(
    ("raised", "number", "kind"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "not now"), socket.EAI_AGAIN, socket.gaierror),
        (UnicodeError("label empty or too long"), socket.EAI_NONAME, socket.gaierror),
        (PermissionError(errno.EACCES, "a sandbox"), errno.EACCES, PermissionError),
        (ValueError("of somebody's own resolver"), None, OSError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_the_resolver_raises_is_one_error(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, number: int | None, kind: type[OSError]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for _ in range(2 * MOST):
        log = look_up("bad.example")
        run_until(current_reactor(), lambda log=log: log.events)  # type: ignore[misc]
        (event,) = log.events
        assert (event.type, event.errno, event.error_id) == ("ioError", number, 2031)
        assert isinstance(event.error, kind)
        assert str(raised.args[-1]) in event.text


@on_posix
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """All threads of the parent hang, and one of its look-ups waits: neither concerns the child."""
    python(
        """
        import os, socket, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork itself
        import serversocket
        from serversocket.loop.reactor import current_reactor
        asked, go = [], threading.Event()
        def look_up(host, *args, **options):
            asked.append(host)
            go.wait()
            return []
        socket.getaddrinfo = look_up
        def connect(host):
            it = serversocket.Socket()
            it.add_event_listener("ioError", told.append)
            it.connect(host, 9)
        told = []
        for number in range(20):
            connect(f"host{number}.example")
        while len(asked) < 16:
            time.sleep(0.001)
        child = os.fork()
        if not child:
            try:
                asked.clear()
                go = threading.Event()  # nobody but this thread has the other one, and perhaps its lock
                go.set()
                connect("child.example")
                while not told:
                    current_reactor().poll(1)
                assert asked == ["child.example"], asked
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert told == []
        go.set()
        while len(told) < 20:
            current_reactor().poll(1)
        assert len(asked) == 20, asked
        """
    )
