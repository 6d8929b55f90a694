"""Parsing of addresses and host names. Nothing here queries a name server."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import sys
from typing import NamedTuple

from .. import errors
from ..engine.endpoints import with_scope

__all__ = [
    "Address",
    "Origin",
    "format_endpoint",
    "no_descriptor",
    "parse_address",
    "parse_host",
    "parse_origin",
    "refused",
    "require_local",
    "require_reuse_port",
]

Host = str | ipaddress.IPv4Address | ipaddress.IPv6Address
"""The types that an address may be given as."""

_MAX_HOST_LENGTH = 255
_SCOPE = re.compile(r"[!-.0-~]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

# The codec's modules are loaded at the first use. Load them now: later there may be no descriptor left for that.
"\xfc".encode("idna")


class Address(NamedTuple):
    """An IP address in the form that system calls take."""

    family: socket.AddressFamily
    host: str
    """The canonical literal, without a scope."""

    scope_id: int = 0
    """The index of the interface that a link-local IPv6 address belongs to, else 0."""

    @property
    def is_ipv6(self) -> bool:
        """True if it is an IPv6 address."""
        return self.family == socket.AF_INET6

    @property
    def text(self) -> str:
        """The literal, with its scope if it has one."""
        return with_scope(self.host, self.scope_id)


class Origin(NamedTuple):
    """The local address and port that a client connects from."""

    address: Address | None = None
    """An address of this machine, or ``None`` to let the system choose."""

    port: int = 0
    """The local port, or 0 to let the system choose."""


def parse_address(value: object) -> Address:
    """Parses the address of a server: exactly one IP literal.

    Args:
        value: A dotted quad; or an IPv6 literal, with ``%scope`` (the name or the index of an interface) if it is
            link-local; or an address of the `ipaddress` module. ``""`` means ``"0.0.0.0"``.

    Raises:
        TypeError: It is `None` (#2007) or has any other type.
        ArgumentError: It is any other text, for instance a host name, with a port or blanks, short or octal (#2004).
        IOError: There is no such interface (#2002, ``ENODEV``), or no descriptor to look it up (``EMFILE``).

    Example:
        >>> parse_address("::1").text
        '::1'
    """
    if value is None:
        raise errors.null("local_address")
    literal = _text("local_address", value)
    address = _parse_literal(literal or "0.0.0.0", "bind")
    if address is None:
        raise errors.bad_address(literal, "is not an IPv4 or IPv6 address")
    return address


def require_local(address: Address, port: int) -> None:
    """Refuses addresses that cannot belong to this machine, although some systems allow binding to them.

    Raises:
        IOError: It is a multicast address or the broadcast address (#2002, ``EADDRNOTAVAIL``).
    """
    if ipaddress.ip_address(address.host).is_multicast or address.host == "255.255.255.255":
        raise refused("bind", address, port, errno.EADDRNOTAVAIL)


def require_reuse_port() -> None:
    """Refuses to share a port if the system does not distribute connections over the sockets that share it.

    Raises:
        IOError: The system is not Linux (#2002, ``ENOTSUP``).
    """
    if sys.platform != "linux":
        detail = f"reuse_port: {sys.platform} does not distribute connections over sockets that share a port"
        raise errors.invalid_socket("bind", detail, errno.ENOTSUP)


def refused(call: str, address: Address, port: int, cause: OSError | int) -> errors.IOError:
    """Makes the error for a system call that failed on an address (#2002).

    Args:
        call: The call, such as ``bind``.
        address: The address that was refused.
        port: Its port.
        cause: The system's error or its number.
    """
    error = errors.invalid_socket(call, format_endpoint(address.text, port), cause)
    scopeless = address.is_ipv6 and not address.scope_id
    if error.errno == errno.EINVAL and scopeless and ipaddress.ip_address(address.host).is_link_local:
        hint = f"{error.message} (a link-local address needs its interface, as in {address.host}%eth0)"
        return errors.IOError(hint, error.error_id, errno=error.errno, strerror=error.strerror)
    return error


def parse_host(value: object) -> Address | str:
    """Parses the host to connect to: returns an address, or the ASCII form of a host name that is yet to be resolved.

    Args:
        value: An IP literal as for `parse_address`, a host name, or an address of the `ipaddress` module.

    Raises:
        TypeError: It is `None` (#1009) or has any other type.
        ArgumentError: It is neither an address nor a possible host name: empty, longer than 255 characters, with a NUL,
            a blank or a slash in it, a URI, or a number that only looks like an address (#2004).
        IOError: There is no such interface (#2002, ``ENODEV``), or no descriptor to look it up (``EMFILE``).

    Example:
        >>> parse_host("bücher.example")
        'xn--bcher-kva.example'
    """
    if value is None:
        raise errors.null_reference("connect: host is None")
    text = _text("host", value)
    address = _parse_literal(text, "connect")
    return _parse_name(text) if address is None else address


def no_descriptor() -> OSError | None:
    """Returns the error if no socket can be made: look-ups of names and interfaces need one, but do not report it."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.with_traceback(None)
    return None


def parse_origin(address: object, port: int) -> Origin | None:
    """Parses the local address and port to connect from; returns ``None`` if the system is to choose both.

    Args:
        address: An IP literal as for `parse_address`, an address of the `ipaddress` module, or ``None`` for any.
        port: The port; 0 for any.

    Raises:
        TypeError: `address` has any other type.
        ArgumentError: `address` is any other text (#2004).
        IOError: It cannot be an address of this machine, or there is no such interface (#2002).
    """
    if address is None:
        return Origin(None, port) if port else None
    literal = _text("local_address", address)
    parsed = _parse_literal(literal, "connect")
    if parsed is None:
        raise errors.bad_address(literal, "is not an IPv4 or IPv6 address to connect from", "connect")
    require_local(parsed, port)
    return Origin(parsed, port)


def format_endpoint(host: str, port: int) -> str:
    """Returns an address or host name and a port as messages show them.

    Example:
        >>> format_endpoint("127.0.0.1", 80), format_endpoint("::1", 80)
        ('127.0.0.1:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(parameter: str, value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        scope = getattr(value, "scope_id", None)
        literal = str(ipaddress.ip_address(value.packed))
        return literal if scope is None else f"{literal}%{scope}"
    raise errors.wrong_type(parameter, value, "a string or an address of the ipaddress module")


def _parse_literal(text: str, call: str) -> Address | None:
    host, percent, scope = text.partition("%")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    if ip.version == 4:
        return None if percent else Address(socket.AF_INET, host)
    canonical = socket.inet_ntop(socket.AF_INET6, ip.packed)
    if not percent:
        return Address(socket.AF_INET6, canonical)
    if not ip.is_link_local:
        raise errors.bad_address(text, "has a scope, but only a link-local address can have one", call)
    if not _SCOPE.fullmatch(scope) or "%" in scope:
        raise errors.bad_address(text, "has a malformed scope", call)
    scope_id = _interface_index(scope)
    if not scope_id:
        raise errors.invalid_socket(call, errors.shown(text), no_descriptor() or errno.ENODEV)
    return Address(socket.AF_INET6, canonical, scope_id)


def _interface_index(scope: str) -> int:
    """Returns the index of an interface given by name or by index; 0 if there is none."""
    try:
        return socket.if_nametoindex(scope)
    except OSError:
        pass
    if not scope.isdecimal() or scope.startswith("0") or len(scope) > 9:
        return 0
    try:
        socket.if_indextoname(int(scope))
    except OSError:
        return 0
    return int(scope)


def _parse_name(text: str) -> str:
    if not text:
        raise errors.bad_address(text, "is empty: a host name or an address is needed", "connect")
    if len(text) > _MAX_HOST_LENGTH:
        raise errors.bad_address(text, "is longer than a host name can be", "connect")
    try:
        name = text.encode("idna").decode("ascii")
    except UnicodeError:
        raise errors.bad_address(text, "is not a host name", "connect") from None
    if len(name) > _MAX_HOST_LENGTH or not _HOST_NAME.fullmatch(name):
        raise errors.bad_address(text, "is not a host name", "connect")
    # The system's resolver would accept these as addresses in the short and octal forms of the 1980s.
    if _NUMERIC_LABEL.fullmatch(name.rstrip(".").rpartition(".")[2]):
        raise errors.bad_address(text, "is neither an address nor a host name", "connect")
    return name
