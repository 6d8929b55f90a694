"""What every server shares: the command line, and what it prints.

    python SERVER.py [OPTION...] ROLE

The server prints its port and serves 127.0.0.1 in that role until SIGTERM. The options choose a variant, such as the
loop that it runs in.
"""

import sys
from typing import TypeVar

ADDRESS = "127.0.0.1"
BACKLOG = 4096
READ_SIZE = 65536
CHUNK = b"x" * 65536

Role = TypeVar("Role")


def role(roles: dict[str, Role]) -> Role:
    """Return the entry of *roles* that the command line's last argument names."""
    try:
        return roles[sys.argv[-1]]
    except KeyError:
        sys.exit(f"usage: {sys.argv[0]} {' | '.join(roles)}")


def chosen(option: str) -> bool:
    """Returns True if the command line has this option before the role."""
    return option in sys.argv[1:-1]


def say(*words: object) -> None:
    print(*words, flush=True)


def announce(port: int, *more: object) -> None:
    say("PORT", port, *more)
