"""Resolves host names in background threads."""

from __future__ import annotations

import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ..loop.reactor import Reactor
from .addresses import no_descriptor

MOST_THREADS = 16


class Endpoint(NamedTuple):
    """An address to connect to: the family, and the address as `socket.connect` takes it."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


class Lookup:
    """A look-up of a name that runs in a thread, or waits for one. It can be abandoned, but not interrupted.

    Args:
        reactor: The reactor that calls `done`.
        host: The name, in ASCII.
        port: The port of the endpoints.
        done: Called from the reactor with the endpoints, in the system's order, or with the error: a `socket.gaierror`,
            or the system's own error, for instance because no descriptor is left.

    Raises:
        RuntimeError: No thread can be started, for instance because the interpreter is shutting down.
    """

    def __init__(
        self, reactor: Reactor, host: str, port: int, done: Callable[[list[Endpoint] | OSError], None]
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._done: Callable[[list[Endpoint] | OSError], None] | None = done
        reactor._retain()
        try:
            _pool.add(self)
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Abandons the look-up: `done` will not be called."""
        if self._done is not None:
            self._done = None
            self._reactor._release()
            _pool.discard(self)

    def run(self) -> None:
        """Resolves the name in the calling thread, and passes the result to the reactor."""
        if not self._reactor.closed:
            result = _look_up(self._host, self._port)
            with suppress(RuntimeError):  # the reactor was closed meanwhile
                self._reactor.call_soon_threadsafe(self._deliver, result)

    def _deliver(self, result: list[Endpoint] | OSError) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._reactor._release()
            done(result)


def _look_up(host: str, port: int) -> list[Endpoint] | OSError:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except OSError as error:
        return no_descriptor() or error.with_traceback(None)
    except UnicodeError as error:
        return socket.gaierror(socket.EAI_NONAME, f"not a host name: {error}")
    except Exception as error:  # from a replacement of Python's own function
        return OSError(f"{type(error).__name__}: {error}")
    # The families that connect() supports; getaddrinfo returns each address once for this type.
    return [
        Endpoint(family, address)  # type: ignore[arg-type]
        for family, _, _, _, address in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


class _Pool:
    """The threads that resolve names: only as many as there is work for, at most 16; other look-ups wait in order.

    They are daemon threads, because a resolver that hangs must not keep the interpreter from ending. Under gevent's
    monkey patching they are greenlets, and wait like gevent's own resolver.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # reentrant, because a signal handler may connect, too
        self._waiting: OrderedDict[Lookup, None] = OrderedDict()
        self._threads: set[threading.Thread] = set()

    def add(self, lookup: Lookup) -> None:
        """Queues a look-up for the next free thread.

        Raises:
            RuntimeError: There is no thread, and none can be started.
        """
        with self._lock:
            self._waiting[lookup] = None
            try:
                self._add_thread()
            except RuntimeError:
                if not self._threads:
                    self.discard(lookup)
                    raise

    def discard(self, lookup: Lookup) -> None:
        """Drops a look-up that has not begun."""
        with self._lock:
            self._waiting.pop(lookup, None)

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="resolve names", daemon=True)
        try:
            self._threads.add(thread)
            if len(self._threads) <= MOST_THREADS:
                thread.start()
        finally:
            if not thread.is_alive():
                self._threads.discard(thread)

    def _work(self) -> None:
        try:
            while (lookup := self._next()) is not None:
                lookup.run()
        finally:
            self._leave()

    def _next(self) -> Lookup | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popitem(last=False)[0]
            self._leave()  # under the same lock as the check: a look-up added from here on starts another thread
            return None

    def _leave(self) -> None:
        with self._lock:
            self._threads.discard(threading.current_thread())


_pool = _Pool()


def _after_fork_in_child() -> None:
    global _pool
    _pool = _Pool()  # the threads exist only in the parent, and one of them may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
