"""What every server of the benchmark shares: its command line and the line that tells its port."""

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


def announce(port: int) -> None:
    print("PORT", port, flush=True)
