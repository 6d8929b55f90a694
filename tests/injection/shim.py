"""What a program says to the shim that was loaded before it (`shim.c`)."""

from __future__ import annotations

import ctypes

SHORT = -1  # in place of an error's number: the transfer carries one byte

_library = ctypes.CDLL(None)
_library.shim_arm.argtypes = (ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_int)
_library.shim_chance.argtypes = (ctypes.c_uint64, ctypes.c_uint32)
_library.shim_made.restype = _library.shim_failed.restype = ctypes.c_long


def _number(call: str) -> int:
    number: int = _library.shim_find(call.encode())
    if number < 0:
        raise LookupError(f"the shim does not wrap {call!r}")
    return number


def arm(call: str, occurrence: int, times: int, verdict: int) -> None:
    """From now on, has the `occurrence`-th of these calls fail, and those behind it: `times` altogether."""
    _library.shim_arm(_number(call), occurrence - 1, times, verdict)


def offer(call: str, verdict: int) -> None:
    """Adds to the ways in which a call may fail by chance."""
    if _library.shim_offer(_number(call), verdict) < 0:
        raise ValueError(f"too many ways for {call!r} to fail")


def chance(seed: int, probability: float) -> None:
    """From now on, has each call fail with this probability."""
    _library.shim_chance(seed, round(probability * 1e6))


def off() -> None:
    """Has everything pass from now on."""
    _library.shim_off()


def made(call: str) -> int:
    """How many of these calls there were since the shim was armed."""
    count: int = _library.shim_made(_number(call))
    return count


def failed(call: str) -> int:
    """How many of them failed by the shim's doing."""
    count: int = _library.shim_failed(_number(call))
    return count


def set_option(fd: int, name: int, value: int) -> None:
    """Sets an option of a socket; not a call that fails or counts."""
    if _library.shim_set_option(fd, name, value) < 0:
        raise OSError("setsockopt failed")
