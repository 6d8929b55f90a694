from __future__ import annotations

import pytest

from ..behaviour.helpers import python
from .loops import GeventLoop


@pytest.fixture(scope="session", params=["gevent"])
def module(module: str) -> str:
    return module


@pytest.fixture
def loop(module: str) -> GeventLoop:
    return GeventLoop()


def test_a_listener_may_wait_while_others_run(loop: GeventLoop) -> None:
    seen: list[str] = []

    def wait() -> None:
        loop.gevent.spawn(seen.append, "greenlet")
        loop.gevent.sleep(0.01)
        seen.append("listener")

    with loop.attach() as hosting:
        hosting.reactor.call_later(0, wait)
        loop.until(lambda: len(seen) == 2)
    assert seen == ["greenlet", "listener"]


def test_a_listener_whose_greenlet_is_killed_ends_and_is_no_uncaught_error(loop: GeventLoop) -> None:
    seen: list[str] = []

    def wait() -> None:
        loop.gevent.getcurrent().kill(block=False)
        try:
            loop.gevent.sleep(60)
        finally:
            seen.append("killed")

    with loop.attach() as hosting:
        hosting.reactor.add_event_listener("uncaughtError", lambda: seen.append("uncaught"))
        hosting.reactor.call_later(0, wait)
        hosting.reactor.call_later(0, seen.append, "next")
        loop.until(lambda: len(seen) == 2)
    assert seen == ["killed", "next"]


def test_the_hub_waits_while_it_is_attached(loop: GeventLoop) -> None:
    with loop.attach() as hosting:
        hosting.reactor.call_later(0.01, hosting.close)
        assert loop.gevent.wait(timeout=60) is True
        assert hosting.closed


PATCHED = """
import threading
from gevent import monkey
import gevent
{first}
{second}
import socket
from serversocket import Reactor, ServerSocket, Socket
from serversocket.hosts.gevent import attach
from serversocket.loop.reactor import current_reactor
"""
PATCH = "monkey.patch_all()"
IMPORT = "import serversocket"


@pytest.fixture(params=[(PATCH, IMPORT), (IMPORT, PATCH)], ids=["before the import", "after it"])
def patched(module: str, request: pytest.FixtureRequest) -> str:
    first, second = request.param
    return PATCHED.format(first=first, second=second)


def test_a_patched_program(patched: str) -> None:
    """Plain sockets of greenlets talk to a server in the same thread; names are looked up, and other threads call."""
    python(
        patched
        + """
seen = []
reactor = current_reactor()
def answer(event):
    gevent.sleep(0.001)
    event.target.write(event.target.read().upper())
def client(number):
    assert current_reactor() is reactor
    with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as it:
        it.sendall(b"hello %d" % number)
        seen.append(it.recv(100))
def dial():
    it = Socket()
    it.add_event_listener("connect", lambda event: (seen.append(b"connect"), it.close()))
    it.add_event_listener("ioError", lambda event: print(event))
    it.connect("localhost", server.local_port)
server = ServerSocket()
server.add_event_listener("connect", lambda event: event.socket.add_event_listener("socketData", answer))
server.bind(0, "127.0.0.1")
server.listen()
with attach() as hosting:
    gevent.joinall([gevent.spawn(client, number) for number in range(20)], timeout=60, raise_error=True)
    assert sorted(seen) == sorted(b"HELLO %d" % number for number in range(20)), seen
    seen.clear()
    gevent.spawn(dial).join()
    reactor.call_later(0.001, seen.append, b"timer")
    gevent.get_hub().threadpool.spawn(reactor.call_soon_threadsafe, seen.append, b"thread").get()
    threading.Thread(target=reactor.call_soon_threadsafe, args=(seen.append, b"greenlet")).start()
    with gevent.Timeout(60):
        while len(seen) < 4:
            gevent.sleep(0.001)
    assert sorted(seen) == [b"connect", b"greenlet", b"thread", b"timer"], seen
    server.close()
reactor.close()
assert gevent.wait(timeout=60)
"""
    )


def test_names_are_looked_up_in_a_patched_program(patched: str) -> None:
    """In no more greenlets than there would be threads, and none is left for the hub to wait for."""
    python(
        patched
        + """
now, most, told = 0, 0, []
def look_up(host, *args, **options):
    global now, most
    now += 1
    most = max(most, now)
    gevent.sleep(0.001)
    now -= 1
    raise socket.gaierror(socket.EAI_NONAME, host)
socket.getaddrinfo = look_up
with attach() as hosting:
    for number in range(100):
        it = Socket()
        it.add_event_listener("ioError", told.append)
        it.connect(f"host{number}.example", 9)
    with gevent.Timeout(60):
        while len(told) < 100:
            gevent.sleep(0.001)
assert most == 16, most
assert {event.errno for event in told} == {socket.EAI_NONAME}
current_reactor().close()
assert gevent.wait(timeout=60)
"""
    )


def test_run_in_a_patched_program_is_refused(patched: str) -> None:
    python(
        patched
        + """
for run in serversocket.run, Reactor().run:
    try:
        run()
    except RuntimeError as error:
        assert "run() would stop all greenlets" in str(error), error
    else:
        raise AssertionError("not refused")
with attach():
    try:
        serversocket.run()
    except RuntimeError as error:
        assert "gevent delivers the events" in str(error), error
    else:
        raise AssertionError("not refused")
"""
    )


def test_run_beside_gevent_is_allowed_where_nothing_is_patched(module: str) -> None:
    python("import gevent, gevent.monkey, serversocket\nserversocket.run()")


def test_a_thread_that_is_a_greenlet_gets_no_reactor(patched: str) -> None:
    python(
        patched
        + """
from serversocket import run_in_thread
with attach() as hosting, ServerSocket() as server:
    server.bind(0, "127.0.0.1")
    server.listen()
    try:
        run_in_thread(list)
    except RuntimeError as error:
        assert "greenlet" in str(error), error
    else:
        raise SystemExit("it was not refused")
    assert server.listening and not hosting.closed
    with socket.create_connection(("127.0.0.1", server.local_port), timeout=60):
        pass
"""
    )
