"""The system as a poller needs it: epoll as a selector, wakers and alarms; without gevent's patches."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from time import monotonic
from typing import Any

from .. import unpatched
from ..unpatched import RLock, original

try:
    EPOLLIN, EPOLLOUT, epoll = (original("select", name) for name in ("EPOLLIN", "EPOLLOUT", "epoll"))
except ImportError:  # a system without it
    EPOLLIN, EPOLLOUT, epoll = 1, 4, None

LONGEST_WAIT = 1e6  # seconds; a system call's timeout is bounded

# Without events to read or write, epoll still reports that a connection broke.
_INTERESTS = [
    (EPOLLIN if events & EVENT_READ else 0) | (EPOLLOUT if events & EVENT_WRITE else 0) for events in range(16)
]

_SHORTAGES = (errno.ENOMEM, errno.ENOSPC)

# Errors and hanging up, which are reported unasked, count as both.
_READINESS = [
    (EVENT_READ if reported & ~EPOLLOUT else 0) | (EVENT_WRITE if reported & ~EPOLLIN else 0) for reported in range(32)
]


def close(fd: int) -> None:
    with suppress(OSError):  # it is closed in any case
        unpatched.close(fd)  # gevent's own closes it later


class EpollSelector(BaseSelector):
    """Like `selectors.EpollSelector`, at half of its cost for each ready descriptor.

    A descriptor that was closed without being unregistered is reported as long as another process has a duplicate, and
    cannot be unregistered any more: it has no key, and its registration is `stale` until all others are moved to a new
    epoll.
    """

    stale = False
    hears_hangups = True

    def __init__(self) -> None:
        self._epoll = epoll()
        self._keys: dict[int, SelectorKey] = {}
        self.fileno = self._epoll.fileno

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        self._epoll.register(fileobj, _INTERESTS[events])
        key = self._keys[fileobj] = SelectorKey(fileobj, fileobj, events, data)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        self._epoll.modify(fileobj, _INTERESTS[events])
        key = self._keys[fileobj] = SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        key = self._keys.pop(fileobj)
        self._epoll.unregister(fileobj)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        keys = self._keys
        reports = self._epoll.poll(timeout, len(keys) or 1)
        ready = [(keys[fd], _READINESS[reported]) for fd, reported in reports if fd in keys]
        if len(ready) < len(reports):
            self.stale = True
        return ready

    def rebuild(self) -> None:
        """Replaces the epoll by a new one, with the descriptors that have keys."""
        self.stale = False
        with epoll() as fresh:
            for key in self._keys.values():
                try:
                    fresh.register(key.fd, _INTERESTS[key.events])
                except OSError as error:  # that descriptor too was closed, or memory is short
                    if error.errno in _SHORTAGES:
                        raise
            os.dup2(fresh.fileno(), self._epoll.fileno(), inheritable=False)

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()

    def get_map(self) -> Mapping[Any, SelectorKey]:
        return self._keys


DefaultSelector: Any = EpollSelector if epoll is not None else original("selectors", "DefaultSelector")


class Waker:
    """A descriptor that any thread can make readable."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may poke while the thread that it interrupts is poking.
        self._lock = RLock()
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._fd = -1
        if hasattr(os, "eventfd"):
            self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self._ends = socket.socketpair()
            for end in self._ends:
                end.setblocking(False)
            self._fd = self._ends[0].fileno()

    def fileno(self) -> int:
        return self._fd

    def poke(self) -> None:
        with self._lock:
            if self._fd < 0:
                return
            with suppress(BlockingIOError):  # it is full, hence readable
                if self._ends is None:
                    os.eventfd_write(self._fd, 1)
                else:
                    self._ends[1].send(b"\0")

    def drain(self) -> None:
        with suppress(BlockingIOError):
            if self._ends is None:
                os.eventfd_read(self._fd)
            else:
                self._ends[0].recv(4096)

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            if self._ends is not None:
                self._ends[0].close()
                self._ends[1].close()
            elif fd >= 0:
                close(fd)

    def forked(self) -> None:
        self._lock = RLock()  # another thread of the parent may have held it
        self.close()


class ThreadAlarm:
    """Pokes a waker at a deadline, from a thread: for systems without timer descriptors."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def set(self, deadline: float | None) -> None:
        with self._changed:
            self._deadline = None if deadline is None else float(deadline)  # a wrong type fails here, not in the thread
            self._changed.notify()
            if self._thread is None and deadline is not None:
                thread = threading.Thread(target=self._run, name="serversocket-alarm", daemon=True)
                thread.start()  # which may fail
                self._thread = thread

    def _run(self) -> None:
        with self._changed:
            while not self._over:
                left = LONGEST_WAIT if self._deadline is None else self._deadline - monotonic()
                if left > 0:
                    self._changed.wait(min(left, LONGEST_WAIT))
                else:
                    self._deadline = None
                    self._waker.poke()

    def close(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
