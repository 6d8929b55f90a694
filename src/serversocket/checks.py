"""Every check of an argument, in one place: numbers, times, texts, ports and limits.

Each check takes the parameter's name and the value, and returns the value in the form that the package works with. It
looks up ``__index__`` and ``__float__`` on the type, as Python's own operators do. A `bool` is not a number, except
for the typed writers, which convert values as ActionScript does. What ``__index__`` or ``__float__`` raises propagates.
"""

from __future__ import annotations

import errno
import math
import operator
import sys
from collections.abc import Collection
from typing import SupportsIndex, TypeGuard, TypeVar

from . import errors
from .defaults import LEAST_TIMEOUT, LONGEST_TIMEOUT

_T = TypeVar("_T")

_PORTS = range(65536)
_LARGEST_INT = 2**31 - 1  # of C
_LARGEST_LIMIT = 2**62
_LEAST_SECONDS = 0.001
_MOST_SECONDS = 2_000_000  # in milliseconds they have to fit into 31 bits


# ------------------------------------------------------------------------------------------- kinds of values


def is_index(value: object) -> TypeGuard[SupportsIndex]:
    """Returns True for an int, `bool` included, and for anything with ``__index__``."""
    return hasattr(type(value), "__index__")


def as_index(parameter: str, value: object, expected: str = "an int") -> int:
    """An int, or anything with ``__index__``, `bool` included.

    Args:
        parameter: The name of the parameter.
        value: The given value.
        expected: The expected type, as the error names it.

    Raises:
        TypeError: The value has any other type.
    """
    if not is_index(value):
        raise errors.wrong_type(parameter, value, expected)
    return operator.index(value)


def as_int(parameter: str, value: object, expected: str = "an int") -> int:
    """Like `as_index`, but refuses `bool`.

    Example:
        >>> as_int("workers", True, "an int or None")
        Traceback (most recent call last):
        TypeError: workers must be an int or None, not True (bool)
    """
    if isinstance(value, bool):
        raise errors.wrong_type(parameter, value, expected)
    return as_index(parameter, value, expected)


def as_float(parameter: str, value: object, expected: str = "a number") -> float:
    """A number, `bool` included; infinite if it is too large for a float.

    Args:
        parameter: The name of the parameter.
        value: An int, a float, or anything with ``__float__`` or ``__index__``.
        expected: The expected type, as the error names it.

    Raises:
        TypeError: The value has any other type.
    """
    if not (hasattr(type(value), "__float__") or is_index(value)):
        raise errors.wrong_type(parameter, value, expected)
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        exact = operator.index(value) if is_index(value) else value
        return math.inf if exact > 0 else -math.inf  # type: ignore[operator]


def as_number(parameter: str, value: object, expected: str = "a number of seconds") -> float:
    """Like `as_float`, but refuses `bool`; infinity and not-a-number are accepted."""
    if isinstance(value, bool):
        raise errors.wrong_type(parameter, value, expected)
    return as_float(parameter, value, expected)


def as_string(parameter: str, value: object) -> str:
    """A string.

    Raises:
        TypeError: The value is `None` (#2007) or has any other type.
    """
    if isinstance(value, str):
        return value
    raise errors.null(parameter) if value is None else errors.wrong_type(parameter, value, "a string")


def as_choice(parameter: str, value: object, accepted: Collection[_T], call: str) -> _T:
    """Returns the accepted value that has the same type and is equal to the given one.

    Raises:
        ArgumentError: No accepted value is (#2008).
    """
    for one in accepted:
        if isinstance(value, type(one)) and not isinstance(value, bool) and value == one:
            return one
    raise errors.not_accepted(call, parameter, value, accepted)


# ------------------------------------------------------------------------------------------- sizes and limits


def as_size(parameter: str, value: object, call: str = "") -> int:
    """An offset, a length or a position: like `as_index`, but not negative.

    Args:
        parameter: The name of the parameter, or of the property that is set.
        value: The given value.
        call: The call that has the parameter; empty for a property.

    Raises:
        TypeError: The value is not an int.
        RangeError: It is negative (#2006).
    """
    number = as_index(parameter, value)
    if number < 0:
        raise _negative(parameter, number, call)
    return number


def as_limit(parameter: str, value: object) -> int:
    """A limit: an int of at least 1; values beyond any machine's reach are clamped.

    Raises:
        TypeError: The value is not an int.
        RangeError: It is less than 1 (#2006).
    """
    number = as_int(parameter, value, "an integer")
    if number < 1:
        raise errors.out_of_bounds(parameter, f"{errors.shown(number)} is not positive")
    return min(number, _LARGEST_LIMIT)


def as_mark(parameter: str, value: object) -> int:
    """A high-water mark: an int of at least 0.

    Raises:
        TypeError: The value is not an int.
        RangeError: It is negative (#2006).
    """
    number = as_int(parameter, value, "an integer")
    if number < 0:
        raise _negative(parameter, number)
    return number


def _negative(parameter: str, number: int, call: str = "") -> errors.RangeError:
    shown = f"{errors.shown(number)} is negative"
    return errors.out_of_bounds(call, f"{parameter} {shown}") if call else errors.out_of_bounds(parameter, shown)


# ------------------------------------------------------------------------------------------- for the network


