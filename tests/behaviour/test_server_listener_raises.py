from __future__ import annotations

import pytest

import serversocket
from serversocket import UncaughtErrorEvent
from serversocket.loop.reactor import current_reactor

from .helpers import Log, connect_to, ended, listening, receive_exactly, run_until


class Mistake(Exception):
    pass


def raise_mistake(event):
    raise Mistake("on purpose")


def test_server_and_other_listeners_go_on(uncaught):
    reactor = current_reactor()
    logs = []
    with listening() as server:
        server.add_event_listener("connect", raise_mistake)
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(5)]
        run_until(reactor, lambda: len(logs) == 5)
        clients[4].sendall(b"alive")
        run_until(reactor, lambda: logs[4].data == b"alive")
        for client in clients:
            client.close()
        run_until(reactor, lambda: all(log.count("close") for log in logs))
    assert len(uncaught) == 5
    assert {record.name for record in uncaught} == {"serversocket"}
    assert all(record.exc_info[0] is Mistake for record in uncaught)
    uncaught.clear()


def test_socket_of_a_connect_listener_that_raised_is_closed_if_nobody_wants_it():
    reactor = current_reactor()
    told = []
    reactor.add_event_listener("uncaughtError", lambda event: told.append(type(event.error)))
    with listening() as server:
        server.add_event_listener("connect", raise_mistake)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: told)
            run_until(reactor, lambda: ended(client))
    assert told == [Mistake]


def test_uncaught_error_is_an_event_of_the_reactor(uncaught):
    reactor = current_reactor()
    events = []

    def note(event):
        events.append(event)
        event.error.__traceback__ = None  # it would keep the socket alive

    reactor.add_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR, note)
    with listening() as server:
        server.add_event_listener("connect", raise_mistake)
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: events)
    assert type(events[0]) is UncaughtErrorEvent
    assert isinstance(events[0].error, Mistake)
    assert events[0].target is reactor
    assert uncaught == []


@pytest.mark.parametrize("type", ["socketData", "close", "outputProgress"])
def test_connection_goes_on_after_a_listener_raised(type, uncaught):
    reactor = current_reactor()
    logs = []

    def accept(event):
        event.socket.add_event_listener(type, raise_mistake)
        logs.append(Log(event.socket))
        event.socket.write(b"hello")
        event.socket.flush()

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            assert receive_exactly(reactor, client, 5) == b"hello"
            client.sendall(b"one")
            run_until(reactor, lambda: logs[0].data == b"one")
            client.sendall(b"two")
            run_until(reactor, lambda: logs[0].data == b"onetwo")
        run_until(reactor, lambda: logs[0].count("close"))
    assert uncaught
    assert all(record.exc_info[0] is Mistake for record in uncaught)
    uncaught.clear()


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_keyboard_interrupt_and_system_exit_leave_run_and_it_may_go_on(leaving):
    reactor = current_reactor()
    logs = []
    calls = []

    def accept(event):
        logs.append(Log(event.socket))
        calls.append(1)
        if len(calls) == 2:
            raise leaving

    with listening() as server:
        server.add_event_listener("connect", accept)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(4)]
        with pytest.raises(leaving):
            serversocket.run()
        assert not reactor.running
        run_until(reactor, lambda: len(logs) == 4)
        for client in clients:
            client.sendall(b"x")
        run_until(reactor, lambda: all(log.data == b"x" for log in logs))
        for client in clients:
            client.close()
        run_until(reactor, lambda: all(log.count("close") for log in logs))


def test_keyboard_interrupt_between_the_sockets_of_one_batch_loses_nothing():
    reactor = current_reactor()
    logs = []
    interrupt = []

    def on_data(event):
        if not interrupt:
            interrupt.append(1)
            raise KeyboardInterrupt

    def accept(event):
        event.socket.add_event_listener("socketData", on_data, priority=-1)
        logs.append(Log(event.socket))

    with listening() as server:
        server.add_event_listener("connect", accept)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(10)]
        run_until(reactor, lambda: len(logs) == 10)
        for client in clients:
            client.sendall(b"data")
        with pytest.raises(KeyboardInterrupt):
            reactor.poll(1)
        run_until(reactor, lambda: all(log.data == b"data" for log in logs))
        for client in clients:
            client.close()
        run_until(reactor, lambda: all(log.count("close") for log in logs))


def test_recursion_error_in_a_listener_is_caught(uncaught):
    reactor = current_reactor()
    done = []

    def deep(event):
        deep(event)

    with listening() as server:
        server.add_event_listener("connect", deep)
        server.add_event_listener("connect", lambda event: (done.append(1), event.socket.close()))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: done)
            assert client.recv(1) == b""
    assert [record.exc_info[0] for record in uncaught] == [RecursionError]
    uncaught.clear()


def test_listener_with_the_wrong_signature_is_reported(uncaught):
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", lambda event, another: None)
        server.add_event_listener("connect", lambda event: event.socket.close())
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: uncaught)
            assert client.recv(1) == b""
    assert [record.exc_info[0] for record in uncaught] == [TypeError]
    uncaught.clear()


@pytest.mark.parametrize("listener", [None, 5, "print", object()])
def test_listener_that_cannot_be_called_is_refused(listener):
    server = serversocket.ServerSocket()
    with pytest.raises(TypeError):
        server.add_event_listener("connect", listener)
    assert not server.has_event_listener("connect")
