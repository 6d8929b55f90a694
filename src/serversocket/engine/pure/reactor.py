"""The reactor: waits for the system, and runs the turn."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ... import errors
from ...checks import as_limit, as_timeout
from ...defaults import REACTOR_LIMIT
from .. import unpatched
from ..uncaught import leaves
from ..unpatched import RLock, get_ident, original
from .dispatcher import EventDispatcher, dispatching, report_error

try:
    from .system import EpollSelector as DefaultSelector
except ImportError:  # a system without it
    DefaultSelector = original("selectors", "DefaultSelector")  # type: ignore[misc]

if TYPE_CHECKING:
    from typing import Self, SupportsIndex

    from .output import Output
    from .source import Source

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
RESTING = 4  # it waits for nothing, but is open; the selector does not know it
HANGUP = 8  # it waits for the connection to break; as RESTING where the selector cannot
READ_SIZE = 65536  # larger buffers cost an mmap each time they are allocated
LONGEST_WAIT = 1e6  # seconds; what a system call takes as a timeout is bounded

#: What waits for readiness; a test may put another one here.
Selector: Callable[[], selectors.BaseSelector] = DefaultSelector


def _close(fd: int) -> None:
    with suppress(OSError):  # it is closed in any case
        unpatched.close(fd)  # gevent's does it later


class Cancellable(Protocol):
    """What is under way, such as a timer or an attempt to connect."""

    def cancel(self) -> None: ...


class Slot:
    """One descriptor's entry, for as long as it has this owner.

    The selector hands the slot out with the readiness. So what was reported for an earlier owner of the number finds a
    slot that is over (`fd` is -1), however often the number was used since.
    """

    __slots__ = ("events", "fd", "identity", "owner", "reference")

    def __init__(self, source: Source, fd: int) -> None:
        self.fd = fd
        self.events = 0  # what the selector watches for; 0: it does not know the descriptor
        self.identity: tuple[int, int] | None = None  # while the selector does not know it: what the descriptor is
        self.owner: Source | None = None  # set: the reactor keeps the source alive
        self.reference = weakref.ref(source)

    @property
    def source(self) -> Source | None:
        return self.reference() if self.owner is None else self.owner


class Waker:
    """A descriptor that any thread can make readable."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may poke while its own thread is poking.
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
                _close(fd)

    def forked(self) -> None:
        self._lock = RLock()  # another thread of the parent may have held it
        self.close()


