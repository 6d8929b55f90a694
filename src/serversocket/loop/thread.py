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

SECONDS_TO_END = 1.0  # how long the end of the interpreter waits for reactors in threads

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


@with_as3_names
class BackgroundReactor(Generic[_T]):
    """A reactor that runs in a thread of its own; made by `run_in_thread`.

    It runs until `stop`, even while nothing is open. The end of the interpreter stops it too, and waits at most a
    second for a running listener. As a context manager it is stopped at the end of the block.
    """

    def __init__(self, setup: Callable[[], _T]) -> None:
        from concurrent.futures import Future  # noqa: PLC0415

        self._setup = setup
        self._begun: Future[_T] = Future()
        self._outstanding: set[Future[Any]] = set()
        self._over = False
        self._lock = threading.Lock()  # guards the two above
        self._made: Future[Any] = Future()  # the reactor
        self._maker = get_ident()
        self._thread = threading.Thread(target=self._main, name="serversocket", daemon=True)
        self._thread.start()
        self._reactor = self._made.result()
        _running.add(self)
        try:
            self._result = self._begun.result()
        except BaseException:  # from the function, or from a signal handler in this thread
            self.stop()
            raise

    @property
    def reactor(self) -> Reactor:
        """The reactor. Other threads may use only its `Reactor.call_soon_threadsafe` and `Reactor.stop`."""
        reactor: Reactor = self._reactor
        return reactor

    @property
    def result(self) -> _T:
        """The return value of the function given to `run_in_thread`. It belongs to the reactor's thread."""
        return self._result

    @property
    def thread(self) -> threading.Thread:
        """The thread that the reactor runs in."""
        return self._thread

    def call(self, function: Callable[_P, _R], *args: _P.args, **options: _P.kwargs) -> _R:
        """Calls a function in the reactor's thread, and waits for its result.

        Args:
            function: The function; other events wait while it runs.
            args: Its positional arguments.
            options: Its keyword arguments.

        Returns:
            The function's return value. An exception of the function is raised here.

        Raises:
            TypeError: `function` is not callable, or is a coroutine function.
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
        """Like `call`, without waiting.

        Args:
            function: The function.
            args: Its positional arguments.
            options: Its keyword arguments.

        Returns:
            A future for the function's result. If it is cancelled in time, the function is not called.

        Raises:
            TypeError: `function` is not callable, or is a coroutine function.
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
        """Stops and closes the reactor and all its objects, and waits for the thread to end.

        Called from the reactor's own thread, it does not wait. A second call does nothing.
        """
        with suppress(RuntimeError):  # it is already closed
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
            raise RuntimeError("run_in_thread(): gevent makes its thread a greenlet, and greenlets share a reactor")
        return current_reactor()


_running: WeakSet[BackgroundReactor[Any]] = WeakSet()


def _stop_all() -> None:
    """Stops all reactors at the end of the interpreter, so that unsent output is sent or its connection reset.

    A listener that never returns does not keep the interpreter from ending.
    """
    end = time.monotonic() + SECONDS_TO_END
    running = list(_running)
    for background in running:
        with suppress(RuntimeError):  # it is already closed
            background._reactor.stop()
    for background in running:
        background._thread.join(max(end - time.monotonic(), 0))


atexit.register(_stop_all)


def _settle(future: Future[_R], function: Callable[[], _R]) -> bool:
    """Calls a function and settles a future with its result or exception. Returns True if there was a result."""
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
        return False
    return True


def _stopped() -> RuntimeError:
    return RuntimeError("the reactor has stopped")


def run_in_thread(function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> BackgroundReactor[_T]:
    """Starts a thread with a reactor of its own, calls a function there, and waits until it returns.

    The servers and sockets that the function makes belong to that reactor, which delivers their events once the
    function has returned.

    Args:
        function: The function.
        args: Its positional arguments.
        options: Its keyword arguments.

    Returns:
        The running reactor, with the function's return value as its `result`.

    Raises:
        TypeError: `function` is not callable, or is a coroutine function.
        Exception: The function's own exception; the thread has ended then.

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
