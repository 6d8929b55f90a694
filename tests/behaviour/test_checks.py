"""What the numbers and times may be that a program gives: every check asks the type, wherever it is made."""

from __future__ import annotations

import decimal
import fractions
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from serversocket import ByteArray, Reactor, ServerSocket, Socket, errors
from serversocket.checks import (
    as_backlog,
    as_choice,
    as_client_port,
    as_defer_accept,
    as_delay,
    as_duration,
    as_float,
    as_index,
    as_int,
    as_limit,
    as_mark,
    as_milliseconds,
    as_number,
    as_period,
    as_port,
    as_seconds,
    as_size,
    as_timeout,
)


def _named(value: object) -> str:
    """A test's name for a value, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", errors.shown(value))


class _Index:
    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> int:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value  # type: ignore[return-value]


NO_INTEGERS = [
    80.0,
    80.5,
    math.nan,
    "80",
    "\uff18\uff10",
    b"80",
    "http",
    True,
    False,
    None,
    [],
    {},
    decimal.Decimal(80),
    8j,
    int,
]
TOO_SMALL_OR_LARGE = [-1, 65536, 70000, 2**31, 2**32, 2**63, 2**64, -(2**64), 10**6000]


OF_INTEGERS = [
    as_index,
    as_int,
    as_size,
    as_limit,
    as_mark,
    as_port,
    as_client_port,
    as_backlog,
    as_defer_accept,
    as_milliseconds,
]
OF_TIMES = [as_float, as_number, as_seconds, as_timeout, as_delay, as_period, partial(as_duration, call="call")]


@pytest.mark.parametrize("value", [0, 1, 80, 65535, _Index(8080)], ids=_named)
def test_ports(value: object) -> None:
    expected = value.value if isinstance(value, _Index) else value
    assert as_port("local_port", value) == as_client_port("port", value) == expected
    assert type(as_port("local_port", value)) is int


@pytest.mark.parametrize("value", [*TOO_SMALL_OR_LARGE, _Index(65536)], ids=_named)
def test_a_port_out_of_range(value: object) -> None:
    with pytest.raises(errors.RangeError, match="#2003") as caught:
        as_port("local_port", value)
    assert caught.value.error_id == 2003
    with pytest.raises(errors.SecurityError, match="#2003") as refusal:
        as_client_port("port", value)
    assert refusal.value.error_id == 2003


def test_the_message_names_the_port() -> None:
    with pytest.raises(errors.RangeError, match=r"Invalid socket port number specified\. bind: port 70000 "):
        as_port("local_port", 70000)


@pytest.mark.parametrize("value", NO_INTEGERS, ids=_named)
@pytest.mark.parametrize("parse", [as_port, as_client_port, as_backlog])
def test_what_is_no_integer(parse: object, value: object) -> None:
    with pytest.raises(TypeError, match="name must be an int"):
        parse("name", value)  # type: ignore[operator]


@pytest.mark.parametrize("parse", [as_port, as_client_port, as_backlog])
def test_what_an_index_method_raises_comes_through(parse: object) -> None:
    with pytest.raises(LookupError, match="mine"):
        parse("name", _Index(LookupError("mine")))  # type: ignore[operator]
    with pytest.raises(TypeError):
        parse("name", _Index("80"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (128, 128), (0, 2**31 - 1), (2**31 - 1, 2**31 - 1), (2**70, 2**31 - 1), (_Index(5), 5)],
)
def test_backlogs(value: object, expected: int) -> None:
    assert as_backlog("backlog", value) == expected


@pytest.mark.parametrize("value", [-1, -(2**70)], ids=_named)
def test_a_negative_backlog(value: int) -> None:
    with pytest.raises(errors.RangeError, match="#2006") as caught:
        as_backlog("backlog", value)
    assert caught.value.error_id == 2006


# ---------------------------------------------------------------------------------------------- what is asked


class _Plain:
    """Its instances have what their type has not."""

    def __init__(self) -> None:
        self.__index__ = lambda: 1  # type: ignore[assignment]
        self.__float__ = lambda: 1.0

    def __repr__(self) -> str:
        return "a plain one"


def _set(owner: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)


PLACES: dict[str, tuple[str, Callable[[], Callable[[Any], object]]]] = {
    "poll": ("timeout", lambda: Reactor().poll),
    "call_later": ("seconds", lambda: lambda value: Reactor().call_later(value, print)),
    "call_every": ("seconds", lambda: lambda value: Reactor().call_every(value, print)),
    "on_signal": ("signum", lambda: lambda value: Reactor().on_signal(value, print)),
    "Reactor.buffer_limit": ("buffer_limit", lambda: _set(Reactor(), "buffer_limit")),
    "Socket.buffer_limit": ("buffer_limit", lambda: _set(Socket(), "buffer_limit")),
    "high_water_mark": ("high_water_mark", lambda: _set(Socket(), "high_water_mark")),
    "timeout": ("timeout", lambda: _set(Socket(), "timeout")),
    "keep_alive": ("keep_alive", lambda: _set(Socket(), "keep_alive")),
    "idle_timeout": ("idle_timeout", lambda: _set(Socket(), "idle_timeout")),
    "max_connections": ("max_connections", lambda: _set(ServerSocket(), "max_connections")),
    "bind": ("local_port", lambda: lambda value: ServerSocket().bind(value)),
    "connect": ("port", lambda: lambda value: Socket().connect("127.0.0.1", value)),
    "connect from": ("local_port", lambda: lambda value: Socket().connect("127.0.0.1", 80, local_port=value)),
    "position": ("position", lambda: _set(ByteArray(), "position")),
    "write_int": ("value", lambda: ByteArray().write_int),
    "write_double": ("value", lambda: ByteArray().write_double),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_type_is_asked(place: str) -> None:
    parameter, made = PLACES[place]
    with pytest.raises(TypeError, match=rf"{parameter} must be .*, not a plain one \(_Plain\)"):
        made()(_Plain())


@pytest.mark.parametrize("check", OF_INTEGERS + OF_TIMES)
def test_the_error_names_the_parameter(check: Callable[[str, object], object]) -> None:
    for value in ("1", b"1", [], 1j, object(), _Plain()):
        with pytest.raises(TypeError, match=r"^name must be "):
            check("name", value)


@pytest.mark.parametrize("check", [one for one in OF_INTEGERS + OF_TIMES if one not in (as_index, as_size, as_float)])
def test_a_bool_is_no_number(check: Callable[[str, object], object]) -> None:
    with pytest.raises(TypeError, match=r"^name must be .*, not True \(bool\)"):
        check("name", True)


@pytest.mark.parametrize("check", OF_INTEGERS)
def test_an_index_counts_as_the_int_that_it_is(check: Callable[[str, object], object]) -> None:
    assert check("name", _Index(7000)) == check("name", 7000)


@pytest.mark.parametrize("check", OF_TIMES)
@pytest.mark.parametrize("value", [_Index(7), decimal.Decimal(7), fractions.Fraction(7)], ids=_named)
def test_what_is_taken_for_a_float_counts_as_it(check: Callable[[str, object], object], value: object) -> None:
    result = check("name", value)
    assert type(result) is float
    assert result == 7


@pytest.mark.parametrize("value", [10**400, _Index(10**400), fractions.Fraction(10**400)], ids=_named)
def test_what_no_float_can_hold_is_infinite(value: object) -> None:
    assert as_number("name", value) == as_timeout("name", value) == as_delay("name", value) == math.inf
    assert as_duration("name", value, "call") == math.inf
    assert as_seconds("name", value) == 2_000_000


def test_a_time_that_is_off_or_short() -> None:
    assert as_seconds("name", None) == as_seconds("name", 0) == as_seconds("name", -0.0) == 0
    assert as_seconds("name", 1e-9) == 0.001
    assert as_timeout("name", None) == math.inf
    assert as_delay("name", -1) == 0
    assert as_duration("name", 1e-9, "call") == 1e-9
    assert as_duration("name", 0, "call", zero=True) == 0


@pytest.mark.parametrize(
    ("value", "zero"), [(0, False), (-0.0, False), (-1, True), (math.nan, True), (-(10**400), True)]
)
def test_a_duration_that_is_none(value: object, zero: bool) -> None:
    wanted = "0 or more" if zero else "more than 0"
    with pytest.raises(errors.RangeError, match=rf"#2006.* call: name .* is not a number of seconds that is {wanted}"):
        as_duration("name", value, "call", zero=zero)


def test_the_accepted_value_itself_is_kept() -> None:
    class Mine(int):
        pass

    assert type(as_choice("name", Mine(3), (0, 3), "call")) is int
    for value in (1, 3.0, False, "3", None, []):
        with pytest.raises(errors.ArgumentError, match="#2008"):
            as_choice("name", value, (0, 3), "call")


def test_a_port_to_connect_from_is_looked_at_whatever_the_host_is() -> None:
    with pytest.raises(TypeError, match="local_port must be an int"):
        Socket().connect("fe80::1%no-such-interface", 80, local_port="1")  # type: ignore[arg-type]
    with pytest.raises(errors.RangeError, match=r"#2003.* connect: local_port 65536 "):
        Socket().connect("fe80::1%no-such-interface", 80, local_port=65536)


def test_a_port_to_connect_from_is_asked_once() -> None:
    class Counted:
        asked = 0

        def __index__(self) -> int:
            self.asked += 1
            return 0

    port = Counted()
    with Socket() as socket:
        socket.connect("127.0.0.1", 1, local_port=port)
    assert port.asked == 1
