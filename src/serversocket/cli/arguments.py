"""Parsing of arguments, by the library's own rules and error texts, without AIR's numbers."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

from .. import ArgumentError, RangeError, SecurityError
from ..checks import as_client_port, as_port
from ..net.addresses import parse_address, parse_host
from ..workers.options import parse_workers
from . import console, problems

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")

LOOPBACK = "127.0.0.1"


def server_port(text: str) -> int:
    """Parses a port to bind to."""
    return _accepted(partial(as_port, "port"), _number(text))


def client_port(text: str) -> int:
    """Parses a port to connect to; 0 is refused, because nothing can listen on it."""
    port = _number(text)
    if port == 0:
        raise argparse.ArgumentTypeError("port 0 is outside 1 to 65535")
    return _accepted(partial(as_client_port, "port"), port)


def address(text: str) -> str:
    """Parses an address to bind to. ``localhost`` is 127.0.0.1, which every client tries that resolves that name."""
    if text.lower() == "localhost":
        return LOOPBACK
    if not text:  # the library would bind to 0.0.0.0
        raise argparse.ArgumentTypeError(f"no address is given: {problems.ADDRESSES}")
    return _accepted(parse_address, text, problems.ADDRESSES).text


def host(text: str) -> str:
    """Parses a host name or an address to connect to."""
    _accepted(parse_host, text, "give a name or an address, without scheme, port or path")
    return text


def workers(text: str) -> int:
    """Parses a number of processes; ``auto`` is the number of cores."""
    if text == "auto":
        return parse_workers(None)
    return _accepted(parse_workers, _number(text, "a number, or auto for one worker on each core"))


def no_workers(text: str) -> NoReturn:
    """Refuses workers for `serve`, which sends standard input to all clients."""
    raise argparse.ArgumentTypeError(
        "serve sends each line of standard input to every client, which works in one process only; "
        "echo, discard and chargen take workers"
    )


def seconds(text: str) -> float:
    """Parses a number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _number(text: str, wanted: str = "a number") -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(text)


def _accepted(parse: Callable[[_Value], _Result], value: _Value, wanted: str = "") -> _Result:
    try:
        return parse(value)
    except (ArgumentError, RangeError, SecurityError) as error:
        raise argparse.ArgumentTypeError(problems.reason(error) + (wanted and f": {wanted}")) from None
    except OSError as error:  # well formed, but not on this machine
        console.fail(f"{value}: {error.strerror} (there is no such interface; ip link lists the existing ones)")
