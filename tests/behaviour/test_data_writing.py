"""Typed writing, over a `ByteArray`."""

from __future__ import annotations

import array as arrays
import ctypes
import decimal
import math
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from serversocket import errors
from serversocket.data.byte_array import ByteArray
from serversocket.data.typed import Endian

from .helpers import connection

if TYPE_CHECKING:
    from typing_extensions import Buffer

BIG, LITTLE = Endian.BIG_ENDIAN, Endian.LITTLE_ENDIAN


class Index:
    def __index__(self) -> int:
        return 258


@pytest.mark.parametrize(
    ("name", "endian", "value", "data"),
    [
        ("write_boolean", BIG, True, b"\x01"),
        ("write_boolean", BIG, 0, b"\0"),
        ("write_boolean", BIG, 10, b"\x01"),
        ("write_boolean", BIG, None, b"\0"),
        ("write_byte", BIG, -257, b"\xff"),
        ("write_byte", BIG, -259, b"\xfd"),
        ("write_byte", BIG, 2**70 + 1, b"\x01"),
        ("write_byte", BIG, True, b"\x01"),
        ("write_short", BIG, 0x12345, b"\x23\x45"),
        ("write_short", LITTLE, -2, b"\xfe\xff"),
        ("write_int", BIG, -2, b"\xff\xff\xff\xfe"),
        ("write_int", LITTLE, 2**32 + 1, b"\x01\0\0\0"),
        ("write_int", BIG, Index(), b"\0\0\x01\x02"),
        ("write_unsigned_int", BIG, 2**32 - 1, b"\xff\xff\xff\xff"),
        ("write_float", BIG, 1, b"\x3f\x80\0\0"),
        ("write_float", LITTLE, 1.0, b"\0\0\x80\x3f"),
        ("write_float", BIG, 1e300, b"\x7f\x80\0\0"),
        ("write_float", BIG, -(10**400), b"\xff\x80\0\0"),
        ("write_float", BIG, math.nan, b"\x7f\xc0\0\0"),
        ("write_double", BIG, 1.0, b"\x3f\xf0\0\0\0\0\0\0"),
        ("write_double", LITTLE, decimal.Decimal(1), b"\0\0\0\0\0\0\xf0\x3f"),
        ("write_double", BIG, 10**400, b"\x7f\xf0\0\0\0\0\0\0"),
        ("write_utf", BIG, "né", b"\0\x03n\xc3\xa9"),
        ("write_utf", LITTLE, "né", b"\x03\0n\xc3\xa9"),
        ("write_utf", BIG, "", b"\0\0"),
        ("write_utf_bytes", LITTLE, "a\0é", b"a\0\xc3\xa9"),
        ("write_bytes", BIG, b"abc", b"abc"),
        ("write_bytes", BIG, bytearray(b"abc"), b"abc"),
        ("write_bytes", BIG, memoryview(b"a-b-c")[::2], b"abc"),
        ("write_bytes", BIG, arrays.array("B", b"abc"), b"abc"),
        ("write_bytes", BIG, ByteArray(b"abc"), b"abc"),
        ("write_bytes", BIG, b"", b""),
    ],
)
def test_values(name: str, endian: str, value: object, data: bytes) -> None:
    array = ByteArray()
    array.endian = endian
    getattr(array, name)(value)
    assert (bytes(array), array.position) == (data, len(data))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("write_byte", [1.0, "1", None, b"1", []]),
        ("write_short", [1.0, None]),
        ("write_int", [1.5, "1", None]),
        ("write_unsigned_int", [1.0, None]),
        ("write_float", ["1", None, b"1", 1j]),
        ("write_double", ["1", None, []]),
        ("write_utf", [None, b"a", 1]),
        ("write_utf_bytes", [None, b"a", 1]),
        ("write_bytes", [None, "a", 1, [1]]),
    ],
)
def test_values_of_the_wrong_type_write_nothing(name: str, values: list[Any]) -> None:
    array = ByteArray()
    for value in values:
        with pytest.raises(TypeError):
            getattr(array, name)(value)
    assert (array.length, array.position) == (0, 0)


@pytest.mark.parametrize("name", ["write_utf", "write_utf_bytes", "write_bytes"])
def test_nothing_at_all_has_airs_number(name: str) -> None:
    with pytest.raises(TypeError, match="#2007") as caught:
        getattr(ByteArray(), name)(None)
    assert caught.value.error_id == 2007  # type: ignore[attr-defined]


def test_write_utf_takes_65535_bytes_and_no_more() -> None:
    array = ByteArray()
    with pytest.raises(errors.RangeError, match="#2006"):
        array.write_utf("é" * 32768)
    assert array.length == 0
    array.write_utf("é" * 32767 + "a")
    assert array.length == 2 + 65535


def test_write_multi_byte() -> None:
    array = ByteArray()
    array.write_multi_byte("日本", "shift-jis")
    array.write_multi_byte("a€", "us-ascii")
    array.write_multi_byte("ab", "unicode")
    assert bytes(array) == b"\x93\xfa\x96\x7ba?a\0b\0"
    for arguments in ((None, "utf-8"), ("a", None)):
        with pytest.raises(TypeError, match="#2007"):
            array.write_multi_byte(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("offset", "length", "data"), [(0, 0, b"abcd"), (1, 0, b"bcd"), (1, 2, b"bc"), (4, 0, b""), (0, 4, b"abcd")]
)
def test_parts_of_an_array(offset: int, length: int, data: bytes) -> None:
    for source in (b"abcd", bytearray(b"abcd"), ByteArray(b"abcd")):
        array = ByteArray()
        array.write_bytes(source, offset, length)
        assert bytes(array) == data


