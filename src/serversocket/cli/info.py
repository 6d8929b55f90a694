"""``serversocket info``: the facts that a bug report should begin with."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from contextlib import closing
from pathlib import Path

from .. import Reactor, ServerSocket, __version__, implementation
from . import console

SUMMARY = "show the implementation, the versions and the limits of the system"
DESCRIPTION = "Shows the implementation in use, the versions, and the system's limits that matter to servers."
EPILOG = """\
example:
  serversocket info --json"""

_KERNEL_SETTINGS = Path("/proc/sys/net")
_KERNEL_COUNTS = Path("/proc/net/netstat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object; unknown values are null")


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    facts = gather()
    if options.json:
        console.say(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            console.say(f"{name.replace('_', ' '):22} {_shown(value)}")
    return 0


def gather() -> dict[str, object]:
    """Returns all facts; ``None`` for those that the system does not report."""
    soft, hard = _open_files()
    first, last = _ephemeral_ports()
    return {
        "implementation": implementation,
        "version": __version__,
        "tls": _tls(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "platform": platform.platform(),
        "machine": platform.machine(),
        "somaxconn": _setting("core/somaxconn"),
        "tcp_max_syn_backlog": _setting("ipv4/tcp_max_syn_backlog"),
        "listen_overflows": _count("ListenOverflows"),
        "listen_drops": _count("ListenDrops"),
        "open_files_soft": soft,
        "open_files_hard": hard,
        "ephemeral_port_first": first,
        "ephemeral_port_last": last,
        "ipv6": _ipv6_is_usable(),
    }


def _tls() -> str:
    """How TLS is done."""
    import ssl  # noqa: PLC0415 - only where it is used

    return f"Python's ssl on memory ({ssl.OPENSSL_VERSION})"


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _settings(name: str) -> list[int]:
    try:
        return [int(number) for number in (_KERNEL_SETTINGS / name).read_text().split()]
    except (OSError, ValueError):
        return []


def _setting(name: str) -> int | None:
    return next(iter(_settings(name)), None)


def _count(name: str) -> int | None:
    """Returns one of the system's TCP counters. The file has a line of names, followed by a line of their values."""
    try:
        lines = [line.split() for line in _KERNEL_COUNTS.read_text().splitlines() if line.startswith("TcpExt:")]
        names, numbers = lines
        return int(numbers[names.index(name)])
    except (OSError, ValueError, IndexError):
        return None


def _ephemeral_ports() -> tuple[int | None, int | None]:
    match _settings("ipv4/ip_local_port_range"):
        case [first, last]:
            return first, last
    return None, None


def _open_files() -> tuple[int | str | None, int | str | None]:
    if sys.platform == "win32":
        return None, None
    import resource  # noqa: PLC0415 - not available everywhere

    soft, hard = ("unlimited" if n == resource.RLIM_INFINITY else n for n in resource.getrlimit(resource.RLIMIT_NOFILE))
    return soft, hard


def _ipv6_is_usable() -> bool:
    with closing(Reactor()) as reactor, ServerSocket(reactor=reactor) as server:
        try:
            server.bind(0, "::1")
        except OSError:
            return False
        return True
