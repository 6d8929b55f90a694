"""The common part of the servers."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from .. import IOErrorEvent, Reactor, ServerSocket, Socket, Supervisor, UncaughtErrorEvent, implementation
from ..net.addresses import format_endpoint
from . import arguments, console, problems, tls
from .console import logger

GRACE = 2  # seconds for a worker that was told to end; it needs them only if it is stuck

ENDING = "It serves until Ctrl-C or SIGTERM; then the exit code is 0. It is 1 if the server cannot start."


def add_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Adds the arguments of every server.

    Args:
        parser: The parser that gets them.
        port: The default port.
    """
    parser.add_argument(
        "--host", default=arguments.LOOPBACK, type=arguments.address, metavar="ADDRESS",
        help="the address to listen on: 127.0.0.1 or localhost is for this machine alone (the default), "
        "0.0.0.0 all of IPv4, :: all of IPv6",
    )  # fmt: skip
    parser.add_argument(
        "--port", default=port, type=arguments.server_port,
        help=f"the port to listen on (default: {port}); 0 chooses a free one, which the log shows",
    )  # fmt: skip
    parser.add_argument("--dual-stack", action="store_true", help="with --host ::, accept IPv4 connections too")
    tls.add_server_arguments(parser)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v", "--verbose", dest="level", action="store_const", const=logging.DEBUG, default=logging.INFO,
        help="log sent and received data too",
    )  # fmt: skip
    loudness.add_argument(
        "-q", "--quiet", dest="level", action="store_const", const=logging.WARNING, help="log problems only"
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds the argument of servers that can run in several processes, because their clients are independent."""
    parser.add_argument(
        "--workers", default=1, type=arguments.workers, metavar="N",
        help="serve in N processes that share the port, auto for one per core; Linux only (default: only this process)",
    )  # fmt: skip


def run(
    options: argparse.Namespace,
    welcome: Callable[[Socket], None],
    begin: Callable[[Reactor], None] = lambda reactor: None,
) -> int:
    """Serves until a signal ends it.

    Args:
        options: The parsed arguments.
        welcome: Called with each client.
        begin: Called once the server listens.

    Returns:
        The exit code.
    """
    console.start_logging(options.level, to_output=True)
    context = tls.server_context(options)
    with closing(Reactor()) as reactor:
        try:
            server = ServerSocket(reactor=reactor)
            _equip(server, welcome)
            tls.equip(server, context)
            with _listening(options):
                server.bind(options.port, options.host, dual_stack=options.dual_stack)
                server.listen()
            _tell(str(server.local_address), server.local_port)
            begin(reactor)
            console.run_until_signal(reactor)
        except KeyboardInterrupt:
            logger.info("Stopped.")
        return 0


def run_workers(options: argparse.Namespace, welcome: Callable[[Socket], None]) -> int:
    """Serves until a signal ends it, in as many processes as ``--workers`` says.

    Args:
        options: The parsed arguments.
        welcome: Called with each client, in the process that serves it.

    Returns:
        The exit code.
    """
    if options.workers == 1:
        return run(options, welcome)

    def setup(server: ServerSocket) -> Callable[[], None]:
        console.start_logging(options.level, to_output=True, prefix=f"[{os.getpid()}] ")
        _equip(server, welcome)
        tls.equip(server, context)
        return server.reactor.stop  # like a single process, it does not wait for its clients

    console.start_logging(options.level, to_output=True)
    context = tls.server_context(options)
    with _listening(options):
        supervisor = Supervisor(
            setup, options.port, options.host, workers=options.workers, dual_stack=options.dual_stack, grace=GRACE
        )
    with supervisor:
        _tell(supervisor.local_address, supervisor.local_port)
        supervisor.run()
    logger.info("Stopped.")
    return 0


def endpoint(socket: Socket) -> str:
    """Returns the client's address and port."""
    return format_endpoint(str(socket.remote_address), socket.remote_port)


def report_uncaught(event: UncaughtErrorEvent) -> None:
    """Logs an internal error in one line; with its traceback if ``--verbose`` is set."""
    traceback = event.error if logger.isEnabledFor(logging.DEBUG) else None
    logger.error("internal error: %s: %s", type(event.error).__name__, event.error, exc_info=traceback)


@contextmanager
def _listening(options: argparse.Namespace) -> Iterator[None]:
    """Ends the command with an advice if listening is refused in the block."""
    if options.dual_stack and ":" not in options.host:
        console.fail(f"--dual-stack needs an IPv6 address, not {options.host}: --host :: is all of IPv6", 2)
    try:
        yield
    except OSError as error:
        problems.cannot_listen(error, options.host, options.port)


def _tell(address: str, port: int) -> None:
    logger.info("Implementation: %s", implementation)
    logger.info("Bound to: %s", format_endpoint(address, port))


def _equip(server: ServerSocket, welcome: Callable[[Socket], None]) -> None:
    def connected(event: Any) -> None:
        socket: Socket = event.socket
        logger.info("Connection from %s", endpoint(socket))
        socket.add_event_listener("ioError", _broken)
        socket.add_event_listener("close", _closed)
        welcome(socket)

    server.reactor.add_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR, report_uncaught)
    server.add_event_listener("connect", connected)
    server.add_event_listener("ioError", _refused)
    server.add_event_listener("close", _lost)


def _broken(event: Any) -> None:
    logger.warning("Connection with %s broke: %s", endpoint(event.target), event.strerror)


def _closed(event: Any) -> None:
    logger.info("Connection closed by %s", endpoint(event.target))


def _refused(event: IOErrorEvent) -> None:
    logger.warning("%s", problems.cannot_accept(event))


def _lost() -> None:
    console.fail("the listening socket was shut down from outside; start the server again")