@pytest.mark.parametrize(("offset", "length"), [(5, 0), (0, 5), (4, 1), (2**70, 0), (0, 2**70), (-1, 0), (0, -1)])
def test_parts_outside_the_array(offset: int, length: int) -> None:
    array = ByteArray()
    with pytest.raises(errors.RangeError, match="#2006"):
        array.write_bytes(b"abcd", offset, length)
    assert array.length == 0


GRID = memoryview(bytes(range(24)))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(GRID[::2], id="every other"),
        pytest.param(GRID[::-1], id="backwards"),
        pytest.param(GRID.cast("H"), id="items of two bytes"),
        pytest.param(GRID.cast("I")[::2], id="every other item"),
        pytest.param(GRID.cast("B", [4, 6]), id="rows"),
        pytest.param(GRID.cast("B", [4, 6])[::2], id="every other row"),
        pytest.param(GRID.cast("H", [2, 3, 2])[::-1], id="three dimensions"),
        pytest.param(GRID.cast("B", [24, 1])[5:5:2], id="no row"),
        pytest.param((ctypes.c_int32 * 6)(*range(6)), id="of ctypes"),
        pytest.param(ctypes.c_int64(2**40 + 5), id="without dimension"),
        pytest.param(arrays.array("d", [1.5, 2.5]), id="of floats"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param(bytearray(), id="nothing"),
    ],
)
def test_any_part_of_anything_bytes_like(source: Buffer) -> None:
    data = memoryview(source).tobytes()
    for offset in range(len(data) + 1):
        for length in range(len(data) + 1 - offset):
            array = ByteArray()
            array.write_bytes(source, offset, length)
            assert bytes(array) == data[offset : offset + length if length else None]
        with pytest.raises(errors.RangeError, match=rf"#2006.* go beyond the {len(data)} bytes"):
            ByteArray().write_bytes(source, offset, len(data) + 1 - offset)


def test_a_source_is_free_again_when_it_was_written() -> None:
    for source in (bytearray(b"abcd"), ByteArray(b"abcd")):
        ByteArray().write_bytes(source, 1, 2)
        with pytest.raises(errors.RangeError):
            ByteArray().write_bytes(source, 1, 5)
        ByteArray(source)
        source.append(1) if isinstance(source, bytearray) else source.clear()


LARGE = 4 * 1024 * 1024
PART = 1024
MOST = 16 * PART

sources = pytest.mark.parametrize(
    "make",
    [
        pytest.param(bytes, id="bytes"),
        pytest.param(bytearray, id="bytearray"),
        pytest.param(ByteArray, id="ByteArray"),
        pytest.param(memoryview, id="memoryview"),
        pytest.param(lambda data: memoryview(data)[::2], id="every other byte"),
        pytest.param(lambda data: memoryview(data).cast("I"), id="items of four bytes"),
        pytest.param(lambda data: memoryview(data).cast("B", [LARGE // 64, 64])[::2], id="every other row"),
        pytest.param(lambda data: arrays.array("I", data), id="array"),
        pytest.param((ctypes.c_int32 * (LARGE // 4)).from_buffer_copy, id="of ctypes"),
    ],
)


def allocated(call: Callable[[], object]) -> int:
    """How much memory a call takes at most, on top of what there is."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@sources
def test_a_part_of_much_costs_no_more_than_the_part(make: Callable[[bytes], Any]) -> None:
    source = make(bytes(LARGE))
    array = ByteArray(bytes(LARGE))
    assert allocated(lambda: array.write_bytes(source, LARGE // 4, PART)) < MOST
    assert array.position == PART
    assert allocated(lambda: array.write_bytes(source, 0, PART)) < MOST
    assert array.position == 2 * PART


@sources
def test_a_part_of_much_costs_a_socket_no_more_than_the_part(make: Callable[[bytes], Any]) -> None:
    source = make(bytes(LARGE))
    with connection() as it:
        assert allocated(lambda: it.socket.write_bytes(source, LARGE // 4, PART)) < MOST
        assert it.socket.bytes_pending == PART


def test_bytes_are_written_to_a_socket_without_a_copy() -> None:
    data = bytes(LARGE)
    with connection() as it:
        assert allocated(lambda: it.socket.write_bytes(data)) < MOST
        it.socket.abort()


def test_a_part_of_much_is_read_at_the_cost_of_the_part() -> None:
    array, target = ByteArray(bytes(LARGE)), ByteArray(bytes(LARGE))
    for into in (target, bytearray(LARGE), array):
        assert allocated(lambda: array.read_bytes(into, LARGE // 2, PART)) < MOST  # noqa: B023 - called at once
    assert array.position == 3 * PART


def test_an_array_is_made_with_one_copy() -> None:
    for source in (bytes(LARGE), bytearray(LARGE), ByteArray(bytes(LARGE))):
        assert allocated(lambda: ByteArray(source)) < LARGE + MOST  # noqa: B023 - called at once


def test_an_array_can_be_written_into_itself() -> None:
    array = ByteArray(b"abcd")
    array.position = 2
    array.write_bytes(array)
    assert (bytes(array), array.position) == (b"ababcd", 6)


def test_writing_overwrites_in_place_and_fills_gaps_with_zeros() -> None:
    array = ByteArray(b"abcd")
    array.position = 1
    array.write_byte(ord("X"))
    assert (bytes(array), array.position) == (b"aXcd", 2)
    array.position = 6
    array.write_byte(ord("Y"))
    assert bytes(array) == b"aXcd\0\0Y"


def test_there_is_no_amf_yet_and_nothing_to_install_for_it() -> None:
    array = ByteArray()
    with pytest.raises(NotImplementedError, match=r"^write_object: AMF is not implemented yet"):
        array.write_object({})
    assert array.length == 0
