"""The public `Reactor`, the reactor of the calling thread, and the reporting of errors that listeners raise."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import engine
from ..checks import as_limit
from ..engine.unpatched import local
from ..events import UncaughtErrorEvent
from ..naming import with_as3_names
from . import hosting, signals
from .reporting import log_error
from .timers import Scheduler

if TYPE_CHECKING:
    from typing import SupportsIndex

# How often the reactor checks for idle connections. Seconds.
SHORTEST_IDLE_PERIOD = 0.01
LONGEST_IDLE_PERIOD = 1.0


@with_as3_names
class Reactor(Scheduler, engine.Reactor):
    """The event loop: waits for the system and delivers events. AIR's runtime has one, but does not show it.

    Each thread has a default reactor, which `serversocket.run` runs; a program may make more. A reactor and its
    objects may only be used from the thread that made it, except for `stop` and `call_soon_threadsafe`, which may be
    called from any thread.

    It dispatches ``uncaughtError`` (`UncaughtErrorEvent`) for each exception that a listener, timer or call raises.
    Without a listener for it, the exception is logged with its traceback by the logger ``serversocket``.

    Example:
        >>> reactor = Reactor()
        >>> handle = reactor.call_later(0.001, print, "a millisecond later")
        >>> reactor.run()
        a millisecond later
        >>> reactor.close()
    """

    # The host that delivers the events, if it is not `run`.
    _host: hosting.Host | None = None
    # The timer that checks for idle connections, while some have an idle timeout.
    _idle_watch: object = None
    _idle_period: float = LONGEST_IDLE_PERIOD

    def __init__(self) -> None:
        super().__init__()
        self._attempts: set[Any] = set()  # connects that are in progress
        _reactors.add(self)

    @property
    def buffer_limit(self) -> int:
        """The most bytes of unread input and unsent output that all connections together may hold; 1 GiB by default.

        Over the limit, the connection that holds the most is shed: its ``ioError`` has ``errno.ENOBUFS``, and its data
        is dropped. If that is the one being written to, or if shedding all others would not make enough room,
        `Socket.write` raises. Unread input of a socket whose peer is gone is dropped without an event: the socket is
        closed, and reading it raises.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).
        """
        return self._buffer_limit

    @buffer_limit.setter
    def buffer_limit(self, value: SupportsIndex) -> None:
        self._check_thread()
        self._buffer_limit = as_limit("buffer_limit", value)

    def run(self) -> None:
        """Delivers events until `stop` is called or nothing is left open.

        ``KeyboardInterrupt`` and ``SystemExit`` propagate, from a signal and from a listener. Afterwards the reactor
        may be run again.

        Raises:
            RuntimeError: The reactor is closed, already running, belongs to another thread, or is hosted by another
                loop; or gevent has patched the program, and waiting here would block its greenlets.

        Example:
            >>> reactor = Reactor()
            >>> handle = reactor.call_later(0, reactor.stop)
            >>> reactor.run()
            >>> reactor.close()
        """
        hosting.refuse_run(self)
        with signals.wakes(self):
            super().run()

    def close(self) -> None:
        """Closes the reactor and all its objects, without events. A second call does nothing.

        Raises:
            RuntimeError: A listener of this reactor is running, or another thread owns it.
        """
        if self.closed:
            return
        self._refuse_close()
        for attempt in list(self._attempts):
            attempt.abandon()
        signals.close(self)
        with hosting.left(self):
            super().close()
        self._drop_scheduled()

    def on_signal(self, signum: int, callback: Callable[..., object], *args: object) -> signals.SignalHandle:
        """Calls `callback` from the reactor whenever a signal arrives, also in a hosted reactor.

        The callback runs between events and may do anything that a listener may. Several callbacks for a signal are
        called in order. `run` does not wait for signals: it returns when nothing else is left open.

        For a graceful shutdown, close the server and each connection, as in the example: `run` returns when everything
        was sent. After `stop`, connections with unsent output are reset when the program ends.

        Args:
            signum: The signal, such as ``signal.SIGTERM``.
            callback: The function to call. Its exceptions are treated like a listener's.
            args: Its arguments.

        Returns:
            A handle whose `cancel()` removes the callback; closing the reactor removes it too. When the last callback
            for a signal is removed, the previous handler of the signal is restored.

        Raises:
            TypeError: `signum` is not an integer, or `callback` is not callable or is a coroutine function.
            ValueError: `signum` is not a signal, or one that cannot be handled.
            RuntimeError: This is not the main thread, or the reactor is closed or belongs to another thread.

        Example:
            >>> import os, signal, serversocket
            >>> server, clients = serversocket.ServerSocket(), set()
            >>> def connected(event):
            ...     clients.add(event.socket)
            ...     event.socket.add_event_listener("close", lambda event: clients.discard(event.target))
            >>> def shut_down():
            ...     server.close()
            ...     for client in clients:
            ...         client.close()  # sends what is pending
            >>> server.add_event_listener("connect", connected)
            >>> server.bind(0, "127.0.0.1")
            >>> server.listen()
            >>> handle = server.reactor.on_signal(signal.SIGTERM, shut_down)
            >>> os.kill(os.getpid(), signal.SIGTERM)
            >>> serversocket.run()
            >>> handle.cancel()
        """
        return signals.watch(self, signum, callback, *args)

    def _forked(self) -> None:
        super()._forked()
        self._host = None
        self._attempts.clear()
        self._drop_scheduled()

    def _moved(self) -> None:
        hosting.rejoin(self)

    def _watch_idle(self, seconds: float) -> None:
        """Makes the reactor check for idle connections, often enough for a timeout of so many seconds."""
        period = min(max(seconds / 8, SHORTEST_IDLE_PERIOD), LONGEST_IDLE_PERIOD)
        if self._idle_watch is None or period < self._idle_period:
            self._idle_period = period
            self._look_for_idle_later()

    def _look_for_idle_later(self) -> None:
        watch = self._idle_watch = object()
        self.call_later(self._idle_period, lambda: self._look_for_idle(watch)).unref()

    def _look_for_idle(self, watch: object) -> None:
        if watch is not self._idle_watch:
            return  # a shorter period has replaced it
        self._idle_watch = None
        if self._end_idle():
            self._look_for_idle_later()
        else:
            self._idle_period = LONGEST_IDLE_PERIOD

    def _report(self, error: BaseException, source: object) -> None:
        report_error(error, self)


_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()
_threads = local()


def current_reactor() -> Reactor:
    """Returns the reactor of this thread; inside a running asyncio loop or trio, the one that it hosts."""
    hosted = hosting.hosted_reactor(Reactor)
    if hosted is not None:
        return hosted
    reactor: Reactor | None = getattr(_threads, "reactor", None)
    if reactor is None or reactor.closed:
        reactor = _threads.reactor = Reactor()
    return reactor


def run() -> None:
    """Delivers events to the objects of this thread until `stop` is called or nothing is left open.

    Raises:
        RuntimeError: The reactor is already running, or a running asyncio loop or trio in this thread hosts it.

    Example:
        >>> import serversocket
        >>> serversocket.run()  # nothing is open: it returns at once
    """
    current_reactor().run()


def stop() -> None:
    """Makes `run` return in this thread, after the current listener; called before `run`, it ends the next one.

    Example:
        >>> import serversocket
        >>> serversocket.stop()
        >>> serversocket.run()  # returns at once
    """
    current_reactor().stop()


def report_error(error: BaseException, dispatcher: object, place: str = "") -> None:
    """Turns an exception into an ``uncaughtError`` event of the reactor, or else into a log record.

    Args:
        error: The exception.
        dispatcher: The dispatcher whose listener raised it, or the connection of a handler.
        place: Where it was raised, if not in a listener.
    """
    reactor = dispatcher if isinstance(dispatcher, Reactor) else getattr(dispatcher, "reactor", None)
    if reactor is None:
        reactor = getattr(_threads, "reactor", None)
    # A listener of uncaughtError that raises would only get its own exception.
    if reactor is None or reactor.closed or getattr(_threads, "reporting", False):
        listening = False
    else:
        listening = reactor.has_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR)
    if reactor is None or not listening:
        log_error(error, dispatcher, place)
        return
    _threads.reporting = True
    try:
        reactor.dispatch_event(UncaughtErrorEvent(error_in=error))
    finally:
        _threads.reporting = False


with_as3_names(engine.Reactor, engine.extend_type)
engine.set_error_reporter(report_error)


def _after_fork_in_child() -> None:
    for reactor in list(_reactors):
        reactor._forked()
    _reactors.clear()
    _threads.__dict__.clear()
    hosting.forget()
    signals.forget()


def _at_exit() -> None:
    """Sends, at the end of the interpreter, output of this thread that no turn has sent yet; or sets up its reset."""
    for reactor in list(_reactors):
        if not reactor.closed:
            reactor._send_unsent()


atexit.register(_at_exit)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
