"""``serversocket connect``: a client that sends standard input and writes what it receives to standard output."""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from typing import Any

from .. import Reactor, Socket, UncaughtErrorEvent
from . import arguments, console, problems, serving, tls
from .console import logger
from .standard_input import StandardInput

SUMMARY = "a client: sends standard input, writes what it receives to standard output"
DESCRIPTION = """\
Connects, sends standard input, and writes the received bytes unchanged to standard output. It ends when the peer
closes the connection."""
EPILOG = """\
When standard input ends, the output is ended too (like nc -N), and input is received until the peer closes.
The exit code is 0, or 1 if the connection fails, breaks or is closed before everything was sent.

examples:
  serversocket connect 127.0.0.1 8000
  cat file | serversocket connect 127.0.0.1 7000 > copy"""

LEAST_PENDING = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("host", type=arguments.host, metavar="HOST", help="a host name, an IPv4 or IPv6 address")
    parser.add_argument("port", type=arguments.client_port, metavar="PORT", help="a port, 1 to 65535")
    parser.add_argument(
        "--timeout", type=arguments.seconds, default=20, metavar="SECONDS",
        help="how long connecting may take (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--wait", type=arguments.seconds, metavar="SECONDS",
        help="after the end of standard input, end after this time without input (default: when the peer closes)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-open", action="store_true", help="do not end the output when standard input ends (like nc without -N)"
    )
    tls.add_client_arguments(parser)
    parser.add_argument(
        "-v", "--verbose", dest="level", action="store_const", const=logging.DEBUG, default=logging.WARNING,
        help="log what happens, on standard error",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    console.start_logging(options.level, to_output=False)
    with closing(Reactor()) as reactor:
        reactor.add_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR, serving.report_uncaught)
        Client(reactor, options)
        console.run_until_signal(reactor)
    return 0


class Client:
    """One connection, between standard input and standard output.

    Standard output is written synchronously in the listener, so nothing is received faster than it can be written.
    """

    def __init__(self, reactor: Reactor, options: argparse.Namespace) -> None:
        self._reactor = reactor
        self._server: tuple[str, int] = options.host, options.port
        self._wait: float | None = options.wait
        self._keep_open: bool = options.keep_open
        self._endpoint = ""  # until it is connected
        self._waiting = False
        self._ended = False
        self._pending = 0
        self._limit: Any = None
        self._context = tls.client_context(options)
        self._name: str = options.server_name or options.host
        self._socket = Socket(reactor=reactor)
        self._socket.timeout = round(min(options.timeout, 1e15) * 1000)
        self._socket.add_event_listener("connect", self._on_connect)
        self._socket.add_event_listener("secureConnect", self._begin)
        self._socket.add_event_listener("socketData", self._on_data)
        self._socket.add_event_listener("outputProgress", self._on_progress)
        self._socket.add_event_listener("ioError", self._on_error)
        self._socket.add_event_listener("close", self._on_close)
        self._socket.connect(*self._server)

    def _on_connect(self) -> None:
        if self._context is None:
            self._begin()
        else:
            self._socket.start_tls(self._context, server_hostname=self._name)

    def _begin(self) -> None:
        self._endpoint = serving.endpoint(self._socket)
        logger.info("Connected to %s", self._endpoint)
        self._input = StandardInput(self._reactor, self._on_input, self._on_end)
        self._input.more()

    def _on_error(self, event: Any) -> None:
        if self._endpoint:
            problems.broke(event, self._endpoint)
        problems.cannot_connect(event, *self._server, advice=tls.failed(event.strerror or "", self._name))

    def _on_close(self) -> None:
        if self._pending:
            console.fail(f"connection with {self._endpoint}: closed by the peer before everything was sent")
        logger.info("Connection closed by %s", self._endpoint)
        self._reactor.stop()

    # ---- receiving

    def _on_data(self) -> None:
        console.write(self._socket.read())
        if self._limit is not None:
            self._limit_silence()

    def _limit_silence(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._wait is not None:
            self._limit = self._reactor.call_later(self._wait, self._reactor.stop)

    # ---- sending

    def _on_input(self, data: bytes) -> None:
        if self._socket.connected:
            self._pending += self._socket.write(data)
            self._waiting = True

    def _on_end(self, error: OSError | None) -> None:
        if error is not None:
            console.fail(f"standard input: {error.strerror}")
        self._ended = True
        if not self._pending:
            self._all_sent()

    def _on_progress(self, event: Any) -> None:
        self._pending = event.bytes_pending
        if self._waiting and self._pending < LEAST_PENDING:
            self._waiting = False
            self._input.more()
        if self._ended and not self._pending:
            self._all_sent()

    def _all_sent(self) -> None:
        logger.info("Everything was sent to %s", self._endpoint)
        self._limit_silence()
        if self._socket.connected and not self._keep_open:
            self._socket.write_eof()
