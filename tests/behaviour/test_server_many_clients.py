from __future__ import annotations

import pytest

from serversocket.loop.reactor import current_reactor

from .helpers import (
    FAMILIES,
    Log,
    connect_to,
    listening,
    on_linux,
    on_posix,
    open_descriptors,
    pattern,
    receive_exactly,
    reset,
    run_until,
    settle,
)

BUDGET = 64


def test_one_turn_accepts_no_more_than_its_share():
    reactor = current_reactor()
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: (accepted.append(1), event.socket.close()))
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(BUDGET + 20)]
        reactor.poll(1)
        assert 0 < len(accepted) <= BUDGET
        run_until(reactor, lambda: len(accepted) == BUDGET + 20)
        for client in clients:
            client.close()


def test_established_connections_are_served_between_the_accepts():
    reactor = current_reactor()
    logs = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        with connect_to("127.0.0.1", server.local_port) as established:
            run_until(reactor, lambda: logs)
            clients = [connect_to("127.0.0.1", server.local_port) for _ in range(BUDGET * 3)]
            established.sendall(b"me too")
            reactor.poll(1)
            assert logs[0].data == b"me too"
            assert len(logs) <= BUDGET + 1
            run_until(reactor, lambda: len(logs) == BUDGET * 3 + 1)
            for client in clients:
                client.close()
        run_until(reactor, lambda: all(log.count("close") for log in logs))


@pytest.mark.parametrize("host", FAMILIES)
def test_every_client_gets_its_own_bytes(host):
    reactor = current_reactor()
    logs = []
    data = pattern(4000)

    def echo(event):
        event.target.write(event.target.read())

    def accept(event):
        event.socket.add_event_listener("socketData", echo)
        logs.append(Log(event.socket, reading=False, types=("close",)))

    with listening(host) as server:
        server.add_event_listener("connect", accept)
        clients = [connect_to(host, server.local_port) for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall(data[number * 40 : number * 40 + 40])
        for number, client in enumerate(clients):
            assert receive_exactly(reactor, client, 40) == data[number * 40 : number * 40 + 40]
        for client in clients:
            client.close()
        run_until(reactor, lambda: len(logs) == 100 and all(log.count("close") for log in logs))


@on_posix
def test_clients_that_reset_before_they_are_accepted_are_survived(uncaught):
    reactor = current_reactor()
    logs, remotes = [], []

    def accept(event):
        remotes.append((event.socket.remote_address, event.socket.remote_port))
        logs.append(Log(event.socket))

    with listening() as server:
        server.add_event_listener("connect", accept)
        ports = []
        for _ in range(10):
            client = connect_to("127.0.0.1", server.local_port)
            ports.append(client.getsockname()[1])
            client.sendall(b"last words")
            reset(client)
        with connect_to("127.0.0.1", server.local_port) as client:
            client.sendall(b"hello")
            run_until(reactor, lambda: logs and logs[-1].data == b"hello")
            # A system may hide such clients; where it shows them, their address is right and their end is told.
            assert remotes[:-1] == [("127.0.0.1", port) for port in ports[len(ports) + 1 - len(remotes) :]]
            run_until(reactor, lambda: all(log.types == ["socketData", "ioError", "close"] for log in logs[:-1]))
            logs[-1].events[0].target.close()
    assert uncaught == []


@on_linux
def test_nothing_is_left_of_connections_that_came_and_went():
    reactor = current_reactor()
    gone = []
    with listening() as server:

        def accept(event):
            event.socket.add_event_listener("close", gone.append)

        server.add_event_listener("connect", accept)
        before = open_descriptors()
        for number in range(300):
            client = connect_to("127.0.0.1", server.local_port)
            if number % 3 == 0:
                client.sendall(b"x")
            if number % 3 == 2:
                reset(client)
            else:
                client.close()
        run_until(reactor, lambda: len(gone) == 300)
        settle(reactor)
        assert open_descriptors() == before
