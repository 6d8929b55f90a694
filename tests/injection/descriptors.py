"""What is open in this process."""

from __future__ import annotations

import contextlib
import os


def descriptors() -> dict[int, str]:
    """The descriptors and what they are, without the one that the listing itself uses."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found
