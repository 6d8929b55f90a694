from __future__ import annotations

import threading

import pytest

import serversocket
from serversocket import Reactor, ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, connection, listening, on_linux, python, run_until


def in_thread(function):
    """What a function returns or raises when another thread calls it."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, name="the other one")
    thread.start()
    thread.join(60)
    assert outcome, "the thread did not end"
    return outcome[0]


CALLS = {
    "bind": lambda server, it, reactor: server.bind(0, "127.0.0.1"),
    "listen": lambda server, it, reactor: server.listen(),
    "close the server": lambda server, it, reactor: server.close(),
    "fileno of the server": lambda server, it, reactor: server.fileno(),
    "add a listener": lambda server, it, reactor: server.add_event_listener("connect", print),
    "remove a listener": lambda server, it, reactor: server.remove_event_listener("connect", print),
    "dispatch": lambda server, it, reactor: server.dispatch_event(serversocket.Event("connect")),
    "ask for listeners": lambda server, it, reactor: server.has_event_listener("connect"),
    "connect": lambda server, it, reactor: it.connect("127.0.0.1", 9),
    "read": lambda server, it, reactor: it.read(),
    "peek": lambda server, it, reactor: it.peek(),
    "view": lambda server, it, reactor: it.view(),
    "skip": lambda server, it, reactor: it.skip(),
    "readinto": lambda server, it, reactor: it.readinto(bytearray(1)),
    "read a byte": lambda server, it, reactor: it.read_byte(),
    "read text": lambda server, it, reactor: it.read_utf(),
    "write": lambda server, it, reactor: it.write(b"x"),
    "write a byte": lambda server, it, reactor: it.write_byte(1),
    "flush": lambda server, it, reactor: it.flush(),
    "close": lambda server, it, reactor: it.close(),
    "abort": lambda server, it, reactor: it.abort(),
    "fileno": lambda server, it, reactor: it.fileno(),
    "no delay": lambda server, it, reactor: setattr(it, "tcp_no_delay", True),
    "timeout": lambda server, it, reactor: setattr(it, "timeout", 1000),
    "high water mark": lambda server, it, reactor: setattr(it, "high_water_mark", 1000),
    "endian": lambda server, it, reactor: setattr(it, "endian", "littleEndian"),
    "object encoding": lambda server, it, reactor: setattr(it, "object_encoding", 0),
    "read buffer": lambda server, it, reactor: setattr(it, "read_buffer", bytearray(1)),
    "no read buffer": lambda server, it, reactor: setattr(it, "read_buffer", None),
    "run": lambda server, it, reactor: reactor.run(),
    "poll": lambda server, it, reactor: reactor.poll(0),
    "fileno of the reactor": lambda server, it, reactor: reactor.fileno(),
    "call later": lambda server, it, reactor: reactor.call_later(0, print),
    "close the reactor": lambda server, it, reactor: reactor.close(),
    "make a server": lambda server, it, reactor: ServerSocket(reactor=reactor).bind(0, "127.0.0.1"),
    "make a socket": lambda server, it, reactor: Socket("127.0.0.1", 9, reactor=reactor),
}


@pytest.mark.parametrize("call", CALLS)
def test_call_from_another_thread_is_refused_and_changes_nothing(call):
    with connection() as it, listening() as server:
        _, error = in_thread(lambda: CALLS[call](server, it.socket, it.reactor))
        assert isinstance(error, RuntimeError)
        assert "the other one" in str(error)
        assert threading.current_thread().name in str(error)
        assert server.listening
        assert it.socket.connected
        it.peer.sendall(b"still works")
        it.until(lambda: it.log.data == b"still works")


def test_with_statement_that_ends_in_another_thread_is_refused():
    with listening() as server:
        _, error = in_thread(lambda: server.__exit__(None, None, None))
        assert isinstance(error, RuntimeError)
        assert server.listening


def test_each_thread_has_a_reactor_of_its_own():
    ours = current_reactor()
    theirs, error = in_thread(lambda: (current_reactor(), current_reactor(), ServerSocket().reactor))
    assert error is None
    assert theirs[0] is theirs[1] is theirs[2]
    assert theirs[0] is not ours
    assert ServerSocket().reactor is ours


def test_servers_in_several_threads():
    def serve():
        reactor = current_reactor()
        with listening() as server, connect_to("127.0.0.1", server.local_port) as client:

            def echo(event):
                event.target.write(event.target.read())
                event.target.close()
                server.close()

            server.add_event_listener("connect", lambda event: event.socket.add_event_listener("socketData", echo))
            client.sendall(b"ping")
            serversocket.run()
            result = client.recv(100)
        reactor.close()
        return result

    results = []
    threads = [threading.Thread(target=lambda: results.append(serve())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [b"ping"] * 4


def test_calls_from_many_threads_all_arrive_in_the_order_of_each():
    reactor = current_reactor()
    seen = []
    count, threads = 500, 4

    def call(name):
        for number in range(count):
            reactor.call_soon_threadsafe(seen.append, (name, number))

    workers = [threading.Thread(target=call, args=(name,)) for name in range(threads)]
    for worker in workers:
        worker.start()
    run_until(reactor, lambda: len(seen) == count * threads)
    for worker in workers:
        worker.join()
    for name in range(threads):
        assert [number for whose, number in seen if whose == name] == list(range(count))


def test_call_from_another_thread_wakes_a_waiting_run():
    reactor = current_reactor()
    waiting = threading.Event()
    seen = []

    def call():
        waiting.wait(60)
        reactor.call_soon_threadsafe(lambda: (seen.append(threading.current_thread()), reactor.stop()))

    thread = threading.Thread(target=call)
    thread.start()
    with listening() as server:
        server.add_event_listener("connect", print)
        reactor.call_later(0, waiting.set)
        reactor.run()
    thread.join()
    assert seen == [threading.current_thread()]


def test_error_of_a_call_from_another_thread_is_reported(uncaught):
    reactor = current_reactor()
    reactor.call_soon_threadsafe(lambda: 1 / 0)
    run_until(reactor, lambda: uncaught)
    assert uncaught.pop().exc_info[0] is ZeroDivisionError


def test_stop_and_call_after_close_do_not_crash():
    reactor = Reactor()
    reactor.close()
    reactor.stop()
    with pytest.raises(RuntimeError):
        reactor.call_soon_threadsafe(print)


@on_linux
def test_sockets_that_are_dropped_by_another_thread_do_not_crash():
    python(
        """
        import gc, socket, threading, warnings
        warnings.simplefilter("ignore", ResourceWarning)
        import serversocket
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        server.listen()
        held = []
        server.add_event_listener("connect", lambda event: held.append(event.socket))
        clients = [socket.create_connection(("127.0.0.1", server.local_port)) for _ in range(50)]
        while len(held) < 50:
            server.reactor.poll(1)
        stop = threading.Event()
        def drop():
            while held:
                held.pop()
            gc.collect()
            stop.set()
        thread = threading.Thread(target=drop)
        thread.start()
        while not stop.is_set():
            server.reactor.poll(0.001)
        thread.join()
        for client in clients:
            client.close()
        for _ in range(10):
            server.reactor.poll(0)
        server.close()
        """
    )
