"""Lingering: sends the rest of a connection that the program has closed with output pending."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..lingering import Patience
from .output import Output, Queue, empty_error_queue, reset
from .poller import READ, RESTING, WRITE
from .reactor import READ_SIZE, Cancellable, Reactor
from .source import ENDED, Tally

if TYPE_CHECKING:
    from .filter import Wire

READS_PER_TURN = 4  # so that a fast sender cannot starve the others


class Lingerer(Output):
    """Owns the descriptor of a stream that was closed before a plain close of the descriptor was safe.

    It sends the pending output, ends the output, and closes when the peer does, or a while after the peer has
    acknowledged everything. A peer that acknowledges nothing for a while is reset. Meanwhile input is read and dropped:
    with unread input, a close would make the system reset the connection and drop the output that is not acknowledged.
    """

    _quiet_ = True
    _timer_: Cancellable | None = None  # checks that the peer still acknowledges
    _told_ = False  # the peer was told that nothing more comes
    _waiting_: list[Callable[[], object]] | None = None  # called when all output is sent, or no more can be sent

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        tally: Tally | None,
        output: Queue | None,
        pending: int,
        ended: bool,
        guarded: bool,
        wire: Wire | None,
        outgoing: int,
    ) -> None:
        self._attach(reactor)
        self._tally_ = tally
        self._output_ = output
        self._pending_ = pending
        self._wire_ = wire
        self._outgoing_ = outgoing
        self._count_()
        self._ended_ = ended  # the peer's output is at its end
        self._guarded_ = guarded
        self._patience_ = Patience()  # how long it may take
        self._own_or_close_(reactor, sock).owner = self
        self._settle_()

    def _settle_(self) -> None:
        reactor, sock, slot = self._reactor_, self._socket_, self._slot_
        if reactor is None or sock is None or slot is None:
            return
        interest = RESTING if self._ended_ else READ
        if not self._unsent_():
            self._tell_waiting_()
        try:
            if self._unsent_():
                interest |= WRITE
            elif self._ended_:
                self._discard_()
                return
            elif not self._told_:
                self._told_ = True
                if self._outgoing_ != ENDED:
                    sock.shutdown(socket.SHUT_WR)
            if self._timer_ is None:
                self._time_(reactor)
                if self._slot_ is not slot:
                    self._discard_()  # Python code has run, and closed the reactor
                    return
            reactor._poller_.watch(slot, interest)
        except (OSError, MemoryError):
            reset(sock)  # nothing would ever wake it; the peer must not take this for the end
            self._discard_()

    def _when_sent(self, callback: Callable[[], object]) -> None:
        """Calls `callback`, which must run no code of the program, once the system has all output, or takes no more."""
        if self._waiting_ is None:
            self._waiting_ = []
        self._waiting_.append(callback)

    def abort(self) -> None:
        """Drops the pending output and resets the connection."""
        self._check_()
        if self._socket_ is not None:
            reset(self._socket_)
            self._discard_()

    def _tell_waiting_(self) -> None:
        waiting, self._waiting_ = self._waiting_, None
        for callback in waiting or ():
            callback()

    def _time_(self, reactor: Reactor) -> None:
        self._timer_ = reactor.call_later(self._patience_.begin(self._unfetched_in_all_()), self._look)

    def _look(self) -> None:
        left = self._unfetched_in_all_()
        if not self._patience_.is_over(left):
            self._timer_ = None
            self._settle_()
            return
        if left and self._socket_ is not None:
            reset(self._socket_)
        self._discard_()

    def _unfetched_in_all_(self) -> int:
        """Returns how many bytes the peer has not acknowledged."""
        return self._pending_ + self._unfetched_() + (0 if self._wire_ is None else self._wire_.left())

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        if events & READ:
            self._waste_(sock)
        if events & WRITE:
            self._blocked_ = False
            before = self._pending_
            self._transmit_()
            if self._pending_ == before:
                empty_error_queue(sock)  # no room, or nothing to send: an error is reported as this event
        self._settle_()

    def _waste_(self, sock: socket.socket) -> None:
        """Reads input and drops it."""
        for _ in range(READS_PER_TURN):
            try:
                size = len(sock.recv(READ_SIZE))
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._ended_ = True
                self._drop_output_()
                return
            self._ended_ = not size
            if size < READ_SIZE:
                return

    def _attend_(self) -> None:
        if self._socket_ is not None:
            self._reset_()  # a send has failed: the peer has gone; or too much is kept
        self._discard_()

    def _discard_(self) -> None:
        timer, self._timer_ = self._timer_, None
        self._drop_output_()
        self._shut_()
        if timer is not None and not self._reactor_is_dead_():
            timer.cancel()
        self._tell_waiting_()
