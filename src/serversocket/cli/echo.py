"""``serversocket echo``: the echo service of RFC 862."""

from __future__ import annotations

import argparse
from typing import Any

from .. import Socket
from . import serving
from .console import logger

SUMMARY = "a server that sends back what it receives (RFC 862)"
DESCRIPTION = "Sends back to each client what it receives from it (RFC 862)."
EPILOG = f"""\
While a client does not read its echo, nothing more is read from it (backpressure).
{serving.ENDING}

example:
  serversocket echo
and in another terminal:
  serversocket connect 127.0.0.1 7000"""

PORT = 7000  # the RFC's port, 7, needs root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    serving.add_arguments(parser, PORT)
    serving.add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    return serving.run_workers(options, welcome)


def welcome(socket: Socket) -> None:
    """Serves a client."""
    socket.add_event_listener("socketData", _reply)
    socket.add_event_listener("outputProgress", _go_on)


def _reply(event: Any) -> None:
    socket: Socket = event.target
    count = socket.write(socket.read())
    logger.debug("%d bytes from %s", count, serving.endpoint(socket))
    if socket.congested:
        socket.pause()


def _go_on(event: Any) -> None:
    socket: Socket = event.target
    if not socket.congested:
        socket.resume()
