"""Errors as the command line shows them: what failed, the system's reason, and what to do about it.

AIR's number and text do not help the user of a command; ``--verbose`` adds them.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import NoReturn

from .. import ArgumentError, IOErrorEvent, RangeError, SecurityError, errors
from ..net.addresses import format_endpoint
from . import console
from .console import logger

ADDRESSES = "127.0.0.1 is for this machine alone, 0.0.0.0 all of IPv4, :: of IPv6"
NEEDS_INTERFACE = "a link-local address needs its interface, as in {}%eth0"
PRIVILEGED = range(1, 1024)


def reason(error: ArgumentError | RangeError | SecurityError) -> str:
    """Returns the part of an error's text after AIR's text and the name of the call.

    Example:
        >>> reason(errors.bad_port(70000))
        'port 70000 is outside 0 to 65535'
    """
    return str(error).removeprefix(errors.text(error.error_id)).partition(": ")[2]


def cannot_listen(error: OSError, host: str, port: int) -> NoReturn:
    """Ends the command, because the server cannot listen."""
    _end(f"cannot listen on {format_endpoint(host, port)}", error, _how_to_listen(error.errno, host, port))


def cannot_connect(event: IOErrorEvent, host: str, port: int, advice: str = "") -> NoReturn:
    """Ends the command, because the client cannot connect."""
    _end(f"cannot connect to {format_endpoint(host, port)}", event, advice or _how_to_connect(event.errno, host))


def cannot_accept(event: IOErrorEvent) -> str:
    """Returns the text for a client that could not be accepted."""
    return _told("cannot accept clients", event)


def broke(event: IOErrorEvent, endpoint: str) -> NoReturn:
    """Ends the command, because its connection broke."""
    _end(f"connection with {endpoint} broke", event, "what was sent last may not have arrived")


def out_of_something(error: OSError) -> NoReturn:
    """Ends the command, because the system refuses a resource that every command needs."""
    logger.debug("where that happened:", exc_info=error)
    _end("cannot continue", error)


def _end(failed: str, error: OSError | IOErrorEvent, advice: str = "") -> NoReturn:
    console.complain(_told(failed, error, advice))
    logger.debug("the library's error: %s", error.text if isinstance(error, IOErrorEvent) else error)
    raise SystemExit(1)


def _told(failed: str, error: OSError | IOErrorEvent, advice: str = "") -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        advice = "ulimit -n shows and raises the limit of open files per process"
    return f"{failed}: {error.strerror or error}{advice and f' ({advice})'}"


def _how_to_listen(number: int | None, host: str, port: int) -> str:
    match number:
        case errno.EACCES if port in PRIVILEGED:
            return "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another with --port"
        case errno.EADDRINUSE:
            return "another program uses this port: end it, or choose another with --port, 0 for a free one"
        case errno.EADDRNOTAVAIL:
            return f"this machine does not have this address; {ADDRESSES}"
        case errno.EAFNOSUPPORT:
            return "this system has no IPv6"
        case errno.EINVAL if _is_link_local(host):
            return NEEDS_INTERFACE.format(host)
        case errno.ENOTSUP:
            return "several workers need Linux"
    return ""


def _how_to_connect(number: int | None, host: str) -> str:
    match number:
        case errno.ECONNREFUSED:
            return "no server listens there"
        case errno.ETIMEDOUT:
            return "--timeout waits longer"
        case errno.ENETUNREACH | errno.EHOSTUNREACH:
            return "this machine's network has no route to it"
        case errno.EINVAL if _is_link_local(host):
            return NEEDS_INTERFACE.format(host)
        case socket.EAI_NONAME:
            return "no host of this name is known: check the spelling"
        case socket.EAI_AGAIN:
            return "the name server does not answer: try again, or give an address"
    return ""


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False
