"""A `ByteArray`'s length and position, and its habits of a Python sequence."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from serversocket import errors
from serversocket.data.byte_array import ByteArray


def test_fresh() -> None:
    array = ByteArray()
    assert (array.length, array.position, array.bytes_available) == (0, 0, 0)
    assert (str(array), array.endian, array.object_encoding, array.shareable) == ("", "bigEndian", 3, False)


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc"), ByteArray(b"abc")])
def test_made_of_bytes(data: Any) -> None:
    array = ByteArray(data)
    assert (bytes(array), array.position, array.bytes_available) == (b"abc", 0, 3)


def test_it_copies_what_it_is_made_of() -> None:
    data = bytearray(b"abc")
    array = ByteArray(data)
    data[0] = 0
    assert bytes(array) == b"abc"


@pytest.mark.parametrize("data", ["abc", 5, None, [1, 2]])
def test_made_of_something_else(data: Any) -> None:
    with pytest.raises(TypeError):
        ByteArray(data)


def test_the_position_may_lie_behind_the_end() -> None:
    array = ByteArray(b"abc")
    array.position = 10
    assert (array.length, array.position, array.bytes_available) == (3, 10, 0)


def test_shrinking_takes_the_position_along() -> None:
    array = ByteArray(b"abcdef")
    array.position = 5
    array.length = 3
    assert (bytes(array), array.position) == (b"abc", 3)
    array.length = 0
    assert array.position == 0


def test_growing_fills_up_with_zeros_and_leaves_the_position() -> None:
    array = ByteArray(b"abc")
    array.position = 1
    array.length = 5
    assert (bytes(array), array.position) == (b"abc\0\0", 1)


@pytest.mark.parametrize("length", [2**32 - 1, 2**32, 2**70])
def test_a_length_that_is_too_large(length: int) -> None:
    array = ByteArray(b"abc")
    with pytest.raises(errors.MemoryError, match="#1000") as caught:
        array.length = length
    assert caught.value.error_id == 1000
    assert bytes(array) == b"abc"


def test_writing_at_the_highest_position() -> None:
    array = ByteArray(b"abc")
    array.position = 2**32 - 1
    with pytest.raises(errors.MemoryError, match="#1000"):
        array.write_byte(1)
    assert (array.length, array.position) == (3, 2**32 - 1)


@pytest.mark.parametrize("name", ["length", "position"])
def test_extents_that_are_not_possible(name: str) -> None:
    array = ByteArray(b"abc")
    with pytest.raises(errors.RangeError, match="#2006"):
        setattr(array, name, -1)
    for value in (1.0, "1", None):
        with pytest.raises(TypeError):
            setattr(array, name, value)
    with pytest.raises(errors.RangeError, match="#2006"):
        array.position = 2**32
    with pytest.raises(AttributeError):
        array.bytes_available = 1  # type: ignore[misc]
    assert (array.length, array.position) == (3, 0)


def test_clear() -> None:
    array = ByteArray(b"abc")
    array.position = 2
    array.clear()
    assert (array.length, array.position) == (0, 0)


# ------------------------------------------------------------------------------------------------ sequence


def test_an_index_never_moves_the_position() -> None:
    array = ByteArray(b"abc")
    array[2] = -13
    assert (array[2], array[0], array[-1], array.position) == (243, 97, 243, 0)


def test_an_index_behind_the_end() -> None:
    array = ByteArray(b"abc")
    assert (array[3], array[2**70], array[-4]) == (None, None, None)
    array[5] = 0x165
    assert bytes(array) == b"abc\0\0e"
    with pytest.raises(errors.RangeError, match="#2006"):
        array[-7] = 1
    with pytest.raises(errors.MemoryError):
        array[2**32] = 1


@pytest.mark.parametrize("index", [1.0, "1", None])
def test_an_index_of_the_wrong_type(index: Any) -> None:
    array = ByteArray(b"abc")
    with pytest.raises(TypeError):
        array[index]
    with pytest.raises(TypeError):
        array[index] = 1
    with pytest.raises(TypeError):
        array[0] = index


def test_slices_are_bytes() -> None:
    array = ByteArray(b"abcdef")
    assert (array[1:3], array[::-1], array[10:]) == (b"bc", b"fedcba", b"")
    with pytest.raises(TypeError):
        array[1:2] = b"x"  # type: ignore[index, assignment]


def test_in_asks_for_an_index_as_in_actionscript() -> None:
    array = ByteArray(b"abc")
    assert 2 in array
    assert 3 not in array
    assert -1 not in array
    assert ord("a") not in array


def test_in_asks_for_bytes_as_in_python() -> None:
    array = ByteArray(b"abc")
    assert b"bc" in array
    assert ByteArray(b"cb") not in array
    with pytest.raises(TypeError):
        "a" in array  # type: ignore[operator]  # noqa: B015


def test_iteration_and_length() -> None:
    array = ByteArray(b"abc")
    assert list(array) == [97, 98, 99]
    assert list(reversed(array)) == [99, 98, 97]  # type: ignore[call-overload]
    assert (len(array), bool(array), bool(ByteArray())) == (3, True, False)
    assert bytearray(array) == b"abc"


def test_equality_is_that_of_the_bytes() -> None:
    array = ByteArray(b"abc")
    array.position = 2
    for other in (ByteArray(b"abc"), b"abc", bytearray(b"abc"), memoryview(b"abc")):
        assert array == other
        assert other == array
    for different in (ByteArray(b"abd"), b"ab", "abc", None, 3):
        assert array != different
    with pytest.raises(TypeError, match="unhashable"):
        hash(array)


def test_repr() -> None:
    assert repr(ByteArray(b"a\0")) == r"ByteArray(b'a\x00')"
    assert repr(ByteArray(b"x" * 1000)) == f"<ByteArray of 1000 bytes: {b'x' * 60!r}...>"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda array: pickle.loads(pickle.dumps(array))])
def test_copy_and_pickle(again: Any) -> None:
    array = ByteArray(b"abc")
    array.position = 1
    array.endian = "littleEndian"
    twin = again(array)
    assert (bytes(twin), twin.position, twin.endian) == (b"abc", 1, "littleEndian")
    twin.write_byte(0)
    twin.length = 2
    assert (bytes(array), array.position) == (b"abc", 1)


def test_the_default_object_encoding_belongs_to_the_class() -> None:
    kind: Any = ByteArray
    assert (kind.default_object_encoding, kind.defaultObjectEncoding) == (3, 3)
    assert {"default_object_encoding", "defaultObjectEncoding", "length"} <= set(dir(kind))
    try:
        kind.defaultObjectEncoding = 0
        assert (kind.default_object_encoding, ByteArray().object_encoding) == (0, 0)
        with pytest.raises(errors.ArgumentError, match="#2008"):
            kind.default_object_encoding = 1
    finally:
        kind.default_object_encoding = 3
    assert ByteArray().object_encoding == 3


# ------------------------------------------------------------------------------------------------- sharing


def test_compare_and_swap_an_int() -> None:
    array = ByteArray(b"\xff\xff\xff\xff\x01\0\0\0")
    array.endian = "bigEndian"
    assert array.atomic_compare_and_swap_int_at(0, 5, 7) == -1
    assert array.atomic_compare_and_swap_int_at(0, -1, 2**32 + 7) == -1
    assert array.atomic_compare_and_swap_int_at(4, 1, -2) == 1
    assert bytes(array) == b"\x07\0\0\0\xfe\xff\xff\xff"


@pytest.mark.parametrize("index", [-4, -1, 1, 2, 3])
def test_compare_and_swap_at_a_place_that_no_int_can_have(index: int) -> None:
    with pytest.raises(errors.ArgumentError, match="#2004"):
        ByteArray(bytes(8)).atomic_compare_and_swap_int_at(index, 0, 1)


@pytest.mark.parametrize("index", [8, 2**70])
def test_compare_and_swap_outside_the_array(index: int) -> None:
    with pytest.raises(errors.RangeError, match="#2006"):
        ByteArray(bytes(11)).atomic_compare_and_swap_int_at(index, 0, 1)


def test_compare_and_swap_the_length() -> None:
    array = ByteArray(b"abc")
    assert (array.atomic_compare_and_swap_length(2, 9), array.length) == (3, 3)
    assert (array.atomic_compare_and_swap_length(3, 5), bytes(array)) == (3, b"abc\0\0")
    with pytest.raises(errors.MemoryError):
        array.atomic_compare_and_swap_length(5, 2**32)
    assert array.atomic_compare_and_swap_length(5, 0) == 5


def test_shareable_is_kept() -> None:
    array = ByteArray()
    array.shareable = True
    assert array.shareable
    assert not ByteArray().shareable
