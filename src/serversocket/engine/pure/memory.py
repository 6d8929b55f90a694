"""User buffers: a buffer as bytes, and the distance between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import errors

try:
    from ctypes import addressof, c_char

    addresses_are_known = True
except ImportError:  # an optional part of Python
    addresses_are_known = False

if TYPE_CHECKING:
    from typing_extensions import Buffer


def writable(parameter: str, buffer: Buffer | None, expected: str = "a writable buffer") -> memoryview:
    """Returns a writable, C-contiguous buffer as bytes; it is locked against resizing until they are released.

    Raises:
        TypeError: It is no such buffer, or was released or closed.
    """
    try:
        view = memoryview(buffer)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        raise errors.wrong_type(parameter, buffer, expected) from None
    with view:
        if view.readonly or not view.c_contiguous:
            raise errors.wrong_type(parameter, buffer, expected)
        return view.cast("B") if view.nbytes else memoryview(bytearray())


def distance(start: memoryview, end: memoryview) -> int | None:
    """Returns how many bytes one writable memory begins behind another; ``None`` where Python does not tell."""
    if not addresses_are_known:
        return None
    return addressof(c_char.from_buffer(end)) - addressof(c_char.from_buffer(start))
