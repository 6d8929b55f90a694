"""``serversocket discard``: the discard service of RFC 863."""

from __future__ import annotations

import argparse
from typing import Any

from .. import Socket
from . import serving
from .console import logger

SUMMARY = "a server that discards what it receives (RFC 863)"
DESCRIPTION = "Discards what it receives and sends nothing (RFC 863)."
EPILOG = f"""\
{serving.ENDING}

example:
  serversocket discard --host 0.0.0.0"""

PORT = 9000  # the RFC's port, 9, needs root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    serving.add_arguments(parser, PORT)
    serving.add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    return serving.run_workers(options, welcome)


def welcome(socket: Socket) -> None:
    """Serves a client."""
    socket.add_event_listener("socketData", _discard)


def _discard(event: Any) -> None:
    count = len(event.target.read())
    logger.debug("%d bytes from %s", count, serving.endpoint(event.target))
