"""The poller: the selector, the table of watched sources, and the ways to end a wait."""

from __future__ import annotations

import errno
import os
import selectors
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from ... import errors
from .system import LONGEST_WAIT, DefaultSelector, ThreadAlarm, Waker

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
RESTING = 4  # paused: it waits for nothing, but is open; the selector does not know it
HANGUP = 8  # it waits for the connection to break, or for nothing where the selector cannot

#: The selector that waits for readiness; a test may put another one here.
Selector: Callable[[], selectors.BaseSelector] = DefaultSelector


class Watched(Protocol):
    """What a poller and a reactor need of a source."""

    _counted_: int

    def _ready_(self, events: int) -> None: ...
    def _lost_(self) -> None: ...
    def _close_here_(self) -> None: ...
    def _discard_(self) -> None: ...
    def _idle_too_long_(self, now: float) -> bool: ...


class Slot:
    """A descriptor's entry, for as long as the descriptor has this owner.

    The selector returns the slot with the readiness. So readiness of an earlier owner of the number finds a slot that
    has ended (`fd` is -1), however often the number was reused since.
    """

    __slots__ = ("events", "fd", "identity", "owner", "reference")

    def __init__(self, source: Watched, fd: int) -> None:
        self.fd = fd
        self.events = 0  # what the selector watches for; 0: it does not know the descriptor
        self.identity: tuple[int, int] | None = None  # of its open file, while not in the selector
        self.owner: Watched | None = None  # set: the reactor keeps the source alive
        self.reference = weakref.ref(source)

    @property
    def source(self) -> Watched | None:
        return self.reference() if self.owner is None else self.owner


