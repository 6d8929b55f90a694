from __future__ import annotations

import selectors
import socket
import threading

import pytest

import serversocket

from .helpers import Log, connect_to, ended, pattern, receive_all, receive_exactly, reset, run_until, settle

if serversocket.implementation == "native":
    pytest.skip("the native engine knows epoll only", allow_module_level=True)

from serversocket.engine.pure import poller

SELECTORS = [
    getattr(selectors, name)
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector", "DefaultSelector")
    if hasattr(selectors, name)
]


@pytest.fixture(params=SELECTORS, ids=lambda kind: kind.__name__)
def reactor(request, monkeypatch):
    monkeypatch.setattr(poller, "Selector", request.param)
    made = serversocket.Reactor()
    yield made
    made.close()


@pytest.fixture
def server(reactor):
    def accept(event):
        event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))

    with serversocket.ServerSocket(reactor=reactor) as made:
        made.add_event_listener("connect", accept)
        made.bind(0, "127.0.0.1")
        made.listen()
        yield made


def test_echo(reactor, server):
    data = pattern(300_000)
    with connect_to("127.0.0.1", server.local_port) as client:
        threading.Thread(target=client.sendall, args=(data,)).start()
        assert receive_exactly(reactor, client, len(data)) == data


def test_end_of_the_peers_stream_comes_after_its_data(reactor, server):
    logs = []
    server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)), priority=1)
    with connect_to("127.0.0.1", server.local_port) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        run_until(reactor, lambda: logs and "close" in logs[0].types)
    assert logs[0].data == b"last words"
    assert logs[0].types[-1] == "close"


def test_reset_is_one_error_and_one_close(reactor, server):
    logs = []
    server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)), priority=1)
    client = connect_to("127.0.0.1", server.local_port)
    run_until(reactor, lambda: logs)
    reset(client)
    run_until(reactor, lambda: "close" in logs[0].types)
    settle(reactor)
    assert [type for type in logs[0].types if type != "socketData"] == ["ioError", "close"]


def test_what_the_system_does_not_take_at_once_arrives(reactor, server):
    data = pattern(4_000_000)
    server.add_event_listener("connect", lambda event: (event.socket.write(data), event.socket.close()), priority=1)
    with connect_to("127.0.0.1", server.local_port) as client:
        assert receive_all(reactor, client) == data
    settle(reactor)


def test_client_connects_and_is_refused(reactor, server):
    it = serversocket.Socket(reactor=reactor)
    log = Log(it)
    it.connect("127.0.0.1", server.local_port)
    run_until(reactor, lambda: "connect" in log.types)
    it.close()
    port = server.local_port
    server.close()
    it.connect("127.0.0.1", port)
    run_until(reactor, lambda: "ioError" in log.types)
    assert log.types == ["connect", "ioError"]


def test_many_connections(reactor, server):
    clients = [connect_to("127.0.0.1", server.local_port) for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(b"%3d" % number)
    for number, client in enumerate(clients):
        assert receive_exactly(reactor, client, 3) == b"%3d" % number
        client.close()
    settle(reactor)


def test_listener_that_nobody_listens_to_does_not_spin(reactor):
    with serversocket.ServerSocket(reactor=reactor) as quiet:
        quiet.bind(0, "127.0.0.1")
        quiet.listen()
        with connect_to("127.0.0.1", quiet.local_port) as client:
            settle(reactor)
            quiet.add_event_listener("connect", lambda event: None)
            run_until(reactor, lambda: ended(client))


def test_timers_and_calls_from_other_threads(reactor):
    told = []
    reactor.call_later(0.01, told.append, "timer")
    caller = threading.Thread(target=reactor.call_soon_threadsafe, args=(told.append, "call"))
    caller.start()
    run_until(reactor, lambda: len(told) == 2)
    caller.join()
    assert sorted(told) == ["call", "timer"]


def test_descriptor_of_a_selector_without_one_is_refused(reactor):
    if hasattr(reactor._poller_.selector, "fileno"):
        assert reactor.fileno() >= 0
    else:
        with pytest.raises(serversocket.IOError, match=r"#2002.*has no descriptor of its own"):
            reactor.fileno()
