"""Values and events in text, as AIR's ``trace`` and ``Event.formatToString`` print them."""

from __future__ import annotations

import math
from typing import Any

_UNDEFINED = object()


def format_value(value: object) -> str:
    """A value as AS3 prints it inside an event: strings quoted, ``true``, ``false``, ``null``, whole numbers bare."""
    if value is None:
        return "null"
    if value is _UNDEFINED:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        return _format_number(value)
    return str(value)


def _format_number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(int(value)) if value.is_integer() else str(value)


def format_event(event: object, class_name: str, names: tuple[Any, ...]) -> str:
    """``[class_name name=value …]``; a name may be in AS3 or PEP 8 spelling, an unknown one is ``undefined``."""
    parts = [class_name]
    for name in names:
        text = "null" if name is None else str(name)
        parts.append(f"{text}={format_value(getattr(event, text, _UNDEFINED))}")
    return f"[{' '.join(parts)}]"
