"""The program's memory: a buffer as bytes, and how far two of them lie apart."""

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
    """The bytes of a writable, C-contiguous buffer, which is locked against resizing until they are released.

    Raises:
        TypeError: It is none, or it was released or closed.
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
    """How many bytes one writable memory begins behind another; ``None`` where Python does not tell."""
    if not addresses_are_known:
        return None
    return addressof(c_char.from_buffer(end)) - addressof(c_char.from_buffer(start))
