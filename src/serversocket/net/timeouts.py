"""Timeouts that detect a dead or silent peer."""

from __future__ import annotations

import errno
import math
import socket
from typing import TYPE_CHECKING, Any

from .. import errors
from ..checks import as_seconds
from ..naming import with_as3_names

_PROBES = 3
_NEEDED = {"keep_alive": ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), "user_timeout": ("TCP_USER_TIMEOUT",)}


@with_as3_names
class Liveness:
    """The timeouts of a connection. The engine's stream is the other base class of a socket."""

    if TYPE_CHECKING:
        connected: Any
        reactor: Any

        def _check_thread(self) -> None: ...
        def _set_option(self, level: int, name: int, value: int) -> None: ...
        def _set_longest(self, milliseconds: int) -> None: ...

    # Class attributes until they are set, so that a connection that does not use them does not pay for them.
    _keep_alive: float = 0.0
    _user_timeout: float = 0.0
    _idle_timeout: float = 0.0

    @property
    def keep_alive(self) -> float | None:
        """Seconds of silence after which the system probes the peer with TCP keep-alives; ``None``, the default: never.

        It sends three probes, a third of that time apart. Without an answer, the connection breaks: ``ioError`` with
        ``errno.ETIMEDOUT``, then ``close``. The probes cost a few packets, and the peer's program does not notice them.
        The system counts in whole seconds. The value is kept over reconnects.

        Raises:
            TypeError: The value is neither a number nor ``None``.
            RangeError: It is negative or not-a-number (#2006).
            IOError: The system does not support it (#2002, with ``errno.ENOTSUP``).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.keep_alive = 60
        """
        return self._keep_alive or None

    @keep_alive.setter
    def keep_alive(self, value: float | None) -> None:
        seconds = self._parse("keep_alive", value)
        if self.connected:
            self._apply("keep_alive", lambda: self._apply_keep_alive(seconds))
        self._keep_alive = seconds

    @property
    def user_timeout(self) -> float | None:
        """Seconds for which sent data may stay unacknowledged; ``None``, the default: the system's own many minutes.

        Then the connection breaks: ``ioError`` with ``errno.ETIMEDOUT``, then ``close``. It detects failures that
        `keep_alive` misses, because the system sends no probes while data is in flight. The value is kept over
        reconnects. Linux only.

        Raises:
            TypeError: The value is neither a number nor ``None``.
            RangeError: It is negative or not-a-number (#2006).
            IOError: The system does not support it (#2002, with ``errno.ENOTSUP``).
        """
        return self._user_timeout or None

    @user_timeout.setter
    def user_timeout(self, value: float | None) -> None:
        seconds = self._parse("user_timeout", value)
        if self.connected:
            self._apply("user_timeout", lambda: self._apply_user_timeout(seconds))
        self._user_timeout = seconds

    @property
    def idle_timeout(self) -> float | None:
        """Seconds for which the peer may neither send nor acknowledge a byte; ``None``, the default: no limit.

        Then the connection breaks, even if the peer is still there: ``ioError`` with ``errno.ETIMEDOUT``, then
        ``close``. The time counts from when the value was set. The reactor checks eight times per timeout, but at most
        every 10 milliseconds and at least every second. The value is kept over reconnects. Acknowledgements of a slow
        reader may come only for its whole receive buffer at once, often 128 KiB: allow it the time to read so much.

        Raises:
            TypeError: The value is neither a number nor ``None``.
            RangeError: It is negative or not-a-number (#2006).

        Example:
            >>> import serversocket
            >>> def greet(event):
            ...     event.socket.idle_timeout = 30  # silent clients are disconnected
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", greet)
        """
        return self._idle_timeout or None

    @idle_timeout.setter
    def idle_timeout(self, value: float | None) -> None:
        seconds = as_seconds("idle_timeout", value)
        self._set_longest(math.ceil(seconds * 1000))
        self._idle_timeout = seconds
        if seconds:
            self.reactor._watch_idle(seconds)

    def _connection_made(self) -> None:
        """Applies the values that were set before the connect succeeded."""
        if self._keep_alive:
            self._apply_keep_alive(self._keep_alive)
        if self._user_timeout:
            self._apply_user_timeout(self._user_timeout)
        if self._idle_timeout:
            self.idle_timeout = self._idle_timeout

    def _parse(self, parameter: str, value: float | None) -> float:
        seconds = as_seconds(parameter, value)
        self._check_thread()
        if seconds and not all(hasattr(socket, name) for name in _NEEDED[parameter]):
            raise errors.invalid_socket(parameter, f"{seconds:g} s", errno.ENOTSUP)
        return seconds

    def _apply(self, parameter: str, call: Any) -> None:
        try:
            call()
        except OSError as error:
            raise errors.invalid_socket(parameter, "", error) from None

    def _apply_keep_alive(self, seconds: float) -> None:
        if seconds:
            # The system accepts at most 32,767 seconds.
            idle = min(math.ceil(seconds), 32767)
            self._set_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
            self._set_option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, math.ceil(idle / _PROBES))
            self._set_option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(seconds))

    def _apply_user_timeout(self, seconds: float) -> None:
        self._set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds * 1000))
