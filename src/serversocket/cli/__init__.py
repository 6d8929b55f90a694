"""The command line: ``serversocket COMMAND``, or ``python -m serversocket COMMAND``; one module for each command.

The exit code is 0 for success, 1 if something failed, 2 for wrong arguments, and 128 plus the signal's number if a
signal ended the command before its work was done.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from signal import SIGINT
from typing import NoReturn

from .. import __version__, implementation
from . import chargen, connect, console, discard, echo, info, problems, serve

COMMANDS = (serve, echo, discard, chargen, connect, info)


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _CommandParser(_Parser):
    """Names the command in the error for an unknown argument."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return parsed, rest


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of all commands; its result has the command's ``run``."""
    parser = _Parser(
        prog="serversocket",
        description="TCP servers and a client on the engine of serversocket.",
        epilog="example:\n  serversocket serve",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__} ({implementation})")
    subparsers = parser.add_subparsers(metavar="COMMAND", parser_class=_CommandParser)
    names = [command.__name__.rpartition(".")[2] for command in COMMANDS]
    parser.set_defaults(run=lambda options: parser.error(f"a COMMAND is missing: {', '.join(names)}"))
    for name, command in zip(names, COMMANDS, strict=True):
        subparser = subparsers.add_parser(
            name,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            epilog=command.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: The arguments of the command line; the process's own by default.

    Returns:
        The exit code.
    """
    try:
        with console.prepared():
            return _run(arguments)
    except console.Terminated:
        return console.TERMINATED
    except KeyboardInterrupt:
        return 128 + SIGINT
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def _run(arguments: Sequence[str] | None) -> int:
    with console.standard_output():
        parsed = make_parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except OSError as error:
        problems.out_of_something(error)
    return code
