"""`Reactor.on_signal`: signals as calls of a reactor."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import threading

import pytest

from serversocket import Reactor

from .helpers import PATIENCE, connection, on_posix, python, run_until

pytestmark = on_posix


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    reactor.close()


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGUSR2)
    yield
    assert (signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGUSR2)) == before
    assert signal.set_wakeup_fd(-1) == -1


def send(signum=signal.SIGUSR1):
    os.kill(os.getpid(), signum)


def test_it_is_called_whenever_the_signal_has_come(reactor):
    seen = []
    handle = reactor.onSignal(signal.SIGUSR1, lambda *arguments: seen.append(arguments), "a", 2)
    assert (handle.signum, handle.cancelled) == (signal.SIGUSR1, False)
    assert repr(handle) == "<SignalHandle waiting SIGUSR1>"
    for count in (1, 2, 3):
        send()
        run_until(reactor, lambda count=count: len(seen) == count)
    assert seen == [("a", 2)] * 3


def test_never_inside_another_call(reactor):
    seen = []
    reactor.on_signal(signal.SIGUSR1, seen.append, "signal")

    def work():
        send()
        seen.append("work")

    reactor.call_later(0, work)
    run_until(reactor, lambda: len(seen) == 2)
    assert seen == ["work", "signal"]


def test_a_waiting_run_wakes(reactor):
    seen = []

    def stop():
        seen.append(1)
        reactor.stop()

    reactor.on_signal(signal.SIGUSR1, stop)
    reactor.call_later(60, print)  # something to wait for
    threading.Timer(0.05, send).start()
    reactor.run()
    assert seen == [1]


def test_a_waiting_poll_wakes(reactor):
    seen = []
    reactor.on_signal(signal.SIGUSR1, seen.append, 1)
    timer = threading.Timer(0.05, send)
    timer.start()
    while not seen:
        reactor.poll(60)
    timer.join()


def test_several_for_one_signal(reactor):
    seen = []
    first = reactor.on_signal(signal.SIGUSR1, seen.append, "first")
    reactor.on_signal(signal.SIGUSR1, seen.append, "second")
    send()
    run_until(reactor, lambda: len(seen) == 2)
    assert seen == ["first", "second"]
    first.cancel()
    send()
    run_until(reactor, lambda: len(seen) == 3)
    assert seen[2] == "second"


def test_several_reactors(reactor):
    with_own: list[str] = []
    other = Reactor()
    try:
        reactor.on_signal(signal.SIGUSR1, with_own.append, "one")
        other.on_signal(signal.SIGUSR1, with_own.append, "other")
        other.on_signal(signal.SIGUSR2, with_own.append, "second signal")
        send()
        run_until(reactor, lambda: with_own == ["one"])
        run_until(other, lambda: with_own == ["one", "other"])
        reactor.close()
        send(signal.SIGUSR2)
        run_until(other, lambda: with_own[2:] == ["second signal"])
    finally:
        other.close()


def test_the_last_one_puts_back_what_was_before(reactor):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append("before"))
    try:
        handles = [reactor.on_signal(signal.SIGUSR1, seen.append, "ours") for _ in range(2)]
        for handle in handles:
            handle.cancel()
            handle.cancel()
            assert handle.cancelled
        send()
        reactor.poll(0)
        assert seen == ["before"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_another_has_set_meanwhile_stays(reactor):
    before = signal.getsignal(signal.SIGUSR1)
    handle = reactor.on_signal(signal.SIGUSR1, print)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    handle.cancel()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    signal.signal(signal.SIGUSR1, before)


def test_cancelled_between_the_signal_and_the_call(reactor):
    seen = []
    handle = reactor.on_signal(signal.SIGUSR1, seen.append, 1)
    send()
    handle.cancel()
    for _ in range(3):
        reactor.poll(0)
    assert seen == []


def test_closing_the_reactor_ends_it():
    reactor = Reactor()
    handle = reactor.on_signal(signal.SIGUSR1, print)
    reactor.close()
    assert handle.cancelled
    assert repr(handle) == "<SignalHandle cancelled SIGUSR1>"
    handle.cancel()


def test_run_does_not_wait_for_signals(reactor):
    reactor.on_signal(signal.SIGUSR1, print)
    reactor.run()


def test_a_callback_that_raises_is_reported(reactor):
    errors = []
    reactor.add_event_listener("uncaughtError", lambda event: errors.append(event.error))
    reactor.on_signal(signal.SIGUSR1, lambda: 1 / 0)
    send()
    run_until(reactor, lambda: errors)
    assert type(errors[0]) is ZeroDivisionError


def test_a_program_that_has_a_wakeup_descriptor_keeps_it(reactor):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        seen = []
        handle = reactor.on_signal(signal.SIGUSR1, seen.append, 1)
        send()
        run_until(reactor, lambda: seen)
        assert os.read(reading, 10) == bytes([signal.SIGUSR1])
        handle.cancel()
    finally:
        assert signal.set_wakeup_fd(-1) == writing
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("signum", [0, -1, 1000, 10**30])
def test_numbers_that_are_no_signals(reactor, signum):
    with pytest.raises(ValueError, match=f"signum: {signum} is not the number of a signal"):
        reactor.on_signal(signum, print)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_signals_that_cannot_be_handled(reactor, signum):
    with pytest.raises(ValueError, match=f"{signum.name}.*cannot be handled"):
        reactor.on_signal(signum, print)


@pytest.mark.parametrize("signum", [None, "SIGTERM", True, 15.0])
def test_signals_of_a_wrong_type(reactor, signum):
    with pytest.raises(TypeError, match="signum must be the number of a signal"):
        reactor.on_signal(signum, print)


def test_bad_callbacks(reactor):
    with pytest.raises(TypeError, match="callback must be callable"):
        reactor.on_signal(signal.SIGUSR1, None)


def test_after_close():
    reactor = Reactor()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.on_signal(signal.SIGUSR1, print)


def test_other_threads_are_refused_with_both_names(reactor):
    caught = []

    def attempt():
        own = Reactor()
        for call in (lambda: own.on_signal(signal.SIGUSR1, print), handle.cancel):
            try:
                call()
            except RuntimeError as error:
                caught.append(str(error))
        own.close()

    handle = reactor.on_signal(signal.SIGUSR1, print)
    thread = threading.Thread(target=attempt, name="painter")
    thread.start()
    thread.join()
    assert len(caught) == 2
    assert all("'MainThread'" in text and "'painter'" in text for text in caught)


def test_a_forked_child_has_what_was_before():
    python(
        """
        import os, signal
        from serversocket import Reactor
        reactor = Reactor()
        handle = reactor.on_signal(signal.SIGTERM, print, "never")
        child = os.fork()
        if not child:
            assert handle.cancelled
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.set_wakeup_fd(-1) == -1
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        seen = []
        reactor.on_signal(signal.SIGTERM, seen.append, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        while not seen:
            reactor.poll(1)
        reactor.close()
        """
    )


def test_an_interpreter_ends_with_it():
    python("import signal, serversocket\nserversocket.Reactor().on_signal(signal.SIGTERM, print)\n")


@pytest.mark.parametrize("taken", [True, False])
def test_cancelled_while_others_are_told_leaves_what_gets_its_descriptor_alone(taken):
    """It is ready in the same turn, and by the time that it is its turn its number may be anybody's."""
    with connection(types=()) as it:
        handle = it.reactor.on_signal(signal.SIGUSR1, pytest.fail, "cancelled")
        ends = []

        def data(event):
            event.target.read()
            handle.cancel()
            if taken:
                ends.extend(os.pipe())
                os.set_blocking(ends[0], False)
                os.write(ends[1], b"precious")

        it.socket.add_event_listener("socketData", data)
        it.peer.sendall(b"x")
        select.select([it.socket.fileno()], [], [], PATIENCE)
        send()
        it.until(lambda: handle.cancelled)
        it.reactor.poll(0)
        for end in ends[:1]:
            assert os.read(end, 100) == b"precious"
        for end in ends:
            os.close(end)


def test_cancelled_and_asked_for_again_in_the_same_turn():
    """The new one may get the descriptor of the old one, which is ready."""
    seen = []
    with connection(types=()) as it:
        handles = [it.reactor.on_signal(signal.SIGUSR1, pytest.fail, "cancelled")]

        def data(event):
            event.target.read()
            handles.pop().cancel()
            handles.append(it.reactor.on_signal(signal.SIGUSR1, seen.append, 1))

        it.socket.add_event_listener("socketData", data)
        it.peer.sendall(b"x")
        select.select([it.socket.fileno()], [], [], PATIENCE)
        send()
        it.until(lambda: not it.socket.bytes_available and not it.reactor.poll(0))
        send()
        it.until(lambda: seen)
        handles.pop().cancel()


def test_a_close_that_is_refused_ends_nothing(reactor):
    seen = []
    handle = reactor.on_signal(signal.SIGUSR1, seen.append, 1)

    def close():
        with pytest.raises(RuntimeError, match="is running"):
            reactor.close()
        assert not handle.cancelled
        send()

    reactor.call_later(0, close)
    run_until(reactor, lambda: seen)
    handle.cancel()


def test_a_failure_whose_clean_up_fails_too_leaves_no_descriptor(reactor, monkeypatch):
    made = []

    class Refusing(socket.socket):
        def setblocking(self, flag):
            raise OSError(errno.ENOMEM, "refused")

        def close(self):
            super().close()
            raise OSError(errno.EIO, "closed, with an error")

    def pair():
        made.extend(Refusing(fileno=end.detach()) for end in plain_pair())
        return tuple(made)

    plain_pair = socket.socketpair
    monkeypatch.setattr(socket, "socketpair", pair)
    with pytest.raises(OSError, match=r"refused|closed"):
        reactor.on_signal(signal.SIGUSR1, print)
    assert [end.fileno() for end in made] == [-1, -1]


@pytest.mark.parametrize("others", [False, True])
def test_cancelling_leaves_a_run_awake(others):
    """A signal that comes to another thread ends the wait all the same: its handler has to run."""
    python(
        f"""
        import signal, threading, time
        import serversocket
        reactor = serversocket.Reactor()
        other = serversocket.Reactor()
        seen = []
        signal.signal(signal.SIGUSR2, lambda number, frame: seen.append(1))
        handle = ({others} and other or reactor).on_signal(signal.SIGUSR1, print)
        reactor.call_later(0, handle.cancel) if not {others} else None
        waits = reactor.call_later(1000, print)
        def send():
            while reactor._timers and len(reactor._timers) > 1:
                time.sleep(0.001)
            time.sleep(0.1)
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
            end = time.monotonic() + 60
            while not seen and time.monotonic() < end:
                time.sleep(0.001)
            seen.append(time.monotonic() < end)
            reactor.stop()
        thread = threading.Thread(target=send)
        thread.start()
        reactor.run()
        thread.join()
        assert seen == [1, True], seen
        handle.cancel()
        reactor.close()
        other.close()
        assert signal.set_wakeup_fd(-1) == -1
        """
    )


def test_interrupts_leave_no_descriptor_that_is_closed():
    """Python would write the numbers of signals into whatever gets its number next."""
    python(
        """
        import os, signal, time, warnings
        import serversocket
        warnings.simplefilter("ignore")
        reactor = serversocket.Reactor()
        def interrupt(number, frame):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        interrupts, end = 0, time.monotonic() + 1
        while time.monotonic() < end or interrupts < 100:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + interrupts % 211 * 1e-6)
                for _ in range(20):
                    reactor.run()
                time.sleep(0.001)
            except KeyboardInterrupt:
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            number = signal.set_wakeup_fd(-1)
            if number != -1:
                os.fstat(number)
                signal.set_wakeup_fd(number, warn_on_full_buffer=False)
        reactor.run()
        reactor.close()
        assert signal.set_wakeup_fd(-1) == -1
        """
    )


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="there are none in real time")
def test_a_signal_that_has_a_number_only(reactor):
    number = signal.SIGRTMIN + 1
    before = signal.getsignal(number)
    seen = []
    handle = reactor.on_signal(number, seen.append, "here")
    assert (handle.signum, repr(handle)) == (number, f"<SignalHandle waiting {number}>")
    send(number)
    run_until(reactor, lambda: seen == ["here"])
    handle.cancel()
    assert signal.getsignal(number) == before
