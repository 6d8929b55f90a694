"""`run_in_thread`: a reactor in a thread of its own, and what other threads may do with it."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import CancelledError, wait

import pytest

import serversocket
from serversocket import ServerSocket, run_in_thread
from serversocket.loop.reactor import current_reactor

from .helpers import PATIENCE, connect_to, on_linux, python


def echo_server():
    def connected(event):
        event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))

    server = ServerSocket()
    server.add_event_listener("connect", connected)
    server.bind(0, "127.0.0.1")
    server.listen()
    return server, server.local_port


def test_a_server_in_a_thread():
    with run_in_thread(echo_server) as background:
        _, port = background.result
        for _ in range(5):
            with connect_to("127.0.0.1", port) as client:
                client.sendall(b"hello")
                assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        assert background.thread.is_alive()
        assert "running" in repr(background)
    assert not background.thread.is_alive()
    assert background.reactor.closed
    assert "stopped" in repr(background)
    with pytest.raises(ConnectionRefusedError):
        connect_to("127.0.0.1", port)


def test_arguments_and_result():
    with run_in_thread(lambda *args, **options: (args, options), 1, 2, a=3) as background:
        assert background.result == ((1, 2), {"a": 3})


def test_it_runs_while_nothing_is_open():
    with run_in_thread(lambda: None) as background:
        assert background.call(lambda: 1) == 1
        assert background.call(threading.current_thread) is background.thread
        assert background.call(current_reactor) is background.reactor
        assert background.reactor is not current_reactor()


def test_calls_return_and_raise():
    def fail(text):
        raise LookupError(text)

    with run_in_thread(lambda: None) as background:
        assert background.call(divmod, 7, 3) == (2, 1)
        assert background.call(dict, a=1) == {"a": 1}
        with pytest.raises(LookupError, match="nothing"):
            background.call(fail, "nothing")
        assert background.call(int) == 0


def test_a_call_in_its_own_thread_does_not_wait_for_itself():
    with run_in_thread(lambda: None) as background:
        assert background.call(lambda: background.call(lambda: 5)) == 5


def test_submitted_calls():
    with run_in_thread(lambda: None) as background:
        futures = [background.submit(pow, 2, number) for number in range(100)]
        assert [future.result(PATIENCE) for future in futures] == [2**number for number in range(100)]
        gate = threading.Event()
        background.submit(gate.wait, PATIENCE)
        seen = []
        future = background.submit(seen.append, 1)
        assert future.cancel()
        gate.set()
        background.call(lambda: None)
        assert seen == []
        with pytest.raises(CancelledError):
            future.result()


def test_from_many_threads():
    with run_in_thread(list) as background:
        threads = [
            threading.Thread(target=lambda: [background.call(background.result.append, 1) for _ in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(background.result) == 800


def test_a_function_that_raises_ends_the_thread():
    before = set(threading.enumerate())

    def fail():
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        run_in_thread(fail)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_stopping():
    background = run_in_thread(lambda: None)
    background.stop()
    background.stop()
    for call in (background.call, background.submit):
        with pytest.raises(RuntimeError, match="the reactor has stopped"):
            call(print)


def test_it_may_stop_itself():
    background = run_in_thread(lambda: None)
    background.submit(background.stop)
    background.thread.join(PATIENCE)
    assert not background.thread.is_alive()


def test_calls_that_come_too_late_are_told():
    background = run_in_thread(lambda: None)
    entered, gate = threading.Event(), threading.Event()

    def last():
        background.reactor.stop()
        entered.set()
        gate.wait(PATIENCE)

    background.submit(last)
    assert entered.wait(PATIENCE)
    # One turn makes the calls that had come when it began.
    late = [background.submit(lambda: None) for _ in range(5)]
    gate.set()
    wait(late, PATIENCE)
    for future in late:
        assert "the reactor has stopped" in str(future.exception(PATIENCE))
    background.stop()


def test_what_leaves_the_reactor_ends_it():
    python(
        """
        import sys, threading
        from serversocket import run_in_thread

        def leave():
            raise SystemExit

        background = run_in_thread(lambda: None)
        background.reactor.call_soon_threadsafe(leave)
        background.thread.join(60)
        assert not background.thread.is_alive()
        assert background.reactor.closed
        try:
            background.call(print)
        except RuntimeError as error:
            assert "the reactor has stopped" in str(error)
        else:
            raise AssertionError
        background.stop()
        """
    )


def test_an_interpreter_ends_while_it_runs():
    python(
        """
        import serversocket

        def listen():
            server = serversocket.ServerSocket()
            server.add_event_listener("connect", print)
            server.bind(0, "127.0.0.1")
            server.listen()
            return server

        background = serversocket.run_in_thread(listen)
        """
    )


def test_what_belongs_to_it_is_refused_elsewhere_with_both_names():
    with run_in_thread(echo_server) as background:
        server, _ = background.result
        with pytest.raises(RuntimeError, match="belongs to thread 'serversocket', called from 'MainThread'"):
            server.close()
        background.call(server.close)


@pytest.mark.parametrize("function", [None, 1, "print"])
def test_bad_functions(function):
    with pytest.raises(TypeError, match="function must be callable"):
        run_in_thread(function)
    with run_in_thread(lambda: None) as background:
        with pytest.raises(TypeError, match="function must be callable"):
            background.submit(function)
        with pytest.raises(TypeError, match="function must be callable"):
            background.call(function)


def test_as3_names():
    assert serversocket.Reactor.callEvery is serversocket.Reactor.call_every
    assert serversocket.Reactor.onSignal is serversocket.Reactor.on_signal


@on_linux
def test_a_thread_that_cannot_make_its_reactor_says_so():
    python(
        """
        import errno, os, resource
        import serversocket
        import serversocket.loop.reactor
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        try:
            serversocket.run_in_thread(lambda: None)
        except OSError as error:
            assert error.errno == errno.EMFILE, error
        else:
            raise AssertionError("it was made")
        for number in taken:
            os.close(number)
        serversocket.run_in_thread(lambda: None).stop()
        """
    )
