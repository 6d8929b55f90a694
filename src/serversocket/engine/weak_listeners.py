"""What happens to a source when its weak listener is collected."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

__all__ = ["when_gone"]


def when_gone(dispatcher: Any, type: str) -> Callable[[object], None] | None:
    """Returns what to call when a weak listener of a dispatcher is collected; `None` if nothing depends on that.

    A source without listeners lives no longer than the program's references to it. A listener may be collected at any
    moment and in any thread, so the source looks again in the next turn of its reactor.
    """
    if getattr(dispatcher, "reactor", None) is None:
        return None
    return partial(_look_again, weakref.ref(dispatcher), type)


def _look_again(reference: Callable[[], Any], type: str, _listener: object) -> None:
    source = reference()
    if source is not None:
        with suppress(RuntimeError):  # the reactor is closed
            source.reactor.call_soon_threadsafe(source._forget_gone, type)
