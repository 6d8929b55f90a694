"""The reactor: its thread, its turn, and the data that connections keep."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ...checks import as_timeout
from ...defaults import REACTOR_LIMIT
from ..uncaught import leaves
from ..unpatched import get_ident
from .dispatcher import EventDispatcher, dispatching, report_error
from .poller import Poller, Slot, Watched
from .system import close

if TYPE_CHECKING:
    from typing import Self

READ_SIZE = 65536  # larger buffers cost an mmap each time they are allocated


class Cancellable(Protocol):
    """Something under way, such as a timer or an attempt to connect."""

    def cancel(self) -> None: ...


class Unsent(Watched, Protocol):
    """What a reactor needs of a source that has output."""

    def _send_written_(self) -> None: ...


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
    _poller_: Poller
    _dirty_: deque[Unsent]  # with output, before the first attempt to send it
    _postponed_: deque[Callable[[], object]]  # to be called in the last step of the turn
    _spare_ = -1
    _deadline_: float | None = None
    _kept_ = 0  # bytes of unread input and unsent output, by all connections
    _limit_ = REACTOR_LIMIT  # the most bytes that all connections may keep
    _finished_: weakref.WeakValueDictionary[int, Watched]  # by id: without a slot, but with input to be read
    _retained_ = 0
    _in_turn_ = False
    _in_run_ = False
    _stopping_ = False
    _dead_ = False

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._thread_ = get_ident()
        self._thread_name_ = threading.current_thread().name
        self._dirty_ = deque()
        self._postponed_ = deque()
        self._finished_ = weakref.WeakValueDictionary()
        self._poller_ = Poller()
        self._open_spare_()
        return self

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._close_spare_()

    # ---- the thread that owns it

    def _check_(self) -> None:
        if get_ident() != self._thread_:
            self._refuse_()

    def _serves_(self) -> bool:
        """Returns True if it is open and belongs to this thread."""
        return self._poller_.selector is not None and get_ident() == self._thread_ and not sys.is_finalizing()

    def _check_thread(self) -> None:
        self._check_()

    def _refuse_(self) -> None:
        if self._dead_:
            raise RuntimeError("this reactor belongs to the parent process; a forked child needs one of its own")
        raise RuntimeError(
            f"this object belongs to thread {self._thread_name_!r}, called from {threading.current_thread().name!r}"
        )

    def _check_open_(self) -> None:
        self._check_()
        self._poller_.check_open()

    # ---- watched sources

    def _withdraw_(self, slot: Slot) -> bool:
        """Ends a registration; returns True if the descriptor is still the source's."""
        owned = self._poller_.withdraw(slot)
        if get_ident() != self._thread_ and not self._dead_:
            self._poller_.rouse()  # collected in another thread: `run` may have waited for nothing else
        return owned

    # ---- data kept for the program

    @property
    def _buffer_limit(self) -> int:
        """The most bytes that all connections together may keep."""
        return self._limit_

    @_buffer_limit.setter
    def _buffer_limit(self, value: int) -> None:
        self._limit_ = value

    @property
    def bytes_kept(self) -> int:
        """How many bytes of unread input and unsent output all connections keep together.

        The data of one `Socket.write` counts until all of it is sent, as it stays in memory until then.
        """
        return self._kept_

    def _fullest(self) -> Any:
        """Returns the connection that keeps the most data; None if there is none."""
        open_ = (source for slot in self._poller_.slots.values() if (source := slot.source) is not None)
        return max([*open_, *self._finished_.values()], key=_counted, default=None)

    def _end_idle(self) -> bool:
        """Breaks the connections that were idle for too long; returns True if others may still become so."""
        now = monotonic()
        sources = map(_source, self._poller_.slots.values())
        limited = [source._idle_too_long_(now) for source in sources if source is not None]
        return any(limited)

    # ---- running

    @property
    def closed(self) -> bool:
        """True if the reactor was closed."""
        return self._poller_.selector is None

    @property
    def running(self) -> bool:
        """True while `run` is under way."""
        return self._in_run_

    def run(self) -> None:
        """Delivers events until `stop` is called or nothing is left open.

        Raises:
            RuntimeError: The reactor is closed, is running already, or belongs to another thread.
        """
        self._check_open_()
        self._refuse_nesting_()
        self._in_run_ = True
        try:
            self._take_turns_()
        finally:
            self._in_run_ = self._stopping_ = False

    def _take_turns_(self) -> None:
        while not self._stopping_:
            if self._dirty_:
                self._send_dirty_()  # nothing else may be left
            if not self._anything_left_():
                break
            self._turn_(None)

    def poll(self, timeout: float | None = None) -> int:
        """Runs one turn: waits, and delivers the events that are ready.

        Args:
            timeout: Seconds to wait for something to be ready; ``None`` waits without a limit, 0 does not wait.

        Returns:
            How many things were handled: ready descriptors, timers, calls from other threads, postponed events.

        Raises:
            TypeError: `timeout` is not a number.
            ValueError: `timeout` is negative or not a number of seconds.
            RuntimeError: The reactor is closed, is in a turn already, or belongs to another thread.
        """
        seconds = None if timeout is None else as_timeout("timeout", timeout)
        self._check_open_()
        self._refuse_nesting_()
        return self._turn_(seconds)

    def _refuse_nesting_(self) -> None:
        if self._in_turn_ or self._in_run_:
            raise RuntimeError("the reactor is running already; it cannot be run from inside a listener")

    def _anything_left_(self) -> bool:
        return bool(self._poller_.watched or self._retained_ or self._dirty_ or self._postponed_ or self._has_scheduled)

    def _is_idle(self) -> bool:
        return not self._anything_left_()

    def stop(self) -> None:
        """Makes `run` return after the current turn, or the next `run` if none is under way; from any thread."""
        self._stopping_ = True
        self._wake()

    def fileno(self) -> int:
        """Returns a descriptor that is readable while ``poll(0)`` has work, so that another loop can host this reactor.

        Raises:
            IOError: The system's selector has no descriptor (#2002).
            RuntimeError: The reactor is closed or belongs to another thread.
        """
        self._check_open_()
        poller = self._poller_
        fd = poller.fileno()
        if poller.alarm is None:
            poller.open_alarm()
            poller.set_alarm(self._deadline_)
            self._show_work_()
        return fd

    def _refuse_close(self) -> None:
        self._check_()
        if self._in_turn_ or self._in_run_:
            raise RuntimeError("the reactor is running; stop() it before close()")

    def close(self) -> None:
        """Closes the reactor and, without events, everything that belongs to it. A second call does nothing.

        Connections whose output the system has not taken completely are reset, so that no peer takes a truncated stream
        for a complete one; so are those that were closed before and still send.

        Raises:
            RuntimeError: A listener of this reactor is running, or the reactor belongs to another thread.
        """
        if self._poller_.selector is None:
            return
        self._refuse_close()
        self._send_dirty_()
        for slot in list(self._poller_.slots.values()):
            source = slot.source
            if source is not None:
                source._close_here_()
        self._forget_work_()
        self._poller_.close()
        self._close_spare_()

    def _forked(self) -> None:
        """Releases everything in a forked child, without touching what the parent still uses."""
        self._dead_ = True
        self._thread_ = 0  # no thread's
        self._in_turn_ = self._in_run_ = False
        self._poller_.forked()  # first, so that nothing is taken out of the parent's epoll
        for slot in list(self._poller_.slots.values()):
            source = slot.source
            if source is not None:
                source._discard_()
        self._forget_work_()
        self._close_spare_()

    def _forget_work_(self) -> None:
        self._dirty_.clear()
        self._postponed_.clear()

    def _wake(self) -> None:
        self._poller_.rouse()

    def _add_wakeup(self, fd: int) -> None:
        self._check_open_()
        self._poller_.add_wakeup(fd)

    def _remove_wakeup(self, fd: int) -> None:
        self._poller_.remove_wakeup(fd)

    def _retain(self) -> None:
        self._retained_ += 1

    def _release(self) -> None:
        self._retained_ -= 1

    def _set_deadline(self, when: float | None) -> None:
        self._deadline_ = when
        if self._poller_.alarm is not None:
            self._poller_.set_alarm(when)
            self._show_work_()  # due already; the alarm's thread would report it later

    def _postpone_(self, call: Callable[[], object]) -> None:
        """Calls `call` in the last step of the turn."""
        self._postponed_.append(call)
        self._show_work_()

    def _show_work_(self) -> None:
        """Makes a hosted reactor's descriptor readable while there is work that the selector does not know of."""
        poller = self._poller_
        if poller.alarm is None or self._in_turn_:
            return
        overdue = self._deadline_ is not None and self._deadline_ <= monotonic()
        if self._dirty_ or self._postponed_ or poller.woken or overdue:
            poller.rouse()

    # ---- the spare descriptor, closed for a moment to turn waiting clients away when descriptors run out

    def _open_spare_(self) -> None:
        if self._spare_ < 0:
            with suppress(OSError):  # then there is none, and clients wait instead of being turned away
                self._spare_ = os.open(os.devnull, os.O_RDONLY)

    def _close_spare_(self) -> None:
        spare, self._spare_ = self._spare_, -1
        if spare >= 0:
            close(spare)

    # ---- the turn

    def _turn_(self, timeout: float | None) -> int:
        handled = 0
        poller = self._poller_
        self._in_turn_ = True
        try:
            if self._dirty_:
                self._send_dirty_()
            with dispatching:
                for key, events in poller.wait(0 if self._postponed_ or poller.woken else timeout, self._deadline_):
                    slot = key.data
                    if slot.__class__ is not Slot:
                        poller.drain(key)
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
            if poller.stale and poller.rebuild():
                self._moved()
            if self._deadline_ is not None and self._deadline_ <= monotonic():
                handled += self._run_timers()
            if poller.woken:
                handled += self._run_calls()
                poller.woken = False  # last: an interrupt before this has the next turn look again
            if self._dirty_:
                self._send_dirty_()
            # Taken one by one: calls that a listener's KeyboardInterrupt leaves undone stay for the next turn. So do
            # calls that are postponed here, hence the count; but a child that a listener has forked has none left.
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
                    del call  # it may be the last reference to a stream
        finally:
            self._in_turn_ = False
            self._show_work_()
        return handled

    def _send_unsent(self) -> None:
        """Hands all output to the system; a connection whose output it does not take is reset when it is closed."""
        if self._serves_():
            self._send_dirty_()

    def _send_dirty_(self) -> None:
        dirty = self._dirty_
        for _ in range(len(dirty)):
            dirty.popleft()._send_written_()


def _source(slot: Slot) -> Watched | None:
    return slot.source


def _counted(source: Watched) -> int:
    return source._counted_
