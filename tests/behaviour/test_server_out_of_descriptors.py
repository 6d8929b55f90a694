from __future__ import annotations

import errno
import os
import resource
import socket
import time

import pytest

import serversocket
from serversocket import IOErrorEvent
from serversocket.loop.reactor import current_reactor

from .helpers import Log, connect_to, ended, listening, on_linux, receive_exactly, run_until

pytestmark = on_linux

ROOM = 30


@pytest.fixture
def exhaust():
    """Gives a function that leaves this process no descriptor, and gives back one that frees them again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def release():
        while taken:
            os.close(taken.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def take_all():
        top = os.dup(0)
        os.close(top)
        resource.setrlimit(resource.RLIMIT_NOFILE, (top + ROOM, hard))
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            while len(taken) < 100_000:
                taken.append(os.dup(0))
        return release

    yield take_all
    release()


def test_waiting_clients_are_told_and_one_error_is_reported(exhaust):
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", lambda event: pytest.fail("there is no descriptor for it"))
        errors = []
        server.add_event_listener("ioError", errors.append)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(20)]
        release = exhaust()
        began = time.monotonic()
        run_until(reactor, lambda: all(ended(client) for client in clients))
        assert 1 <= len(errors) <= 1 + time.monotonic() - began
        assert isinstance(errors[0], IOErrorEvent)
        assert (errors[0].target, errors[0].errno, errors[0].error_id) == (server, errno.EMFILE, 2002)
        assert "accept" in errors[0].text
        release()
        for client in clients:
            client.close()


def test_established_connections_are_unharmed_and_service_comes_back(exhaust):
    reactor = current_reactor()
    logs = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        with connect_to("127.0.0.1", server.local_port) as established:
            run_until(reactor, lambda: logs)
            waiting = connect_to("127.0.0.1", server.local_port)
            probe = socket.socket()
            release = exhaust()
            run_until(reactor, lambda: ended(waiting))
            established.sendall(b"hello")
            run_until(reactor, lambda: logs[0].data == b"hello")
            logs[0].events[0].target.write(b"world")
            assert receive_exactly(reactor, established, 5) == b"world"
            release()
            with probe:
                probe.connect(("127.0.0.1", server.local_port))
                probe.sendall(b"again")
                run_until(reactor, lambda: len(logs) == 2 and logs[1].data == b"again")
                assert server.listening
        waiting.close()
        for log in logs:
            it = log.events[0].target
            if it.connected:
                it.close()


def test_nothing_spins_and_nothing_is_logged(exhaust, uncaught):
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", lambda event: event.socket.close())
        errors = []
        server.add_event_listener("ioError", errors.append)
        client = socket.socket()
        release = exhaust()
        began = time.monotonic()
        told = idle_turns = 0
        while len(errors) < 2 or told < 20:
            client.close()
            client = socket.socket()  # under the number that has just become free
            client.connect(("127.0.0.1", server.local_port))
            run_until(reactor, lambda it=client: ended(it))
            told += 1
            idle_turns += sum(reactor.poll(0) for _ in range(10))
        assert len(errors) <= 1 + time.monotonic() - began, "two errors in one second"
        assert told == server.turned_away
        assert idle_turns == 0
        assert uncaught == []
        release()
        client.close()


def test_closing_the_server_meanwhile_is_the_end_of_it(exhaust):
    reactor = current_reactor()
    errors = []

    def failed(event):
        errors.append(event)
        server.close()

    with listening() as server:
        server.add_event_listener("connect", print)
        server.add_event_listener("ioError", failed)
        client = connect_to("127.0.0.1", server.local_port)
        release = exhaust()
        run_until(reactor, lambda: errors)
        release()
        client.close()
        reactor.run()
        assert len(errors) == 1


def test_failed_bind_and_connect_say_why(exhaust):
    reactor = current_reactor()
    server, client = serversocket.ServerSocket(), serversocket.Socket()
    log = Log(client)
    release = exhaust()
    with pytest.raises(serversocket.IOError) as caught:
        server.bind(0, "127.0.0.1")
    assert caught.value.errno == errno.EMFILE
    client.connect("127.0.0.1", 9)
    run_until(reactor, lambda: log.events)
    release()
    assert log.types == ["ioError"]
    assert log.events[0].errno == errno.EMFILE
    assert not server.bound
    assert not client.connected
