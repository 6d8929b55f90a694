"""What the servers have in common."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

from .. import IOErrorEvent, Reactor, ServerSocket, Socket, UncaughtErrorEvent, implementation
from ..addresses import format_endpoint
from . import arguments, console
from .console import logger

ENDING = "It serves until Ctrl-C or SIGTERM, and ends with 0 then; with 1 where it cannot serve."


def add_arguments(parser: argparse.ArgumentParser, port: int = 0) -> None:
    """The arguments of every server.

    Args:
        parser: What gets them.
        port: The port by default.
    """
    chosen = "a free one" if port == 0 else str(port)
    parser.add_argument(
        "--host", default="0.0.0.0", type=arguments.address, metavar="ADDRESS",
        help="the address to listen on: 0.0.0.0 is all of IPv4 (the default), :: all of IPv6",
    )  # fmt: skip
    parser.add_argument(
        "--port", default=port, type=arguments.server_port, help=f"the port to listen on (default: {chosen})"
    )
    parser.add_argument("--dual-stack", action="store_true", help="with --host ::, take IPv4 connections too")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v", "--verbose", dest="level", action="store_const", const=logging.DEBUG, default=logging.INFO,
        help="log what is sent and received too",
    )  # fmt: skip
    loudness.add_argument(
        "-q", "--quiet", dest="level", action="store_const", const=logging.WARNING, help="log problems only"
    )


def run(
    options: argparse.Namespace,
    welcome: Callable[[Socket], None],
    begin: Callable[[Reactor], None] = lambda reactor: None,
) -> int:
    """Serves until a signal ends it.

    Args:
        options: What the arguments say.
        welcome: Called with each client.
        begin: Called once the server listens.

    Returns:
        The exit code.
    """
    console.start_logging(options.level, to_output=True)
    with closing(Reactor()) as reactor:
        try:
            reactor.add_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR, report_uncaught)
            server = _listen(reactor, options, welcome)
            logger.info("Implementation: %s", implementation)
            logger.info("Bound to: %s", format_endpoint(str(server.local_address), server.local_port))
            begin(reactor)
            console.run_until_signal(reactor)
        except KeyboardInterrupt:
            logger.info("Stopped.")
        return 0


def endpoint(socket: Socket) -> str:
    """The client's address and port."""
    return format_endpoint(str(socket.remote_address), socket.remote_port)


def report_uncaught(event: UncaughtErrorEvent) -> None:
    """One line for an error that should not be possible; its traceback with ``--verbose``."""
    traceback = event.error if logger.isEnabledFor(logging.DEBUG) else None
    logger.error("internal error: %s: %s", type(event.error).__name__, event.error, exc_info=traceback)


def _listen(reactor: Reactor, options: argparse.Namespace, welcome: Callable[[Socket], None]) -> ServerSocket:
    def connected(event: Any) -> None:
        socket: Socket = event.socket
        logger.info("Connection from %s", endpoint(socket))
        socket.add_event_listener("ioError", _broken)
        socket.add_event_listener("close", _closed)
        welcome(socket)

    server = ServerSocket(reactor=reactor)
    server.add_event_listener("connect", connected)
    server.add_event_listener("ioError", _refused)
    server.add_event_listener("close", _lost)
    try:
        server.bind(options.port, options.host, dual_stack=options.dual_stack)
        server.listen()
    except ValueError as error:
        console.fail(str(error), 2)
    except OSError as error:
        console.fail(str(error))
    return server


def _broken(event: Any) -> None:
    logger.warning("Connection with %s broke: %s", endpoint(event.target), event.strerror)


def _closed(event: Any) -> None:
    logger.info("Connection closed by %s", endpoint(event.target))


def _refused(event: IOErrorEvent) -> None:
    logger.warning("%s", event.text)


def _lost() -> None:
    console.fail("the system closed the listening socket")
