"""``serversocket chargen``: the character generator of RFC 864."""

from __future__ import annotations

import argparse
from typing import Any

from .. import Socket
from . import serving
from .console import logger
from .discard import welcome as discard

SUMMARY = "a server that sends characters endlessly (RFC 864)"
DESCRIPTION = """\
Sends lines of 72 characters, each beginning one character further on, until the client disconnects, and no faster
than it reads; discards what it receives (RFC 864)."""
EPILOG = f"""\
{serving.ENDING}

example:
  serversocket chargen --host 0.0.0.0"""

PORT = 19000  # the RFC's port, 19, needs root

WIDTH = 72
CHARACTERS = bytes(range(ord(" "), ord("~") + 1))
PATTERN = b"".join((CHARACTERS * 2)[start : start + WIDTH] + b"\r\n" for start in range(len(CHARACTERS)))
"""Every line once. It is always sent as a whole, so no position per client has to be kept."""

# The output pending for one client: enough to keep the system busy, and no more for one that does not read.
PIECE = PATTERN * 18
MOST_PENDING = 2 * len(PIECE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    serving.add_arguments(parser, PORT)
    serving.add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    return serving.run_workers(options, welcome)


def welcome(socket: Socket) -> None:
    """Serves a client."""
    discard(socket)
    socket.add_event_listener("outputProgress", _progressed)
    _fill(socket)


def _progressed(event: Any) -> None:
    logger.debug("%d bytes to %s", event.bytes_total - event.bytes_pending, serving.endpoint(event.target))
    _fill(event.target)


def _fill(socket: Socket) -> None:
    while socket.bytes_pending < MOST_PENDING:
        socket.write(PIECE)
