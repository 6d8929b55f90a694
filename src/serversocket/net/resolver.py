"""Host names to addresses, off the loop."""

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
    """One address to connect to: the family and what `socket.connect` takes."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


class Lookup:
    """One name being looked up in a thread, or waiting for one. It may be given up, not stopped.

    Args:
        reactor: Where `done` is called.
        host: The name, in ASCII.
        port: The port that the endpoints get.
        done: Called from the reactor with the endpoints, in the system's order, or with the error: a `socket.gaierror`,
            or the system's own, for instance because no descriptor was left.

    Raises:
        RuntimeError: No thread can be started, for instance because the interpreter ends.
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
        """Gives it up: `done` is not called any more."""
        if self._done is not None:
            self._done = None
            self._reactor._release()
            _pool.discard(self)

    def run(self) -> None:
        """Looks the name up, in whichever thread this is, and has the reactor tell."""
        if not self._reactor.closed:
            result = _look_up(self._host, self._port)
            with suppress(RuntimeError):  # it was closed meanwhile
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
    except Exception as error:  # of what stands there in the place of Python's own
        return OSError(f"{type(error).__name__}: {error}")
    # The families that connect() can take; getaddrinfo names each address once for this type.
    return [
        Endpoint(family, address)  # type: ignore[arg-type]
        for family, _, _, _, address in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


class _Pool:
    """The threads that look names up: no more than there is to do, and never more than 16; the rest waits in order.

    They are daemons, because a resolver that hangs must not keep the interpreter from ending. Under gevent's monkey
    patching they are greenlets, and wait as gevent's own resolver does.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler that comes in between may connect, too
        self._waiting: OrderedDict[Lookup, None] = OrderedDict()
        self._threads: set[threading.Thread] = set()

    def add(self, lookup: Lookup) -> None:
        """Has a thread look the name up as soon as one is free.

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
        """Forgets a look-up that has not begun."""
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
            self._leave()  # in one step with the look: what is added from here on starts another thread
            return None

    def _leave(self) -> None:
        with self._lock:
            self._threads.discard(threading.current_thread())


_pool = _Pool()


def _after_fork_in_child() -> None:
    global _pool
    _pool = _Pool()  # the threads are the parent's, and one of them may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