def as_port(parameter: str, value: object, shown_as: str = "bind: port") -> int:
    """A local port.

    Args:
        parameter: The name of the parameter.
        value: An int, or anything with ``__index__``.
        shown_as: How the error for a number out of range names the parameter.

    Raises:
        TypeError: The value has any other type.
        RangeError: It is outside 0 to 65535 (#2003).
    """
    port = as_int(parameter, value)
    if port not in _PORTS:
        raise errors.bad_port(port, shown_as)
    return port


def as_client_port(parameter: str, value: object) -> int:
    """The port that a client connects to.

    Raises:
        TypeError: The value is not an int.
        SecurityError: It is outside 0 to 65535 (#2003).
    """
    port = as_int(parameter, value)
    if port not in _PORTS:
        raise errors.security_port(port)
    return port


def as_backlog(parameter: str, value: object) -> int:
    """The backlog for ``listen(2)``, which limits it to the system's maximum.

    Args:
        parameter: The name of the parameter.
        value: The number of connections that may wait, an int or anything with ``__index__``; 0 for the maximum.

    Raises:
        TypeError: The value has any other type.
        RangeError: It is negative (#2006).
    """
    backlog = as_int(parameter, value)
    if backlog < 0:
        raise _negative(parameter, backlog, "listen")
    return min(backlog, _LARGEST_INT) or _LARGEST_INT


def as_defer_accept(parameter: str, value: object) -> int:
    """How long the system holds back a client that sends nothing, for ``TCP_DEFER_ACCEPT``.

    Args:
        parameter: The name of the parameter.
        value: Seconds, an int or anything with ``__index__``; 0 turns it off.

    Raises:
        TypeError: The value has any other type.
        RangeError: It is negative, or more than a C int holds (#2006).
        IOError: The system does not support it (#2002, ``ENOTSUP``).
    """
    seconds = as_int(parameter, value)
    if not 0 <= seconds <= _LARGEST_INT:
        raise errors.out_of_bounds("listen", f"{parameter} {errors.shown(seconds)} is not between 0 and 2**31 - 1")
    if seconds and sys.platform != "linux":
        detail = f"{parameter}: {sys.platform} does not hold clients back until they send"
        raise errors.invalid_socket("listen", detail, errno.ENOTSUP)
    return seconds


# ------------------------------------------------------------------------------------------- times


def as_milliseconds(parameter: str, value: object) -> int:
    """How many milliseconds a connect may take; clamped to the possible range.

    Raises:
        TypeError: The value is not an int.
    """
    return min(max(as_int(parameter, value, "an integer, in milliseconds"), LEAST_TIMEOUT), LONGEST_TIMEOUT)


def as_seconds(parameter: str, value: object) -> float:
    """A timeout that can be off: seconds, at least a millisecond; ``None`` and 0 become 0, which is off.

    Raises:
        TypeError: The value is neither a number nor ``None``.
        RangeError: It is negative or not-a-number (#2006).
    """
    seconds = 0.0 if value is None else as_number(parameter, value, "a number of seconds or None")
    if not seconds >= 0:
        raise errors.out_of_bounds(parameter, f"{errors.shown(value)} is not a number of seconds that is 0 or more")
    return min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS) if seconds else 0.0


def as_duration(
    parameter: str, value: object, call: str, expected: str = "a number of seconds", *, zero: bool = False
) -> float:
    """How long something may take: seconds, infinity included.

    Args:
        parameter: The name of the parameter.
        value: The given value.
        call: The call that has the parameter.
        expected: The expected type, as the error names it.
        zero: True to accept 0 too.

    Raises:
        TypeError: The value is not a number.
        RangeError: It is 0, negative or not-a-number (#2006).

    Example:
        >>> as_duration("start_timeout", 0, "Supervisor")
        Traceback (most recent call last):
        serversocket.errors.RangeError: Error #2006: The supplied index is out of bounds. Supervisor: start_timeout 0 is not a number of seconds that is more than 0
    """  # noqa: E501 - a line of output
    seconds = as_number(parameter, value, expected)
    if not (seconds > 0 or (zero and seconds == 0)):
        wanted = "0 or more" if zero else "more than 0"
        raise errors.out_of_bounds(
            call, f"{parameter} {errors.shown(value)} is not a number of seconds that is {wanted}"
        )
    return seconds


def as_timeout(parameter: str, value: object) -> float:
    """How long to wait: seconds; ``None`` is infinite.

    Raises:
        TypeError: The value is neither a number nor ``None``.
        ValueError: It is negative or not-a-number.
    """
    seconds = math.inf if value is None else as_number(parameter, value, "a number of seconds or None")
    if not seconds >= 0:
        raise ValueError(f"{parameter} must be a number of seconds that is not negative, not {errors.shown(value)}")
    return seconds


def as_delay(parameter: str, value: object) -> float:
    """A delay: seconds; negative becomes 0, infinite means never.

    Raises:
        TypeError: The value is not a number.
        ValueError: It is not-a-number.
    """
    seconds = as_number(parameter, value)
    if math.isnan(seconds):
        raise ValueError(f"{parameter} must be a number, not nan")
    return max(seconds, 0.0)


def as_period(parameter: str, value: object) -> float:
    """A period: seconds.

    Raises:
        TypeError: The value is not a number.
        ValueError: It is not-a-number, infinite, 0 or negative.
    """
    seconds = as_number(parameter, value)
    if not 0 < seconds < math.inf:
        raise ValueError(f"{parameter} must be a number of seconds that is more than 0, not {errors.shown(value)}")
    return seconds
