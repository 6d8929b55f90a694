"""A `ByteArray` as a text, and made of texts."""

from __future__ import annotations

from typing import Any

import pytest

from serversocket import errors
from serversocket.data.byte_array import ByteArray


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"abc", "abc"),
        (b"a\0b", "a\0b"),
        (b"\xef\xbb\xbfabc", "abc"),
        (b"\xfe\xff\0a\0b", "ab"),
        (b"\xff\xfea\0b\0", "ab"),
        (b"\xff\xfea\0b", "a"),
        (b"\xff\xfe", ""),
        (b"\xff\xfe\x00\xd8", "\ud800"),
        (b"a\xff\x80", "a\xff\x80"),
        ("né€\U0001f600".encode(), "né€\U0001f600"),
    ],
)
def test_to_string(data: bytes, text: str) -> None:
    array = ByteArray(data)
    array.position = 2
    assert array.to_string() == str(array) == text
    assert array.position == 2


def test_base64() -> None:
    array = ByteArray.create_from_base64("aGVsbG8=")
    assert (bytes(array), array.position, array.to_base64()) == (b"hello", 0, "aGVsbG8=")
    assert bytes(ByteArray.create_from_base64("")) == b""


@pytest.mark.parametrize("text", ["a", "aGVsbG8", "aGVs bG8=", "aGVsbG8=x", "====", "a\0bc", "é===", "\ud800"])
def test_malformed_base64(text: str) -> None:
    array = ByteArray()
    for call in (ByteArray.create_from_base64, array.write_base64):
        with pytest.raises(errors.ArgumentError, match="#2004"):
            call(text)
    assert array.length == 0


def test_hexadecimal() -> None:
    array = ByteArray.create_from_hex_string("00fFAb")
    assert (bytes(array), array.position, array.to_hex_string()) == (b"\0\xff\xab", 0, "00ffab")


@pytest.mark.parametrize("text", ["0", "0g", "00 ff", "0x00", "é0", "\ud800\ud800", "\0\0"])
def test_malformed_hexadecimal(text: str) -> None:
    array = ByteArray()
    for call in (ByteArray.create_from_hex_string, array.write_hex_string):
        with pytest.raises(errors.ArgumentError, match="#2004"):
            call(text)
    assert array.length == 0


def test_writing_tells_how_many_bytes() -> None:
    array = ByteArray(b"....")
    array.position = 1
    assert (array.write_base64("aGk="), array.write_hex_string("6869"), array.write_hex_string("")) == (2, 2, 0)
    assert (bytes(array), array.position) == (b".hihi", 5)


@pytest.mark.parametrize(
    "call",
    [
        ByteArray.create_from_base64,
        ByteArray.create_from_hex_string,
        ByteArray().write_base64,
        ByteArray().write_hex_string,
    ],
)
def test_no_text(call: Any) -> None:
    with pytest.raises(TypeError, match="#2007"):
        call(None)
    with pytest.raises(TypeError, match="must be a string"):
        call(b"00")


def test_a_subclass_makes_its_own_kind() -> None:
    class Mine(ByteArray):
        pass

    assert type(Mine.create_from_hex_string("00")) is Mine
    assert repr(Mine(b"a")) == "Mine(b'a')"


def test_random_bytes() -> None:
    array = ByteArray()
    assert (array.write_random_bytes(32), array.length, array.position) == (32, 32, 32)
    assert array.write_random_bytes(0) == 0
    assert len(set(array)) > 1
    with pytest.raises(errors.RangeError, match="#2006"):
        array.write_random_bytes(-1)
    for size in (2**32, 2**70):
        with pytest.raises(errors.MemoryError, match="#1000"):
            array.write_random_bytes(size)
    with pytest.raises(TypeError):
        array.write_random_bytes(1.0)  # type: ignore[arg-type]
    assert array.length == 32
