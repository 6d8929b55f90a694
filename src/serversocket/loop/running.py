"""The async library that runs in this thread. Asking never imports one."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["in_trio", "running_loop", "running_trio"]


def running_loop() -> Any | None:
    """Returns the asyncio loop that runs in this thread, or ``None``."""
    asyncio_events = sys.modules.get("asyncio.events")
    return None if asyncio_events is None else asyncio_events._get_running_loop()


def running_trio() -> Any | None:
    """Returns the token of the trio run in this thread, or ``None``."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel.current_trio_token() if lowlevel is not None and lowlevel.in_trio_run() else None


def in_trio() -> bool:
    """Returns True if a trio task runs in this thread, even inside an asyncio loop."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel is not None and lowlevel.in_trio_task()
