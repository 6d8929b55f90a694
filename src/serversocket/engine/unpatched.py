"""The originals of what gevent's monkey patching replaces: to a reactor, greenlets are no threads."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["RLock", "close", "get_ident", "local", "original"]


def original(module: str, name: str) -> Any:
    """Returns a member of a standard module as it was before it was patched.

    Raises:
        ImportError: The module has no such member on this system.
    """
    monkey = sys.modules.get("gevent.monkey")
    try:
        if monkey is not None:
            return monkey.get_original(module, name)
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ImportError(f"cannot import name {name!r} from {module!r}", name=module) from None


get_ident: Callable[[], int] = original("_thread", "get_ident")
local: Any = original("_thread", "_local")
RLock: Any = original("_thread", "RLock")
close: Callable[[int], None] = original("os", "close")
