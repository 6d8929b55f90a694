from __future__ import annotations

import contextlib
import os
import socket
from contextlib import ExitStack

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

from .helpers import Log, connect_to, connection, ended, listening, on_linux, readable, run_until, settle


@pytest.mark.parametrize("how", ["close", "abort"])
def test_sockets_closed_by_another_in_the_same_batch_hear_nothing(how):
    with ExitStack() as stack:
        connections = [stack.enter_context(connection()) for _ in range(20)]

        def end_others(event):
            for it in connections:
                if it.socket is not event.target and it.socket.connected:
                    getattr(it.socket, how)()

        for it in connections:
            it.socket.add_event_listener("socketData", end_others)
            it.peer.sendall(b"ready")
        current_reactor().poll(1)
        settle(current_reactor())
        assert sum(len(it.log.events) for it in connections) == 1
        assert sum(it.socket.connected for it in connections) == 1


@on_linux
@pytest.mark.parametrize("kind", ["data", "end", "reset"])
def test_no_event_reaches_the_next_owner_of_a_number(kind):
    reactor = current_reactor()
    with ExitStack() as stack:
        connections = [stack.enter_context(connection()) for _ in range(20)]
        numbers = {it.socket.fileno() for it in connections}
        server = stack.enter_context(listening())
        fresh: list[tuple[serversocket.Socket, Log]] = []
        listeners: list[tuple[serversocket.ServerSocket, Log]] = []

        def replace_others(event):
            if fresh:
                return
            for it in connections:
                if it.socket is not event.target and it.socket.connected:
                    it.socket.close()
            while len(fresh) + len(listeners) < 19:
                if len(fresh) % 3 == 2:
                    another = stack.enter_context(serversocket.ServerSocket())
                    another.bind(0, "127.0.0.1")
                    another.listen()
                    listeners.append((another, Log(another)))
                    fresh.append((stack.enter_context(serversocket.Socket("127.0.0.1", server.local_port)), None))
                else:
                    it = stack.enter_context(serversocket.Socket("127.0.0.1", server.local_port))
                    fresh.append((it, Log(it)))

        for it in connections:
            for type in ("socketData", "close"):
                it.socket.add_event_listener(type, replace_others, priority=1)
        for it in connections:
            if kind == "data":
                it.peer.sendall(b"for the first owner only")
            elif kind == "end":
                it.peer.shutdown(socket.SHUT_WR)
            else:
                it.peer.sendall(b"x")
                it.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                it.peer.close()
        readable(*(it.socket.fileno() for it in connections))
        reactor.poll(0)
        settle(reactor)
        used_again = numbers & {it.fileno() for it, _ in (*fresh, *listeners)}
        assert len(used_again) > 5, "the numbers were not used again, so this shows nothing"
        told = [it for it in connections if it.log.events]
        assert len(told) == 1
        for it, log in fresh:
            assert it.connected
            if log is not None:
                assert log.types == ["connect"]
                assert log.data == b""
            it.close()
        for another, log in listeners:
            assert another.listening
            assert log.events == []


@on_linux
def test_close_in_a_handler_frees_the_number_and_a_stranger_may_have_it():
    with ExitStack() as stack:
        connections = [stack.enter_context(connection()) for _ in range(10)]
        strangers: list[int] = []
        highest = max(it.socket.fileno() for it in connections)
        fillers = [os.dup(0)]
        while fillers[-1] < highest:
            fillers.append(os.dup(0))

        def swap(event):
            for it in connections:
                if it.socket.connected and it.socket is not event.target:
                    number = it.socket.fileno()
                    it.socket.close()
                    strangers.append(os.open(os.devnull, os.O_RDONLY))
                    assert strangers[-1] == number

        for it in connections:
            it.socket.add_event_listener("socketData", swap)
            it.peer.sendall(b"x")
        readable(*(it.socket.fileno() for it in connections))
        current_reactor().poll(0)
        settle(current_reactor())
        for it in connections:
            with contextlib.suppress(serversocket.IOError):
                it.socket.close()
        assert len(strangers) == 9
        for number in fillers:
            os.close(number)
        for number in strangers:
            assert os.readlink(f"/proc/self/fd/{number}") == os.devnull
            os.close(number)


@pytest.mark.parametrize("type", ["socketData", "close", "ioError", "outputProgress", "connect"])
@pytest.mark.parametrize("how", ["close", "abort", "connect"])
def test_ending_oneself_in_any_handler(type, how, uncaught):
    reactor = current_reactor()
    calls = []
    with listening() as server:
        accepted = []

        def serve(event):
            accepted.append(event.socket)
            event.socket.write(b"hello")

        server.add_event_listener("connect", serve)
        it = serversocket.Socket("127.0.0.1", server.local_port)

        def end(event):
            calls.append(event.type)
            it.remove_event_listener(type, end)
            with contextlib.suppress(serversocket.IOError):
                if how == "connect":
                    it.connect("127.0.0.1", server.local_port)
                else:
                    getattr(it, how)()

        it.add_event_listener(type, end)
        run_until(reactor, lambda: it.connected or calls)
        if type == "outputProgress":
            it.write(b"x")
        elif type in ("close", "ioError"):
            run_until(reactor, lambda: accepted)
            accepted[0].close() if type == "close" else accepted[0].abort()
        run_until(reactor, lambda: calls)
        settle(reactor)
        assert calls == [type]
        assert it.connected == (how == "connect")
        for socket_ in (it, *accepted):
            with socket_:
                pass
    assert uncaught == []


def test_closing_the_peer_on_the_same_reactor_in_a_handler():
    reactor = current_reactor()
    with listening() as server:
        accepted = []
        server.add_event_listener("connect", lambda event: accepted.append((event.socket, Log(event.socket))))
        it = serversocket.Socket("127.0.0.1", server.local_port)
        log = Log(it)
        run_until(reactor, lambda: accepted and it.connected)
        ((other, other_log),) = accepted
        it.add_event_listener("socketData", lambda event: other.close())
        other.write(b"x")
        it.write(b"y")
        run_until(reactor, lambda: log.count("close") or log.count("ioError"))
        settle(reactor)
        assert other_log.count("close") == 0
        assert log.types[-1] == "close"


def test_closing_in_the_last_of_several_listeners_of_one_event():
    with connection() as it:
        order = []
        it.socket.add_event_listener(
            "socketData", lambda event: (order.append("first"), event.target.close()), priority=1
        )
        it.socket.add_event_listener("socketData", lambda event: order.append(event.target.connected), priority=-1)
        it.log.reading = False
        it.peer.sendall(b"x")
        it.until(lambda: len(order) == 2)
        assert order == ["first", False]
        it.until(lambda: ended(it.peer))


def test_program_may_dispatch_close_in_the_close_handler():
    with connection() as it:
        depth = []

        def again(event):
            if len(depth) < 5:
                depth.append(1)
                event.target.dispatch_event(event)

        it.socket.add_event_listener("close", again)
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert len(depth) == 5
        assert it.log.count("close") == 6


def test_closing_the_server_in_a_data_handler():
    reactor = current_reactor()
    with listening() as server:
        logs = []

        def accept(event):
            logs.append(Log(event.socket))
            event.socket.add_event_listener("socketData", lambda event: server.close() if server.bound else None)

        server.add_event_listener("connect", accept)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(3)]
        run_until(reactor, lambda: len(logs) == 3)
        for client in clients:
            client.sendall(b"x")
        run_until(reactor, lambda: all(log.data == b"x" for log in logs))
        assert not server.bound
        for client in clients:
            client.close()
        run_until(reactor, lambda: all(log.count("close") for log in logs))