class Poller:
    """Waits for the system, and knows the owners of the descriptors.

    The owner of a slot is held weakly, or also strongly (`Slot.owner`). No method calls a listener. A poller belongs to
    one reactor and is used from the reactor's thread only, except for `rouse`, which any thread may call.
    """

    __slots__ = ("alarm", "known", "selector", "slots", "stale", "waker", "wakeups", "watched", "woken")

    def __init__(self) -> None:
        self.selector: selectors.BaseSelector | None = None  # None: closed
        self.alarm: ThreadAlarm | None = None  # once a host polls
        self.slots: dict[int, Slot] = {}
        self.watched = 0  # sources that wait for something
        self.wakeups: set[int] = set()  # descriptors without a source, which only wake
        self.woken = False  # one of them was readable; the reactor clears this when it has looked for calls
        self.stale = False  # the selector reports a stale registration: see `rebuild`
        selector = Selector()
        self.waker = Waker()
        self.selector = selector  # from here on `close` has something to do
        #: The events that sources wait for and the selector supports.
        self.known = READ | WRITE | (HANGUP if getattr(selector, "hears_hangups", False) else 0)
        selector.register(self.waker.fileno(), READ, self.waker)

    def __del__(self) -> None:
        # At the end of the interpreter the alarm's thread is frozen, perhaps while it holds a lock.
        if not sys.is_finalizing():
            self.close()

    def close(self) -> None:
        selector, self.selector = self.selector, None
        if selector is None:
            return
        if self.alarm is not None:
            self.alarm.close()
        self.waker.close()
        with suppress(OSError):  # other code has closed it, which Python reports from 3.15 on
            selector.close()

    def forked(self) -> None:
        """Does the same as `close` in a forked child, without touching what the parent still uses."""
        self.waker.forked()
        self.alarm = None  # its thread has stayed in the parent
        self.close()

    def check_open(self) -> selectors.BaseSelector:
        if self.selector is None:
            raise RuntimeError("the reactor is closed")
        return self.selector

    # ---- slots

    def enroll(self, source: Watched, fd: int) -> Slot:
        """Gives a source its slot."""
        self.check_open()
        before = self.slots.get(fd)
        if before is not None:
            loser = before.source
            if loser is not None:
                loser._lost_()
        slot = self.slots[fd] = Slot(source, fd)
        return slot

    def watch(self, slot: Slot, events: int) -> None:
        """Changes the events that a descriptor is watched for; 0: none, as if it were closed."""
        if events == slot.events:
            return
        selector = self.check_open()
        before, after = slot.events & self.known, events & self.known
        if not before:
            if after:
                if _exchanged(slot):
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                selector.register(slot.fd, after, slot)
        elif not after:
            selector.unregister(slot.fd)
        elif after != before:
            selector.modify(slot.fd, after, slot)
        slot.identity = None if after or not events else _identity(slot.fd)
        self.watched += bool(events) - bool(slot.events)
        slot.events = events

    def withdraw(self, slot: Slot) -> bool:
        """Ends the registration: before the descriptor is closed, for a duplicate would keep it in the selector.

        Returns True if the descriptor still belongs to the source. If the selector does not know the number, other code
        has closed it, and it may have another owner by now.
        """
        fd, slot.fd, slot.owner = slot.fd, -1, None
        if self.slots.get(fd) is slot:
            del self.slots[fd]
        if slot.events:
            known, slot.events = slot.events & self.known, 0
            self.watched -= 1
            if known and self.selector is not None:
                try:
                    self.selector.unregister(fd)
                except OSError as error:
                    return error.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM)
                except KeyError:  # a change of the registration has failed for the same reason
                    return False
            elif _exchanged(slot, fd):
                return False
        return True

    # ---- the wait

    def wait(self, timeout: float | None, deadline: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Waits for `timeout` seconds, or until a deadline; returns what is ready."""
        selector = self.selector
        assert selector is not None
        if deadline is not None and timeout != 0:
            left = max(deadline - monotonic(), 0)
            timeout = left if timeout is None else min(left, timeout)
        ready = selector.select(timeout if timeout is None else min(timeout, LONGEST_WAIT))
        self.stale = getattr(selector, "stale", False)
        return ready

    def rebuild(self) -> bool:
        """Moves to a new epoll, without stale registrations; returns False if the next turn has to do it."""
        selector: Any = self.selector
        self.stale = False
        if selector is None:
            return False
        try:
            selector.rebuild()
        except OSError:  # no descriptor is left
            return False
        return True

    # ---- other ways to end a wait

    def add_wakeup(self, fd: int) -> None:
        """Adds a descriptor without a source, which ends the wait when it is readable, and is drained."""
        self.check_open().register(fd, READ, None)
        self.wakeups.add(fd)

    def remove_wakeup(self, fd: int) -> None:
        if self.selector is not None:
            self.selector.unregister(fd)
            self.wakeups.remove(fd)

    def drain(self, key: selectors.SelectorKey) -> None:
        if self.selector is None:
            return  # in a child that a listener has forked
        if key.data is not None:
            key.data.drain()
        elif key.fd in self.wakeups:
            with suppress(BlockingIOError, InterruptedError):  # another descriptor may have got the number meanwhile
                os.read(key.fd, 4096)
        else:
            return  # removed since the wait: the number may have another owner by now
        self.woken = True

    def rouse(self) -> None:
        """Ends the wait, or the next one; may be called from any thread."""
        self.waker.poke()

    def fileno(self) -> int:
        """Returns the selector's own descriptor, for a host that polls it.

        Raises:
            IOError: It has none (#2002).
        """
        selector = self.check_open()
        fileno: Callable[[], int] | None = getattr(selector, "fileno", None)
        if fileno is None:
            raise errors.invalid_socket("fileno", f"{type(selector).__name__} has no descriptor of its own", None)
        return fileno()

    def open_alarm(self) -> None:
        """Makes that descriptor become readable at a deadline too."""
        self.alarm = ThreadAlarm(self.waker)

    def set_alarm(self, deadline: float | None) -> None:
        """Sets the alarm, if there is one."""
        if self.alarm is not None:
            self.alarm.set(deadline)


def _identity(fd: int) -> tuple[int, int] | None:
    """Returns the identity of the open file behind a descriptor; None where the system does not tell."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _exchanged(slot: Slot, fd: int | None = None) -> bool:
    """Returns True if other code has closed a source's descriptor while the selector did not know it."""
    return slot.identity is not None and _identity(slot.fd if fd is None else fd) != slot.identity
