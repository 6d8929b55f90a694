"""Typed reading, over a `ByteArray`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from serversocket import errors
from serversocket.data.byte_array import ByteArray
from serversocket.data.typed import DataInput, DataOutput, Endian, ObjectEncoding

BIG, LITTLE = Endian.BIG_ENDIAN, Endian.LITTLE_ENDIAN

READS: list[tuple[str, str, bytes, object]] = [
    ("read_boolean", BIG, b"\0", False),
    ("read_boolean", BIG, b"\x0a", True),
    ("read_byte", BIG, b"\xff", -1),
    ("read_unsigned_byte", BIG, b"\xff", 255),
    ("read_short", BIG, b"\xff\xfe", -2),
    ("read_short", LITTLE, b"\xfe\xff", -2),
    ("read_unsigned_short", BIG, b"\x01\x02", 258),
    ("read_unsigned_short", LITTLE, b"\x01\x02", 513),
    ("read_int", BIG, b"\xff\xff\xff\xfe", -2),
    ("read_int", LITTLE, b"\x01\0\0\0", 1),
    ("read_unsigned_int", BIG, b"\xff\xff\xff\xff", 2**32 - 1),
    ("read_unsigned_int", LITTLE, b"\0\0\0\x80", 2**31),
    ("read_float", BIG, b"\x3f\x80\0\0", 1.0),
    ("read_float", LITTLE, b"\0\0\x80\xff", -math.inf),
    ("read_double", BIG, b"\x3f\xf0\0\0\0\0\0\0", 1.0),
    ("read_double", LITTLE, b"\0\0\0\0\0\0\xf0\x3f", 1.0),
    ("read_utf", BIG, b"\0\x02ok", "ok"),
    ("read_utf", LITTLE, b"\x02\0ok", "ok"),
]


@pytest.mark.parametrize(("name", "endian", "data", "value"), READS)
def test_values(name: str, endian: str, data: bytes, value: object) -> None:
    array = ByteArray(data + b"rest")
    array.endian = endian
    read = getattr(array, name)()
    assert (read, type(read)) == (value, type(value))
    assert array.position == len(data)


@pytest.mark.parametrize(("name", "endian", "data", "_value"), READS)
def test_too_few_bytes_consume_nothing(name: str, endian: str, data: bytes, _value: object) -> None:
    for size in range(len(data)):
        array = ByteArray(b"\xff" + data[:size])
        array.position = 1
        array.endian = endian
        with pytest.raises(errors.EOFError, match="#2030") as caught:
            getattr(array, name)()
        assert caught.value.error_id == 2030
        assert array.position == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda array: array.read_utf_bytes(4),
        lambda array: array.read_multi_byte(4, "utf-8"),
        lambda array: array.read_bytes(bytearray(), 0, 4),
        lambda array: array.read_utf_bytes(2**32),
    ],
)
def test_more_bytes_than_there_are(read: Callable[[ByteArray], object]) -> None:
    array = ByteArray(b"abc")
    with pytest.raises(errors.EOFError):
        read(array)
    assert array.position == 0


@pytest.mark.parametrize("position", [4, 2**32 - 16, 2**32 - 1])
def test_reading_far_behind_the_end(position: int) -> None:
    array = ByteArray(b"abcd")
    array.position = position
    with pytest.raises(errors.EOFError):
        array.read_int()
    assert (array.position, array.bytes_available) == (position, 0)


# --------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("kind", [ByteArray, bytearray])
def test_read_bytes_takes_all_there_is(kind: Callable[..., Any]) -> None:
    source, target = ByteArray(b"abc"), kind()
    source.read_bytes(target)
    assert (bytes(target), source.position) == (b"abc", 3)
    assert getattr(target, "position", 0) == 0


@pytest.mark.parametrize("kind", [ByteArray, bytearray])
def test_read_bytes_keeps_what_lies_round_about(kind: Callable[..., Any]) -> None:
    source, target = ByteArray(b"abc"), kind(b"0123456")
    source.read_bytes(target, 2, 2)
    assert bytes(target) == b"01ab456"
    source.read_bytes(target, 9)
    assert bytes(target) == b"01ab456\0\0c"


def test_read_bytes_of_nothing_grows_the_target_up_to_the_offset() -> None:
    target = ByteArray()
    ByteArray().read_bytes(target, 8)
    assert target.length == 8


def test_read_bytes_into_itself() -> None:
    array = ByteArray(b"abcd")
    array.read_bytes(array, 2)
    assert (bytes(array), array.position) == (b"ababcd", 4)


@pytest.mark.parametrize(("offset", "length"), [(2**32 - 1, 1), (0, 2**32), (1, 2**32 - 1), (-1, 0), (0, -1)])
def test_read_bytes_outside_all_bounds(offset: int, length: int) -> None:
    with pytest.raises(errors.RangeError, match="#2006"):
        ByteArray(b"abc").read_bytes(bytearray(), offset, length)


def test_read_bytes_into_nothing() -> None:
    with pytest.raises(TypeError, match="#2007"):
        ByteArray(b"abc").read_bytes(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [b"abc", "abc", 1, [], memoryview(bytearray(9))])
def test_read_bytes_into_something_else(target: Any) -> None:
    with pytest.raises(TypeError, match="bytes must be a ByteArray or a bytearray"):
        ByteArray(b"abc").read_bytes(target)


def test_read_bytes_into_a_buffer_that_cannot_grow_consumes_nothing() -> None:
    source, target = ByteArray(b"abc"), bytearray()
    with memoryview(target), pytest.raises(BufferError):
        source.read_bytes(target)
    assert (source.position, target) == (0, b"")


@pytest.mark.parametrize("value", [1.0, "1", None])
def test_lengths_of_the_wrong_type(value: Any) -> None:
    array = ByteArray(b"abc")
    for read in (array.read_utf_bytes, lambda length: array.read_bytes(bytearray(), 0, length)):
        with pytest.raises(TypeError, match="length must be an int"):
            read(value)


# --------------------------------------------------------------------------------------------------- texts


def test_a_text_ends_at_nul_but_all_its_bytes_are_consumed() -> None:
    array = ByteArray(b"ab\0cd")
    assert array.read_utf_bytes(5) == "ab"
    assert array.position == 5
    array.position = 0
    assert (array.read_multi_byte(5, "ascii"), array.position) == ("ab", 5)


def test_a_byte_order_mark_counts_and_is_skipped() -> None:
    array = ByteArray(b"\0\x04\xef\xbb\xbfa")
    assert (array.read_utf(), array.position) == ("a", 6)


def test_malformed_bytes_become_characters() -> None:
    assert ByteArray(b"a\xff\x80").read_utf_bytes(3) == "a\xff\x80"


def test_other_character_sets() -> None:
    assert ByteArray(b"\x93\xfa\x96\x7b").read_multi_byte(4, "shift-jis") == "日本"
    assert ByteArray(b"a\0b\0").read_multi_byte(4, "unicode") == "ab"


def test_no_character_set_comes_before_the_end_of_file() -> None:
    with pytest.raises(TypeError, match="#2007"):
        ByteArray().read_multi_byte(9, None)  # type: ignore[arg-type]


def test_there_is_no_amf_yet_and_nothing_to_install_for_it() -> None:
    with pytest.raises(NotImplementedError, match=r"^read_object: AMF is not implemented yet"):
        ByteArray(b"\x01").read_object()


# ----------------------------------------------------------------------------------------------- settings


def test_defaults_take_no_memory() -> None:
    array = ByteArray()
    assert (array.endian, array.object_encoding) == ("bigEndian", 3)
    array.read_bytes(bytearray())
    assert set(vars(array)) == {"_data", "_position"}


def test_settings_under_both_names() -> None:
    array: Any = ByteArray()
    array.endian = "littleEndian"
    array.objectEncoding = ObjectEncoding.AMF0
    assert (array.endian, array.object_encoding) == (LITTLE, 0)


def test_no_endian() -> None:
    array = ByteArray()
    with pytest.raises(TypeError, match="#2007: Parameter type must be non-null"):
        array.endian = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", ["", "big", "BigEndian", 0, [], b"bigEndian"])
def test_an_unknown_endian_changes_nothing(value: Any) -> None:
    array = ByteArray()
    array.endian = LITTLE
    accepted = "endian: .* is none of 'bigEndian', 'littleEndian'$"
    with pytest.raises(
        errors.ArgumentError, match=f"#2008: Parameter type must be one of the accepted values. {accepted}"
    ):
        array.endian = value
    assert array.endian == LITTLE


@pytest.mark.parametrize("value", [1, 2, -3, None, "3", 3.0, False, []])
def test_an_unknown_object_encoding_changes_nothing(value: Any) -> None:
    array = ByteArray()
    with pytest.raises(errors.ArgumentError, match="#2008"):
        array.object_encoding = value
    assert array.object_encoding == 3


# ------------------------------------------------------------------------------------------- any byte source


class Closed(DataInput, DataOutput):
    """A source that is not open."""

    bytes_available = 0

    def _consume(self, size: int, call: str, /) -> bytes:
        raise errors.not_open(call)

    def _lookahead(self, size: int, call: str, /) -> bytes:
        raise errors.not_open(call)

    def _require_writable(self, call: str, /) -> None:
        raise errors.not_open(call)

    def _put(self, data: bytes, /) -> None:
        raise errors.not_open("write")


CALLS: dict[str, tuple[Any, ...]] = {
    "read_bytes": (bytearray(),), "read_utf_bytes": (0,), "read_multi_byte": (0, "utf-8"), "write_boolean": (True,),
    "write_byte": (1,), "write_short": (1,), "write_int": (1,), "write_unsigned_int": (1,), "write_float": (1,),
    "write_double": (1,), "write_bytes": (b"",), "write_utf": ("",), "write_utf_bytes": ("",),
    "write_multi_byte": ("", "utf-8"), "write_object": (None,),
}  # fmt: skip
METHODS = sorted(
    name for kind in (DataInput, DataOutput) for name in vars(kind) if name.startswith(("read_", "write_"))
)


def test_the_interfaces_are_complete() -> None:
    assert len(METHODS) == 14 + 12
    assert set(CALLS) <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_call_asks_whether_the_source_is_open_even_for_nothing(name: str) -> None:
    with pytest.raises(errors.IOError, match="#2002"):
        getattr(Closed(), name)(*CALLS.get(name, ()))


def test_every_method_has_its_actionscript_name() -> None:
    assert DataInput.readUTFBytes is DataInput.read_utf_bytes  # type: ignore[attr-defined]
    assert DataOutput.writeUnsignedInt is DataOutput.write_unsigned_int  # type: ignore[attr-defined]
    assert not hasattr(DataOutput, "writeUnsignedShort")
