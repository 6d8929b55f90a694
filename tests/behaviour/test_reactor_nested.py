from __future__ import annotations

import pytest

import serversocket
from serversocket import Reactor
from serversocket.loop.reactor import current_reactor

from .helpers import Log, connect_to, connection, listening, run_until


@pytest.mark.parametrize(
    "use", [lambda reactor: reactor.run(), lambda reactor: reactor.poll(0), lambda reactor: reactor.poll()]
)
def test_running_it_from_inside_a_listener_is_refused(use):
    with connection() as it:
        errors = []

        def nested(event):
            with pytest.raises(RuntimeError):
                use(it.reactor)
            errors.append(1)

        it.socket.add_event_listener("socketData", nested)
        it.peer.sendall(b"x")
        it.until(lambda: errors)
        it.peer.sendall(b"y")
        it.until(lambda: it.log.data == b"xy")


def test_running_it_from_inside_a_timer_is_refused(uncaught):
    reactor = current_reactor()
    reactor.call_later(0, serversocket.run)
    reactor.run()
    assert [record.exc_info[0] for record in uncaught] == [RuntimeError]
    uncaught.clear()


def test_another_reactor_may_be_polled_from_inside():
    inner = Reactor()
    told = []
    with connection() as it:

        def poll_inner(event):
            inner.call_later(0, told.append, "inner")
            inner.run()

        it.socket.add_event_listener("socketData", poll_inner)
        it.peer.sendall(b"x")
        it.until(lambda: told)
    inner.close()


def test_objects_of_two_reactors_are_apart():
    reactor, other = current_reactor(), Reactor()
    with listening() as server, listening(reactor=other) as second:
        told = []
        for it in (server, second):
            it.add_event_listener("connect", lambda event: (told.append(event.target), event.socket.close()))
        with connect_to("127.0.0.1", server.local_port), connect_to("127.0.0.1", second.local_port):
            run_until(reactor, lambda: told)
            assert told == [server]
            run_until(other, lambda: len(told) == 2)
            assert told == [server, second]
    other.close()


def test_accepted_sockets_belong_to_the_reactor_of_their_server():
    other = Reactor()
    with listening(reactor=other) as server:
        logs = []
        server.add_event_listener("connect", lambda event: logs.append((event.socket, Log(event.socket))))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(other, lambda: logs)
            assert logs[0][0].reactor is other
            client.sendall(b"x")
            run_until(other, lambda: logs[0][1].data == b"x")
            logs[0][0].close()
    other.close()
