"""A reactor in a thread of its own: `run_in_thread`."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar
from weakref import WeakSet

from .. import errors
from ..engine.listener_checks import refuse_coroutine_function
from ..engine.unpatched import get_ident
from ..naming import with_as3_names
from .reactor import current_reactor

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .. import Reactor

__all__ = ["BackgroundReactor", "run_in_thread"]

SECONDS_TO_END = 1.0  # that the end of the interpreter waits for reactors in threads

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


@with_as3_names
class BackgroundReactor(Generic[_T]):
    """A reactor that runs in a thread of its own; `run_in_thread` makes it.

    It runs until `stop`, also while nothing is open. The end of the interpreter stops it too, and waits for what is
    being delivered, but at most a second. As a context manager it is stopped in the end.
    """

    def __init__(self, setup: Callable[[], _T]) -> None:
        from concurrent.futures import Future  # noqa: PLC0415

        self._setup = setup
        self._begun: Future[_T] = Future()
        self._outstanding: set[Future[Any]] = set()
        self._over = False
        self._lock = threading.Lock()  # of these two
        self._made: Future[Any] = Future()  # the reactor
        self._maker = get_ident()
        self._thread = threading.Thread(target=self._main, name="serversocket", daemon=True)
        self._thread.start()
        self._reactor = self._made.result()
        _running.add(self)
        try:
            self._result = self._begun.result()
        except BaseException:  # of the function, or of a signal's handler, here
            self.stop()
            raise

    @property
    def reactor(self) -> Reactor:
        """The reactor: of it other threads may use `Reactor.call_soon_threadsafe` and `Reactor.stop`."""
        reactor: Reactor = self._reactor
        return reactor

    @property
    def result(self) -> _T:
        """What the function given to `run_in_thread` returned. It belongs to the reactor's thread."""
        return self._result

    @property
    def thread(self) -> threading.Thread:
        """The thread that it runs in."""
        return self._thread

    def call(self, function: Callable[_P, _R], *args: _P.args, **options: _P.kwargs) -> _R:
        """Calls a function in the reactor's thread, and waits for what comes of it.

        Args:
            function: What to call; other events wait meanwhile.
            args: What to call it with.
            options: What to call it with, by name.

        Returns:
            What the function returned. What it raised is raised here.

        Raises:
            TypeError: `function` cannot be called, or is a coroutine function.
            RuntimeError: The reactor has stopped, or stopped before the function was called.

        Example:
            >>> import threading, serversocket
            >>> with serversocket.run_in_thread(lambda: None) as background:
            ...     background.call(threading.current_thread) is background.thread
            True
        """
        if threading.current_thread() is self._thread:
            return function(*args, **options)
        return self.submit(function, *args, **options).result()

    def submit(self, function: Callable[_P, _R], *args: _P.args, **options: _P.kwargs) -> Future[_R]:
        """As `call`, without waiting.

        Args:
            function: What to call.
            args: What to call it with.
            options: What to call it with, by name.

        Returns:
            What will have the function's result. Cancelled before the function is called, it is not called.

        Raises:
            TypeError: `function` cannot be called, or is a coroutine function.
            RuntimeError: The reactor has stopped.

        Example:
            >>> import serversocket
            >>> with serversocket.run_in_thread(lambda: None) as background:
            ...     background.submit(sum, [1, 2, 3]).result()
            6
        """
        if not callable(function):
            raise errors.wrong_type("function", function, "callable")
        refuse_coroutine_function("function", function)
        from concurrent.futures import Future  # noqa: PLC0415

        future: Future[_R] = Future()

        def run() -> None:
            with self._lock:
                self._outstanding.discard(future)
            if future.set_running_or_notify_cancel():
                _settle(future, lambda: function(*args, **options))

        with self._lock:
            if self._over:
                raise _stopped()
            self._outstanding.add(future)
        self._reactor.call_soon_threadsafe(run)
        return future

    def stop(self) -> None:
        """Stops and closes the reactor, with all that belongs to it, and waits for the thread to end.

        Called in the reactor's own thread it does not wait. A second call does nothing.
        """
        with suppress(RuntimeError):  # it is closed
            self._reactor.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<BackgroundReactor {'stopped' if self._over else 'running'} in {self._thread.name!r}>"

    def _main(self) -> None:
        if not _settle(self._made, self._own_reactor):
            return
        reactor = self._made.result()
        try:
            if _settle(self._begun, self._setup):
                reactor._retain()
                reactor.run()
        finally:
            with self._lock:
                self._over = True
                left, self._outstanding = self._outstanding, set()
            reactor.close()
            for future in left:
                if future.set_running_or_notify_cancel():
                    future.set_exception(_stopped())

    def _own_reactor(self) -> Any:
        if get_ident() == self._maker:
            raise RuntimeError("run_in_thread(): gevent makes a greenlet of its thread, and greenlets share a reactor")
        return current_reactor()


_running: WeakSet[BackgroundReactor[Any]] = WeakSet()


def _stop_all() -> None:
    """At the end of the interpreter: what is unsent is sent or reset before the system closes the descriptors.

    A listener that never returns does not keep the interpreter from ending.
    """
    end = time.monotonic() + SECONDS_TO_END
    running = list(_running)
    for background in running:
        with suppress(RuntimeError):  # it is closed
            background._reactor.stop()
    for background in running:
        background._thread.join(max(end - time.monotonic(), 0))


atexit.register(_stop_all)


def _settle(future: Future[_R], function: Callable[[], _R]) -> bool:
    """Gives a future what comes of a function; whether that was a result."""
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
        return False
    return True


def _stopped() -> RuntimeError:
    return RuntimeError("the reactor has stopped")


def run_in_thread(function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> BackgroundReactor[_T]:
    """Starts a thread with a reactor of its own, calls a function there, and waits for that.

    The function makes servers and sockets: they belong to that reactor, which delivers their events when it has
    returned.

    Args:
        function: What to call.
        args: What to call it with.
        options: What to call it with, by name.

    Returns:
        The running reactor, and what the function has returned as its `result`.

    Raises:
        TypeError: `function` cannot be called, or is a coroutine function.
        Exception: Whatever the function raised; the thread has ended then.

    Example:
        >>> import serversocket
        >>> def listen():
        ...     server = serversocket.ServerSocket()
        ...     server.add_event_listener("connect", lambda event: event.socket.close())
        ...     server.bind(0, "127.0.0.1")
        ...     server.listen()
        ...     return server
        >>> with run_in_thread(listen) as background:
        ...     background.call(lambda: background.result.listening)
        True
    """
    if not callable(function):
        raise errors.wrong_type("function", function, "callable")
    refuse_coroutine_function("function", function)
    return BackgroundReactor(lambda: function(*args, **options))
