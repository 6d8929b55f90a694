from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, listening, on_posix, python, receive_exactly, run_until, storm_of_signals

pytestmark = on_posix


@pytest.fixture
def handler():
    """Sets a handler of SIGUSR1 and gives the list that it fills."""
    seen = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGUSR1, previous)


def test_handler_runs_while_run_waits(handler):
    reactor = current_reactor()
    waiting = threading.Event()

    def send():
        waiting.wait(60)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()

    def look():
        if handler:
            reactor.stop()
        else:
            reactor.call_later(0.005, look)

    with listening() as server:
        server.add_event_listener("connect", print)
        reactor.call_later(0, waiting.set)
        reactor.call_later(0.005, look)
        reactor.run()
    thread.join()
    assert handler == [signal.SIGUSR1]


def test_keyboard_interrupt_leaves_a_waiting_run():
    python(
        """
        import os, signal, threading, time
        import serversocket
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        server.listen()
        server.add_event_listener("connect", print)
        main = threading.main_thread().ident
        for round in range(20):
            ready = threading.Event()
            def interrupt():
                ready.wait(60)
                os.kill(os.getpid(), signal.SIGINT)
            thread = threading.Thread(target=interrupt)
            thread.start()
            server.reactor.call_later(0, ready.set)
            try:
                serversocket.run()
            except KeyboardInterrupt:
                pass
            else:
                raise SystemExit("it was swallowed")
            thread.join()
            assert server.listening
        server.close()
        assert signal.set_wakeup_fd(-1) == -1
        """
    )


def test_handler_may_raise_out_of_run():
    python(
        """
        import signal
        import serversocket
        class Alarm(Exception):
            pass
        def ring(number, frame):
            raise Alarm
        signal.signal(signal.SIGALRM, ring)
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        server.listen()
        server.add_event_listener("connect", print)
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            try:
                serversocket.run()
            except Alarm:
                continue
            raise SystemExit("run ended otherwise")
        server.close()
        """
    )


def test_storm_of_signals_disturbs_nothing():
    reactor = current_reactor()
    seen = []
    with storm_of_signals(lambda number, frame: seen.append(number)), listening() as server:

        def echo(event):
            event.target.write(event.target.read())

        sockets = []

        def accept(event):
            sockets.append(event.socket)
            event.socket.add_event_listener("socketData", echo)

        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            for number in range(100):
                client.sendall(b"%03d" % number)
                assert receive_exactly(reactor, client, 3) == b"%03d" % number
            run_until(reactor, lambda: len(seen) > 20)
            sockets[0].close()


@pytest.mark.parametrize("wait", ["poll", "timer"])
def test_a_storm_of_signals_does_not_put_off_what_is_due(wait):
    """Each of them interrupts the wait, which goes on for the rest of its time, not anew: that would be for ever."""
    reactor = current_reactor()
    seen = []

    def ring(number, frame):
        seen.append(number)
        if len(seen) == 10_000:
            raise AssertionError("the wait begins anew with every signal")

    with storm_of_signals(ring):
        due = time.monotonic() + 0.1
        if wait == "poll":
            assert reactor.poll(0.1) == 0
        else:
            reactor.call_later(0.1, reactor.stop)
            reactor.run()
        assert time.monotonic() >= due
    assert len(seen) > 1


def test_wakeup_descriptor_of_somebody_else_is_left_alone():
    reactor = current_reactor()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        previous = signal.set_wakeup_fd(theirs.fileno())
        try:
            reactor.call_later(0, lambda: None)
            reactor.run()
            assert signal.set_wakeup_fd(theirs.fileno()) == theirs.fileno()
        finally:
            signal.set_wakeup_fd(previous)


def test_signal_handler_may_stop_the_reactor():
    reactor = current_reactor()
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: reactor.stop())
    try:
        with listening() as server:
            server.add_event_listener("connect", print)
            waiting = threading.Event()

            def send():
                waiting.wait(60)
                os.kill(os.getpid(), signal.SIGUSR1)

            thread = threading.Thread(target=send)
            thread.start()
            reactor.call_later(0, waiting.set)
            reactor.run()
            thread.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_signal_before_run_is_handled_by_it():
    python(
        """
        import os, signal
        import serversocket
        stopped = []
        signal.signal(signal.SIGUSR1, lambda number, frame: stopped.append(serversocket.stop()))
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        server.listen()
        server.add_event_listener("connect", print)
        for _ in range(200):
            # The signal arrives at a time of its own choosing, before the wait or in it.
            signal.setitimer(signal.ITIMER_REAL, 0)
            server.reactor.call_later(0, os.kill, os.getpid(), signal.SIGUSR1)
            serversocket.run()
        assert len(stopped) == 200
        server.close()
        """
    )
