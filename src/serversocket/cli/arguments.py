"""What the arguments may be: the library's own rules, in the library's own words."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .. import SecurityError
from ..addresses import parse_address, parse_host
from ..checks import as_client_port, as_port
from ..supervisor import parse_workers
from . import console

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def server_port(text: str) -> int:
    """A port to bind to."""
    return _accepted(as_port, "port", _number(text))


def client_port(text: str) -> int:
    """A port to connect to."""
    return _accepted(as_client_port, "port", _number(text))


def address(text: str) -> str:
    """An address to bind to."""
    return _accepted(parse_address, text).text


def host(text: str) -> str:
    """A host name or an address to connect to."""
    _accepted(parse_host, text)
    return text


def workers(text: str) -> int:
    """A number of processes."""
    return _accepted(parse_workers, _number(text))


def seconds(text: str) -> float:
    """A time, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def _accepted(parse: Callable[_Arguments, _Result], *args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
    try:
        return parse(*args, **options)
    except (ValueError, SecurityError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except OSError as error:  # well formed, and not on this machine
        console.fail(str(error))