class ThreadAlarm:
    """Pokes a waker at a deadline, from a thread: for systems without a descriptor that is a timer."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def set(self, deadline: float | None) -> None:
        with self._changed:
            self._deadline = deadline
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


class Reactor(EventDispatcher):
    """Waits for the system and delivers events. The public class is `serversocket.Reactor`."""

    if TYPE_CHECKING:

        def call_later(self, seconds: float, callback: Callable[[], object]) -> Any: ...
        def _run_timers(self) -> int: ...
        def _moved(self) -> None: ...
        def _run_calls(self) -> int: ...
        @property
        def _has_scheduled(self) -> bool: ...

    _thread_: int
    _thread_name_: str
    _slots_: dict[int, Slot]
    _dirty_: deque[Output]  # with output that nobody has tried to send yet
    _wakeups_: set[int]  # descriptors of others that only wake
    _postponed_: deque[Callable[[], object]]  # to be called in the last step of the turn
    _waker_: Waker
    _selector_: selectors.BaseSelector | None = None
    _known_ = READ | WRITE  # of what sources wait for, what the selector can be told
    _alarm_: ThreadAlarm | None = None
    _spare_ = -1
    _deadline_: float | None = None
    _watched_ = 0
    _kept_ = 0  # bytes of unread input and unsent output, by all connections
    _limit_ = REACTOR_LIMIT  # of it
    _finished_: weakref.WeakValueDictionary[int, Source]  # by id: without a slot, but with input to be read
    _retained_ = 0
    _in_turn_ = False
    _in_run_ = False
    _stopping_ = False
    _woken_ = False
    _dead_ = False

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._thread_ = get_ident()
        self._thread_name_ = threading.current_thread().name
        self._slots_ = {}
        self._dirty_ = deque()
        self._wakeups_ = set()
        self._postponed_ = deque()
        self._finished_ = weakref.WeakValueDictionary()
        selector = Selector()
        self._waker_ = Waker()
        self._selector_ = selector  # from here on there is something to close
        if getattr(selector, "hears_hangups", False):
            self._known_ |= HANGUP
        selector.register(self._waker_.fileno(), READ, self._waker_)
        self._open_spare_()
        return self

    def __del__(self) -> None:
        # At the end of the interpreter the alarm's thread is frozen, perhaps while it holds a lock.
        if not sys.is_finalizing():
            self._close_descriptors_()

    def _close_descriptors_(self) -> None:
        selector, self._selector_ = self._selector_, None
        if selector is None:
            return
        if self._alarm_ is not None:
            self._alarm_.close()
        self._waker_.close()
        with suppress(OSError):  # somebody closed it behind the reactor's back, which Python tells from 3.15 on
            selector.close()
        self._close_spare_()

    # ---- whose it is

    def _check_(self) -> None:
        if get_ident() != self._thread_:
            self._refuse_()

    def _serves_(self) -> bool:
        """Whether it is open, and this thread's."""
        return self._selector_ is not None and get_ident() == self._thread_ and not sys.is_finalizing()

    def _check_thread(self) -> None:
        self._check_()

    def _refuse_(self) -> None:
        if self._dead_:
            raise RuntimeError("this reactor belongs to the parent process; a forked child needs one of its own")
        raise RuntimeError(
            f"this object belongs to thread {self._thread_name_!r}, called from {threading.current_thread().name!r}"
        )

    def _open_selector_(self) -> selectors.BaseSelector:
        self._check_()
        if self._selector_ is None:
            raise RuntimeError("the reactor is closed")
        return self._selector_

    # ---- slots

    def _enroll_(self, source: Source, fd: int) -> Slot:
        self._open_selector_()
        stale = self._slots_.get(fd)
        if stale is not None:
            loser = stale.source
            if loser is not None:
                loser._lost_()
        slot = self._slots_[fd] = Slot(source, fd)
        return slot

    def _watch_(self, slot: Slot, events: int) -> None:
        """Changes what a descriptor is watched for; 0: nothing, and it is as good as closed."""
        if events == slot.events:
            return
        selector = self._open_selector_()
        before, after = slot.events & self._known_, events & self._known_
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
        self._watched_ += bool(events) - bool(slot.events)
        slot.events = events

    def _withdraw_(self, slot: Slot) -> bool:
        """Ends the registration: before the descriptor is closed, for a duplicate would keep it in the selector.

        Returns whether the descriptor is still the source's. Where the selector does not know the number, somebody has
        closed it behind the source's back, and it may be anybody's by now.
        """
        fd, slot.fd, slot.owner = slot.fd, -1, None
        if self._slots_.get(fd) is slot:
            del self._slots_[fd]
        if slot.events:
            known, slot.events = slot.events & self._known_, 0
            self._watched_ -= 1
            if known and self._selector_ is not None and not self._dead_:
                try:
                    self._selector_.unregister(fd)
                except OSError as error:
                    return error.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM)
                except KeyError:  # a change of the registration has failed for the same reason
                    return False
            elif _exchanged(slot, fd):
                return False
        if get_ident() != self._thread_ and not self._dead_:
            self._wake()  # collected by another thread: it may have been all that `run` waits for
        return True

    # ---- what is kept for the program

    @property
    def buffer_limit(self) -> int:
        """The most bytes of unread input and unsent output that all connections together may keep; 1 GiB at first.

        Where more would be kept, the connection that keeps most is broken: its ``ioError`` has ``errno.ENOBUFS``,
        and what it has kept is dropped. If that is the one being written to, or all others could not make room enough,
        `Socket.write` raises. Unread input of a socket whose peer has gone is dropped without an event: it is closed,
        and reading it raises.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).
        """
        return self._limit_

    @buffer_limit.setter
    def buffer_limit(self, value: SupportsIndex) -> None:
        self._check_()
        self._limit_ = as_limit("buffer_limit", value)

    @property
    def bytes_kept(self) -> int:
        """How many bytes of unread input and unsent output all connections keep together.

        Output counts until the whole of what was given to one `Socket.write` is sent, for until then it is in memory.
        """
        return self._kept_

    def _relieve_(self, asking: Source, more: int) -> bool:
        """Breaks the connections that keep most until there is room for `more` bytes; whether there is."""
        if asking._counted_ + more > self._limit_:
            return False  # all others together could not make enough
        while self._kept_ + more > self._limit_:
            open_ = filter(None, map(_source, self._slots_.values()))
            fullest = max([*open_, *self._finished_.values()], key=_counted, default=None)
            if fullest is None or fullest is asking or not fullest._counted_:
                return False
            fullest._overrun_()
        return True

    def _end_idle(self) -> bool:
        """Breaks the connections that were idle for too long; whether others may still become so."""
        now = monotonic()
        limited = [source._idle_too_long_(now) for source in map(_source, self._slots_.values()) if source is not None]
        return any(limited)

    # ---- running

    @property
    def closed(self) -> bool:
        """Whether the reactor was closed."""
        return self._selector_ is None

    @property
    def running(self) -> bool:
        """Whether `run` is under way."""
        return self._in_run_

    def run(self) -> None:
        """Delivers events until `stop` is called or nothing is left open.

        Raises:
            RuntimeError: The reactor is closed, is running already, or belongs to another thread.
        """
        self._open_selector_()
        self._refuse_nesting_()
        self._in_run_ = True
        try:
            self._take_turns_()
        finally:
            self._in_run_ = self._stopping_ = False

    def _take_turns_(self) -> None:
        while not self._stopping_:
            if self._dirty_:
                self._send_dirty_()  # it may be all that is left
            if not self._anything_left_():
                break
            self._turn_(None)

    def poll(self, timeout: float | None = None) -> int:
        """Delivers what is ready, once.

        Args:
            timeout: Seconds to wait for something to be ready; ``None`` waits without end, 0 not at all.

        Returns:
            How many things were handled: ready descriptors, timers, calls from other threads, postponed events.

        Raises:
            TypeError: `timeout` is not a number.
            ValueError: `timeout` is negative or not a number of seconds.
            RuntimeError: The reactor is closed, is in a turn already, or belongs to another thread.
        """
        seconds = None if timeout is None else as_timeout("timeout", timeout)
        self._open_selector_()
        self._refuse_nesting_()
        return self._turn_(seconds)

    def _refuse_nesting_(self) -> None:
        if self._in_turn_ or self._in_run_:
            raise RuntimeError("the reactor is running already; it cannot be run from inside a listener")

    def _anything_left_(self) -> bool:
        return bool(self._watched_ or self._retained_ or self._dirty_ or self._postponed_ or self._has_scheduled)

    def _is_idle(self) -> bool:
        return not self._anything_left_()

    def stop(self) -> None:
        """Makes `run` return after the present turn; from any thread. Called before `run`, it ends the next one."""
        self._stopping_ = True
        self._wake()

    def fileno(self) -> int:
        """A descriptor that is readable whenever ``poll(0)`` has work, so that another loop can host this reactor.

        Raises:
            IOError: The system's selector has no descriptor (#2002).
            RuntimeError: The reactor is closed or belongs to another thread.
        """
        selector = self._open_selector_()
        fileno: Callable[[], int] | None = getattr(selector, "fileno", None)
        if fileno is None:
            raise errors.invalid_socket("fileno", f"{type(selector).__name__} has no descriptor of its own", None)
        if self._alarm_ is None:
            self._alarm_ = ThreadAlarm(self._waker_)
            self._alarm_.set(self._deadline_)
            self._show_work_()
        return fileno()

    def _refuse_close(self) -> None:
        self._check_()
        if self._in_turn_ or self._in_run_:
            raise RuntimeError("the reactor is running; stop() it before close()")

    def close(self) -> None:
        """Closes the reactor and, without events, everything that belongs to it. A second call does nothing.

        Connections whose output the system has not taken completely are reset, so that no peer takes a part for the
        whole; so are those that were closed before and still send.

        Raises:
            RuntimeError: A listener of this reactor is running, or another thread owns it.
        """
        if self._selector_ is None:
            return
        self._refuse_close()
        self._send_dirty_()
        for slot in list(self._slots_.values()):
            source = slot.source
            if source is not None:
                source._close_here_()
        self._forget_work_()
        self._close_descriptors_()

    def _forked(self) -> None:
        """In a forked child: lets go of everything without touching what the parent still uses."""
        self._dead_ = True
        self._thread_ = 0  # nobody's
        self._in_turn_ = self._in_run_ = False
        self._waker_.forked()
        self._alarm_ = None  # its thread has stayed in the parent
        for slot in list(self._slots_.values()):
            source = slot.source
            if source is not None:
                source._discard_()
        self._forget_work_()
        self._close_descriptors_()

    def _forget_work_(self) -> None:
        self._dirty_.clear()
        self._postponed_.clear()

    def _wake(self) -> None:
        self._waker_.poke()

    def _add_wakeup(self, fd: int) -> None:
        self._open_selector_().register(fd, READ, None)
        self._wakeups_.add(fd)

    def _remove_wakeup(self, fd: int) -> None:
        if self._selector_ is not None:
            self._selector_.unregister(fd)
            self._wakeups_.remove(fd)

    def _retain(self) -> None:
        self._retained_ += 1

    def _release(self) -> None:
        self._retained_ -= 1

    def _set_deadline(self, when: float | None) -> None:
        self._deadline_ = when
        if self._alarm_ is not None:
            self._alarm_.set(when)
            self._show_work_()  # the alarm's thread would tell of what is due only when it comes to run

    def _postpone_(self, call: Callable[[], object]) -> None:
        """Has something called in the last step of the turn."""
        self._postponed_.append(call)
        self._show_work_()

    def _show_work_(self) -> None:
        """Makes a hosted reactor's descriptor readable while something waits that the selector does not know of."""
        if self._alarm_ is None or self._in_turn_:
            return
        overdue = self._deadline_ is not None and self._deadline_ <= monotonic()
        if self._dirty_ or self._postponed_ or self._woken_ or overdue:
            self._waker_.poke()

    # ---- the spare descriptor, given up for a moment to tell waiting clients when descriptors run out

    def _open_spare_(self) -> None:
        if self._spare_ < 0:
            with suppress(OSError):  # then there is none, and clients wait instead of being told
                self._spare_ = os.open(os.devnull, os.O_RDONLY)

    def _close_spare_(self) -> None:
        spare, self._spare_ = self._spare_, -1
        if spare >= 0:
            _close(spare)

    # ---- the turn

    def _turn_(self, timeout: float | None) -> int:
        handled = 0
        self._in_turn_ = True
        try:
            if self._dirty_:
                self._send_dirty_()
            with dispatching:
                for key, events in self._wait_(0 if self._postponed_ or self._woken_ else timeout):
                    slot = key.data
                    if slot.__class__ is not Slot:
                        self._drain_(key)
                        continue
                    source = slot.owner
                    if source is None:
                        source = slot.reference()
                        if slot.fd < 0 or source is None:
                            continue
                    handled += 1
                    try:
                        source._ready_(events)
                    except BaseException as error:
                        if leaves(error):
                            raise
                        report_error(error, source)
                    del source
            if self._deadline_ is not None and self._deadline_ <= monotonic():
                handled += self._run_timers()
            if self._woken_:
                handled += self._run_calls()
                self._woken_ = False  # last: what an interrupt leaves undone is looked for again
            if self._dirty_:
                self._send_dirty_()
            # Taken one by one: what a listener's KeyboardInterrupt leaves undone stays for the next turn. And what one
            # postpones does, so they are counted; but a child that a listener has forked has nothing to do any more.
            with dispatching:
                for _ in range(len(self._postponed_)):
                    if not self._postponed_:
                        break
                    handled += 1
                    call = self._postponed_.popleft()
                    try:
                        call()
                    except BaseException as error:
                        if leaves(error):
                            self._postponed_.appendleft(call)  # it may have more to attend to
                            raise
                        report_error(error, self)
                    del call  # it may be what keeps a stream alive
        finally:
            self._in_turn_ = False
            self._show_work_()
        return handled

    def _wait_(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        assert self._selector_ is not None
        if self._deadline_ is not None and timeout != 0:
            left = max(self._deadline_ - monotonic(), 0)
            timeout = left if timeout is None else min(left, timeout)
        ready = self._selector_.select(timeout if timeout is None else min(timeout, LONGEST_WAIT))
        if getattr(self._selector_, "haunted", False):
            self._rebuild_(self._selector_)
        return ready

    def _rebuild_(self, selector: Any) -> None:
        with suppress(OSError):  # no descriptor is left: the next turn tries again
            selector.rebuild()
            self._moved()

    def _drain_(self, key: selectors.SelectorKey) -> None:
        if key.data is not None:
            key.data.drain()
        elif key.fd in self._wakeups_:
            with suppress(BlockingIOError, InterruptedError):  # of another one that got the number meanwhile
                os.read(key.fd, 4096)
        else:
            return  # removed since the wait: the number may be anybody's by now
        self._woken_ = True

    def _send_unsent(self) -> None:
        """Hands to the system what it takes of all output: what it refuses resets its connection when it is closed."""
        if self._serves_():
            self._send_dirty_()

    def _send_dirty_(self) -> None:
        dirty = self._dirty_
        for _ in range(len(dirty)):
            dirty.popleft()._send_written_()


def _identity(fd: int) -> tuple[int, int] | None:
    """What a descriptor is, whatever its number; None where the system does not tell."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _exchanged(slot: Slot, fd: int | None = None) -> bool:
    """Returns True if somebody has closed a descriptor behind its source's back while the selector did not know it."""
    return slot.identity is not None and _identity(slot.fd if fd is None else fd) != slot.identity


def _source(slot: Slot) -> Source | None:
    return slot.source


def _counted(source: Source) -> int:
    return source._counted_
