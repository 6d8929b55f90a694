"""What is written is read again, whatever it is; and no bytes make a read fail otherwise than promised."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serversocket import errors
from serversocket.data.byte_array import ByteArray, CompressionAlgorithm
from serversocket.data.typed import Endian

endians = st.sampled_from([Endian.BIG_ENDIAN, Endian.LITTLE_ENDIAN])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(
    lambda text: not text.startswith("\ufeff")
)
algorithms = st.sampled_from([CompressionAlgorithm.ZLIB, CompressionAlgorithm.DEFLATE, CompressionAlgorithm.LZMA])

VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "boolean": ("boolean", st.booleans()),
    "byte": ("byte", st.integers(-(2**7), 2**7 - 1)),
    "unsigned_byte": ("byte", st.integers(0, 2**8 - 1)),
    "short": ("short", st.integers(-(2**15), 2**15 - 1)),
    "unsigned_short": ("short", st.integers(0, 2**16 - 1)),
    "int": ("int", st.integers(-(2**31), 2**31 - 1)),
    "unsigned_int": ("unsigned_int", st.integers(0, 2**32 - 1)),
    "float": ("float", st.floats(width=32, allow_nan=False)),
    "double": ("double", st.floats(allow_nan=False)),
    "utf": ("utf", texts),
}

typed_values = st.one_of(
    [st.tuples(st.just(read), st.just(write), values, endians) for read, (write, values) in VALUES.items()]
)


@given(st.lists(typed_values))
def test_typed_values_there_and_back(values: list[tuple[str, str, Any, str]]) -> None:
    array = ByteArray()
    for _, write, value, endian in values:
        array.endian = endian
        getattr(array, f"write_{write}")(value)
    array.position = 0
    for read, _, value, endian in values:
        array.endian = endian
        assert getattr(array, f"read_{read}")() == value
    assert array.bytes_available == 0


@given(st.integers(), endians)
def test_the_low_bits_are_written(value: int, endian: str) -> None:
    array = ByteArray()
    array.endian = endian
    array.write_byte(value)
    array.write_short(value)
    array.write_int(value)
    mark = ">" if endian == Endian.BIG_ENDIAN else "<"
    assert struct.unpack(f"{mark}BHI", bytes(array)) == (value % 2**8, value % 2**16, value % 2**32)


@given(texts, st.sampled_from(["utf-8", "unicode", "unicodeFFFE", "gb18030"]))
def test_texts_in_character_sets_there_and_back(text: str, char_set: str) -> None:
    array = ByteArray()
    array.write_multi_byte(text, char_set)
    array.position = 0
    assert array.read_multi_byte(array.length, char_set) == text


@given(st.binary(), st.text())
def test_any_bytes_are_a_text_in_any_character_set(data: bytes, char_set: str) -> None:
    array = ByteArray(data)
    assert isinstance(array.to_string(), str)
    assert "\0" not in array.read_utf_bytes(len(data))
    array.position = 0
    assert "\0" not in array.read_multi_byte(len(data), char_set)
    assert array.position == len(data)


@given(st.binary(), st.sampled_from(sorted(VALUES)), endians)
def test_a_read_succeeds_or_consumes_nothing(data: bytes, kind: str, endian: str) -> None:
    array = ByteArray(data)
    array.endian = endian
    try:
        getattr(array, f"read_{kind}")()
    except errors.EOFError:
        assert array.position == 0
    else:
        assert 0 < array.position <= len(data)


@given(st.binary(), st.text())
def test_texts_of_bytes_there_and_back(data: bytes, text: str) -> None:
    array = ByteArray(data)
    assert ByteArray.create_from_base64(array.to_base64()) == array
    assert ByteArray.create_from_hex_string(array.to_hex_string()) == array
    for make in (ByteArray.create_from_base64, ByteArray.create_from_hex_string):
        with contextlib.suppress(errors.ArgumentError):
            make(text)


@given(st.binary(), algorithms)
def test_compression_there_and_back(data: bytes, algorithm: str) -> None:
    array = ByteArray(data)
    array.compress(algorithm)
    array.uncompress(algorithm)
    assert bytes(array) == data


@given(st.binary(min_size=1), algorithms, st.binary(max_size=30), st.integers(0, 40))
def test_damaged_data_is_refused_or_is_other_data(data: bytes, algorithm: str, patch: bytes, place: int) -> None:
    array = ByteArray(data)
    array.compress(algorithm)
    damaged = bytes(array[:place]) + patch + bytes(array[place + len(patch) :])
    array = ByteArray(damaged)
    try:
        array.uncompress(algorithm, max_length=2**20)
    except (errors.IOError, errors.MemoryError):
        assert bytes(array) == damaged
    else:
        assert array.position == 0


class AgainstAModel(RuleBasedStateMachine):
    """A byte array against plain Python: a `bytearray` and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.array = ByteArray()
        self.data = bytearray()
        self.position = 0

    def _overwrite(self, offset: int, data: bytes) -> None:
        if data:
            self.data.extend(bytes(max(0, offset - len(self.data))))
            self.data[offset : offset + len(data)] = data

    @rule(data=st.binary(), offset=st.integers(0, 20), length=st.integers(0, 20))
    def write(self, data: bytes, offset: int, length: int) -> None:
        if offset + length > len(data):
            with pytest.raises(errors.RangeError):
                self.array.write_bytes(data, offset, length)
            return
        self.array.write_bytes(data, offset, length)
        part = data[offset : offset + length] if length else data[offset:]
        self._overwrite(self.position, part)
        self.position += len(part)

    @rule(offset=st.integers(0, 20), length=st.integers(0, 20))
    def read(self, offset: int, length: int) -> None:
        target = ByteArray(b"0123456789")
        available = max(0, len(self.data) - self.position)
        if length > available:
            with pytest.raises(errors.EOFError):
                self.array.read_bytes(target, offset, length)
            return
        self.array.read_bytes(target, offset, length)
        count = length or available
        part = bytes(self.data[self.position : self.position + count])
        model = bytearray(b"0123456789")
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + count] = part
        assert bytes(target) == model
        self.position += count

    @rule(position=st.integers(0, 100))
    def move(self, position: int) -> None:
        self.array.position = self.position = position

    @rule(length=st.integers(0, 100))
    def cut(self, length: int) -> None:
        self.array.length = length
        self.data = self.data[:length] + bytes(max(0, length - len(self.data)))
        self.position = min(self.position, length)

    @rule(index=st.integers(0, 100), value=st.integers())
    def assign(self, index: int, value: int) -> None:
        self.array[index] = value
        self._overwrite(index, bytes([value % 256]))

    @rule()
    def clear(self) -> None:
        self.array.clear()
        self.data.clear()
        self.position = 0

    @invariant()
    def same(self) -> None:
        assert bytes(self.array) == self.data
        assert self.array.position == self.position
        assert self.array.length == len(self.array) == len(self.data)
        assert self.array.bytes_available == max(0, len(self.data) - self.position)
        assert [self.array[index] for index in range(len(self.data) + 1)] == [*self.data, None]


TestAgainstAModel = AgainstAModel.TestCase
