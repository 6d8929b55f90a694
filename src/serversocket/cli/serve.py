"""``serversocket serve``: the example of AIR's reference, as a command."""

from __future__ import annotations

import argparse
import codecs
from typing import Any

from .. import Reactor, Socket
from . import arguments, console, serving
from .console import logger
from .standard_input import StandardInput

SUMMARY = "show the text that clients send, and send standard input to them"
DESCRIPTION = """\
Shows the UTF-8 text that clients send, and sends each line of standard input to every client. It continues after the
end of standard input."""
EPILOG = f"""\
Control characters and malformed bytes are shown escaped. Standard input is read no faster than the slowest client
takes it. {serving.ENDING}

example:
  serversocket serve
and in another terminal:
  serversocket connect 127.0.0.1 8000"""

PORT = 8000
LEAST_PENDING = 1 << 18
LONGEST_LINE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    serving.add_arguments(parser, PORT)
    parser.add_argument("--workers", nargs="?", const="", type=arguments.no_workers, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    conversation = Conversation()
    return serving.run(options, conversation.welcome, conversation.begin)


class Conversation:
    """The clients, and standard input."""

    def __init__(self) -> None:
        self._clients: set[Socket] = set()
        self._line = b""
        self._waiting = False

    def begin(self, reactor: Reactor) -> None:
        """Starts reading standard input."""
        self._input = StandardInput(reactor, self._typed, self._ended)
        self._input.more()

    def welcome(self, socket: Socket) -> None:
        """Adds a client."""
        # A character may arrive in parts, so each client has a decoder of its own, which keeps an incomplete one.
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

        def received() -> None:
            data = socket.read()
            logger.debug("%d bytes from %s", len(data), serving.endpoint(socket))
            _show(decoder.decode(data))

        def closed() -> None:
            _show(decoder.decode(b"", final=True))
            self._clients.discard(socket)
            self._go_on()

        socket.add_event_listener("socketData", received)
        socket.add_event_listener("outputProgress", self._go_on)
        socket.add_event_listener("close", closed, priority=1)
        self._clients.add(socket)

    def _typed(self, data: bytes) -> None:
        lines, newline, rest = data.rpartition(b"\n")
        if newline or len(self._line) + len(rest) > LONGEST_LINE:
            self._send(self._line + (lines + newline or rest))
            self._line = rest if newline else b""
        else:
            self._line += rest
        self._waiting = True
        self._go_on()

    def _ended(self, error: OSError | None) -> None:
        if self._line:
            self._send(self._line + b"\n")
        reason = "has ended" if error is None else f"cannot be read: {error.strerror}"
        logger.debug("Standard input %s", reason)

    def _send(self, data: bytes) -> None:
        for socket in self._clients:
            socket.write(data)
            logger.info("Sent message to %s", serving.endpoint(socket))
        if not self._clients:
            logger.info("No socket connection.")

    def _go_on(self, event: Any = None) -> None:
        """Continues reading once every client has taken most of its pending output."""
        if self._waiting and all(socket.bytes_pending < LEAST_PENDING for socket in self._clients):
            self._waiting = False
            self._input.more()


def _show(text: str) -> None:
    """Prints received text line by line, each with a prefix, so that no client can fake the log's own lines."""
    for line in text.removesuffix("\n").split("\n") if text else ():
        console.say("Received: " + console.printable(line.removesuffix("\r")))
