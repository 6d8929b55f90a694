"""A `ByteArray`'s compression."""

from __future__ import annotations

import builtins
import lzma
import zlib
from typing import Any

import pytest

from serversocket import errors
from serversocket.data import byte_array
from serversocket.data.byte_array import ByteArray, CompressionAlgorithm

ALGORITHMS = [CompressionAlgorithm.ZLIB, CompressionAlgorithm.DEFLATE, CompressionAlgorithm.LZMA]
TEXT = b"the same words again and again, " * 50


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("data", [b"x", b"string", TEXT, bytes(range(256)) * 300])
def test_there_and_back(algorithm: str, data: bytes) -> None:
    array = ByteArray(data)
    array.position = 1
    array.compress(algorithm)
    assert array.position == array.length > 0
    array.uncompress(algorithm)
    assert (bytes(array), array.position) == (data, 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_empty_array_stays_as_it_is(algorithm: str) -> None:
    array = ByteArray()
    array.position = 3
    array.compress(algorithm)
    array.uncompress(algorithm)
    assert (array.length, array.position) == (0, 3)


def test_what_comes_of_it() -> None:
    array = ByteArray(b"string")
    array.compress()
    assert (array.length, array[:2], zlib.decompress(bytes(array))) == (14, b"\x78\xda", b"string")
    array = ByteArray(b"string")
    array.deflate()
    assert (array.length, zlib.decompress(bytes(array), -15)) == (8, b"string")
    array.inflate()
    assert bytes(array) == b"string"


def test_the_lzma_container_has_the_size() -> None:
    array = ByteArray(TEXT)
    array.compress("lzma")
    assert array[5:13] == len(TEXT).to_bytes(8, "little")


def test_lzma_of_others() -> None:
    packed = lzma.compress(TEXT, lzma.FORMAT_ALONE)
    with_size = packed[:5] + len(TEXT).to_bytes(8, "little") + packed[13:]
    for data in (packed, with_size):
        array = ByteArray(data)
        array.uncompress("lzma")
        assert bytes(array) == TEXT


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: data[:3], lambda data: b"nonsense" * 9])
def test_damaged_data_stays_as_it_is(algorithm: str, damage: Any) -> None:
    array = ByteArray(TEXT)
    array.compress(algorithm)
    data = damage(bytes(array))
    if algorithm == "lzma" and data.startswith(bytes(array[:20])):
        # The last bytes are only the end mark, which the size makes unnecessary.
        data = data[:-20]
    array = ByteArray(data)
    array.position = 2
    with pytest.raises(errors.IOError, match="#2058") as caught:
        array.uncompress(algorithm)
    assert caught.value.error_id == 2058
    assert (bytes(array), array.position) == (data, 2)


@pytest.mark.parametrize("name", ["", "gzip", "ZLIB"])
def test_an_unknown_algorithm(name: str) -> None:
    for array in (ByteArray(), ByteArray(b"abc")):
        for call in (array.compress, array.uncompress):
            with pytest.raises(errors.IOError, match="#2058"):
                call(name)


def test_no_algorithm() -> None:
    for call in (ByteArray().compress, ByteArray().uncompress):
        with pytest.raises(TypeError, match="#2007"):
            call(None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="must be a string"):
            call(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_more_comes_of_it_than_is_allowed(algorithm: str) -> None:
    array = ByteArray(bytes(100_000))
    array.compress(algorithm)
    data = bytes(array)
    with pytest.raises(errors.MemoryError, match="#1000"):
        array.uncompress(algorithm, max_length=99_999)
    assert bytes(array) == data
    array.uncompress(algorithm, max_length=100_000)
    assert array.length == 100_000


def test_lzma_that_claims_more_than_a_byte_array_can_hold() -> None:
    array = ByteArray(TEXT)
    array.compress("lzma")
    array[9] = 1
    with pytest.raises(errors.IOError, match="#2058"):
        array.uncompress("lzma")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_memory(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    def exhausted(*_arguments: object) -> bytes:
        raise builtins.MemoryError

    array = ByteArray(TEXT)
    array.compress(algorithm)
    data = bytes(array)
    monkeypatch.setattr(byte_array, "_complete", exhausted)
    with pytest.raises(errors.MemoryError, match="#1000"):
        array.uncompress(algorithm)
    assert bytes(array) == data
