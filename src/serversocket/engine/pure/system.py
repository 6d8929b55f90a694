"""`select.epoll` as a selector, where the system has it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any

from ..unpatched import original

EPOLLIN, EPOLLOUT, epoll = (original("select", name) for name in ("EPOLLIN", "EPOLLOUT", "epoll"))

# Of nothing that a source reads or writes, epoll tells that it broke.
_INTERESTS = [
    (EPOLLIN if events & EVENT_READ else 0) | (EPOLLOUT if events & EVENT_WRITE else 0) for events in range(16)
]

_SHORTAGES = (errno.ENOMEM, errno.ENOSPC)

# Errors and hanging up, which are reported unasked, count as both.
_READINESS = [
    (EVENT_READ if reported & ~EPOLLOUT else 0) | (EVENT_WRITE if reported & ~EPOLLIN else 0) for reported in range(32)
]


class EpollSelector(BaseSelector):
    """`selectors.EpollSelector`, at half of its cost for each descriptor that is ready.

    A descriptor that was closed without having been unregistered is reported for as long as another process has a
    duplicate, and nobody can take it out any more: it has no key, and the selector is `haunted` until it is rebuilt.
    """

    haunted = False
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
            self.haunted = True
        return ready

    def rebuild(self) -> None:
        """Puts a new epoll, with the descriptors that have keys, in the place of this one."""
        self.haunted = False
        with epoll() as fresh:
            for key in self._keys.values():
                try:
                    fresh.register(key.fd, _INTERESTS[key.events])
                except OSError as error:  # that one too was closed, or memory is short
                    if error.errno in _SHORTAGES:
                        raise
            os.dup2(fresh.fileno(), self._epoll.fileno(), inheritable=False)

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()

    def get_map(self) -> Mapping[Any, SelectorKey]:
        return self._keys
