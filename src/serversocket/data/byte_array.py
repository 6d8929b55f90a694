"""`ByteArray`: bytes with a position, typed reading and writing, compression."""

from __future__ import annotations

import binascii
import builtins
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, overload

from .. import errors
from ..checks import as_choice, as_index, as_size, as_string, is_index
from ..naming import with_as3_names
from . import charsets
from .typed import (
    ENCODINGS,
    MAX_LENGTH,
    DataInput,
    DataOutput,
    ObjectEncoding,
    Storage,
    overwrite,
    resize,
    source_bytes,
    source_view,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ByteArray", "CompressionAlgorithm"]

_MAX_POSITION = MAX_LENGTH + 1
_SHOWN = 60
_ATOMIC = threading.Lock()
_LZMA_HEADER = 13
_LZMA_UNKNOWN_SIZE = 2**64 - 1


class CompressionAlgorithm:
    """The ways to compress. AIR: ``flash.utils.CompressionAlgorithm``."""

    ZLIB: Final = "zlib"
    DEFLATE: Final = "deflate"
    LZMA: Final = "lzma"


@with_as3_names
class _ByteArrayType(type):
    """The type of `ByteArray`, for the one property that belongs to the class and not to its objects."""

    _default_object_encoding: int = ObjectEncoding.DEFAULT

    def __dir__(cls) -> list[str]:
        return [*super().__dir__(), *(name for name in vars(_ByteArrayType) if not name.startswith("_"))]

    @property
    def default_object_encoding(cls) -> int:
        """The `object_encoding` of every byte array made from now on. AIR: ``ByteArray.defaultObjectEncoding``.

        Raises:
            ArgumentError: Set to anything but 0 or 3 (#2008).
        """
        return cls._default_object_encoding

    @default_object_encoding.setter
    def default_object_encoding(cls, value: int) -> None:
        _ByteArrayType._default_object_encoding = as_choice(
            "object_encoding", value, ENCODINGS, "default_object_encoding"
        )


@with_as3_names
class ByteArray(DataInput, DataOutput, Storage, metaclass=_ByteArrayType):
    """Bytes with a position, at which the typed methods read and write. AIR: ``flash.utils.ByteArray``.

    It is a Python sequence of bytes too: `len`, `bytes`, iteration, comparison, indexing and slicing. Where the two
    differ, it is AIR's: an index beyond the end gives `None` and can be assigned, and ``5 in data`` asks for the
    index 5. An array without bytes is false.

    Args:
        data: The bytes to begin with, copied; the position is 0.

    Raises:
        TypeError: `data` is neither a `ByteArray` nor bytes-like.

    Example:
        >>> data = ByteArray()
        >>> data.write_utf_bytes("hello")
        >>> data.position = 1
        >>> data.read_utf_bytes(4), data[0], data[-2:], len(data)
        ('ello', 104, b'lo', 5)
    """

    shareable: bool = False
    """Whether workers share the bytes; kept, but without meaning here. AIR: ``shareable``."""

    def __init__(self, data: Storage | Buffer = b"") -> None:
        with source_view("data", data) as view:
            self._data = bytearray(view)
        self._position = 0
        if ByteArray.default_object_encoding != ObjectEncoding.DEFAULT:
            self._object_encoding = ByteArray.default_object_encoding

    @classmethod
    def create_from_base64(cls, value: str) -> Self:
        """Makes a byte array from Base64. AIR: ``ByteArray.createFromBase64()``.

        Args:
            value: Base64.

        Raises:
            TypeError: `None` (#2007) or no string.
            ArgumentError: Malformed: blanks, missing padding, anything behind it (#2004).

        Example:
            >>> ByteArray.create_from_base64("aGk=")
            ByteArray(b'hi')
        """
        return cls(_from_base64("create_from_base64", value))

    @classmethod
    def create_from_hex_string(cls, value: str) -> Self:
        """Makes a byte array from hexadecimal digits. AIR: ``ByteArray.createFromHexString()``.

        Args:
            value: Hexadecimal digits, an even number of them.

        Raises:
            TypeError: `None` (#2007) or no string.
            ArgumentError: An odd number of digits, or anything else than digits (#2004).

        Example:
            >>> ByteArray.create_from_hex_string("6869")
            ByteArray(b'hi')
        """
        return cls(_from_hex("create_from_hex_string", value))

    # ---- extent

    @property
    def length(self) -> int:
        """How many bytes there are. AIR: ``length``.

        Set it to cut the array, which takes the position along, or to fill it up with zeros.

        Raises:
            TypeError: Set to no int.
            RangeError: Set to a negative number (#2006).
            MemoryError: Set to 2**32 - 1 or more, or to more than there is memory for (#1000).
        """
        return len(self._data)

    @length.setter
    def length(self, value: int) -> None:
        resize(self._data, as_size("length", value))
        self._position = min(self._position, len(self._data))

    @property
    def position(self) -> int:
        """Where the next read or write begins. AIR: ``position``.

        It may lie beyond the end; a write there fills the gap with zeros.

        Raises:
            TypeError: Set to no int.
            RangeError: Set to a negative number or to more than 2**32 - 1 (#2006).
        """
        return self._position

    @position.setter
    def position(self, value: int) -> None:
        position = as_size("position", value)
        if position > _MAX_POSITION:
            raise errors.out_of_bounds("position", f"{errors.shown(position)} is more than {_MAX_POSITION}")
        self._position = position

    @property
    def bytes_available(self) -> int:
        """How many bytes there are from the position to the end. AIR: ``bytesAvailable``."""
        return max(len(self._data) - self._position, 0)

    def clear(self) -> None:
        """Drops all bytes and their memory; length and position are 0. AIR: ``clear()``."""
        self._data = bytearray()
        self._position = 0

    def _lookahead(self, size: int, call: str, /) -> bytes:
        if size > self.bytes_available:
            raise errors.end_of_file(call, size, self.bytes_available)
        return bytes(self._data[self._position : self._position + size])

    def _consume(self, size: int, call: str, /) -> bytes:
        data = self._lookahead(size, call)
        self._position += size
        return data

    def _move(self, target: bytearray, offset: int, size: int, call: str, /) -> None:
        overwrite(target, offset, self._lookahead(size, call))
        self._position += size

    def _require_writable(self, call: str, /) -> None:
        """A byte array is always open."""

    def _put(self, data: bytes, /) -> None:
        if data:
            overwrite(self._data, self._position, data)
            self._position += len(data)

    # ---- compression

    def compress(self, algorithm: str = CompressionAlgorithm.ZLIB) -> None:
        """Compresses all bytes; the position is the end then. An empty array stays as it is. AIR: ``compress()``.

        Args:
            algorithm: One of `CompressionAlgorithm`.

        Raises:
            TypeError: `algorithm` is `None` (#2007) or no string.
            IOError: There is no such algorithm (#2058).

        Example:
            >>> data = ByteArray(bytes(1000))
            >>> data.compress()
            >>> len(data) < 100
            True
            >>> data.uncompress()
            >>> len(data)
            1000
        """
        chosen = _algorithm("compress", algorithm)
        if self._data:
            self._data = bytearray(chosen.compress(bytes(self._data)))
            self._position = len(self._data)

    def uncompress(self, algorithm: str = CompressionAlgorithm.ZLIB, *, max_length: int = MAX_LENGTH) -> None:
        """Undoes `compress`; the position is 0 then. An empty array stays as it is. AIR: ``uncompress()``.

        When it fails, the bytes and the position are as before.

        Args:
            algorithm: One of `CompressionAlgorithm`.
            max_length: How many bytes may come of it; a guard for data from strangers, which AIR does not have.

        Raises:
            TypeError: `algorithm` is `None` (#2007) or no string, or `max_length` no int.
            IOError: The data is damaged, or there is no such algorithm (#2058).
            MemoryError: More than `max_length` bytes, or than there is memory for (#1000).
        """
        chosen = _algorithm("uncompress", algorithm)
        limit = min(as_size("max_length", max_length, "uncompress"), MAX_LENGTH, sys.maxsize - 1)
        if not self._data:
            return
        try:
            data = bytearray(chosen.uncompress(bytes(self._data), limit))
        except errors.MemoryError:
            raise
        except builtins.MemoryError:
            raise errors.out_of_memory("uncompress") from None
        self._data = data
        self._position = 0

    def deflate(self) -> None:
        """Compresses without a header: `compress` with `CompressionAlgorithm.DEFLATE`. AIR: ``deflate()``."""
        self.compress(CompressionAlgorithm.DEFLATE)

    def inflate(self, *, max_length: int = MAX_LENGTH) -> None:
        """Undoes `deflate`: `uncompress` with `CompressionAlgorithm.DEFLATE`. AIR: ``inflate()``.

        Args:
            max_length: How many bytes may come of it, as for `uncompress`.

        Raises:
            TypeError: `max_length` is no int.
            IOError: The data is damaged (#2058).
            MemoryError: More than `max_length` bytes, or than there is memory for (#1000).
        """
        self.uncompress(CompressionAlgorithm.DEFLATE, max_length=max_length)

    # ---- texts

    def to_string(self) -> str:
        """Returns all bytes as a text, wherever the position is. AIR: ``toString()``.

        It is read as UTF-16 after a byte order mark that says so, else as UTF-8, with or without one. Malformed UTF-8
        becomes the characters U+0080 to U+00FF.
        """
        data = bytes(self._data)
        for mark, codec in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
            if data.startswith(mark):
                return data[2 : len(data) & ~1].decode(codec, "surrogatepass")
        return charsets.utf8_text(data)

    def to_base64(self) -> str:
        """Returns all bytes in Base64. AIR: ``toBase64()``."""
        return binascii.b2a_base64(self._data, newline=False).decode("ascii")

    def to_hex_string(self) -> str:
        """Returns all bytes as hexadecimal digits, in lower case. AIR: ``toHexString()``."""
        return self._data.hex()

    def write_base64(self, value: str) -> int:
        """Writes the bytes that Base64 stands for. AIR: ``writeBase64()``.

        Args:
            value: Base64.

        Returns:
            How many bytes.

        Raises:
            TypeError: `None` (#2007) or no string.
            ArgumentError: As for `create_from_base64`; nothing is written.
        """
        return self._put_counted(_from_base64("write_base64", value))

    def write_hex_string(self, value: str) -> int:
        """Writes the bytes that hexadecimal digits stand for. AIR: ``writeHexString()``.

        Args:
            value: Hexadecimal digits, an even number of them.

        Returns:
            How many bytes.

        Raises:
            TypeError: `None` (#2007) or no string.
            ArgumentError: As for `create_from_hex_string`; nothing is written.
        """
        return self._put_counted(_from_hex("write_hex_string", value))

    def write_random_bytes(self, length: int) -> int:
        """Writes random bytes, fit for cryptography. AIR: ``writeRandomBytes()``.

        Args:
            length: How many bytes.

        Returns:
            How many bytes.

        Raises:
            TypeError: No int.
            RangeError: Negative (#2006).
            MemoryError: More than there is room for (#1000).
        """
        count = as_size("length", length, "write_random_bytes")
        if self._position + count > MAX_LENGTH:
            raise errors.out_of_memory("write_random_bytes")
        try:
            return self._put_counted(os.urandom(count))
        except builtins.MemoryError:
            raise errors.out_of_memory("write_random_bytes") from None

    def _put_counted(self, data: bytes) -> int:
        self._put(data)
        return len(data)

    # ---- sharing

    def atomic_compare_and_swap_int_at(self, byte_index: int, expected_value: int, new_value: int) -> int:
        """Replaces four bytes if they are what is expected. AIR: ``atomicCompareAndSwapIntAt()``.

        The bytes are a little-endian signed int, whatever `endian` says, as on every machine that AIR runs on.

        Args:
            byte_index: Where the int begins: a multiple of 4.
            expected_value: What must be there, its low 32 bits.
            new_value: What to put there, its low 32 bits.

        Returns:
            What was there before.

        Raises:
            TypeError: An argument is no int.
            ArgumentError: `byte_index` is negative or no multiple of 4 (#2004).
            RangeError: The int would not lie inside the array (#2006).
        """
        index = as_index("byte_index", byte_index)
        expected, new = as_index("expected_value", expected_value), as_index("new_value", new_value)
        call = "atomic_compare_and_swap_int_at"
        if index < 0 or index % 4:
            raise errors.bad_argument(call, f"byte_index {errors.shown(index)} is no multiple of 4")
        with _ATOMIC:
            if index + 4 > len(self._data):
                raise errors.out_of_bounds(call, f"byte_index {errors.shown(index)} is outside the array")
            before = int.from_bytes(self._data[index : index + 4], "little")
            if before == expected & 0xFFFFFFFF:
                self._data[index : index + 4] = (new & 0xFFFFFFFF).to_bytes(4, "little")
        return before - 2**32 if before >= 2**31 else before

    def atomic_compare_and_swap_length(self, expected_length: int, new_length: int) -> int:
        """Sets `length` if it is what is expected. AIR: ``atomicCompareAndSwapLength()``.

        Args:
            expected_length: What the length must be, in bytes.
            new_length: What to make it, in bytes.

        Returns:
            The length before.

        Raises:
            TypeError: An argument is no int.
            RangeError: A negative length (#2006).
            MemoryError: As for `length` (#1000).
        """
        call = "atomic_compare_and_swap_length"
        expected = as_size("expected_length", expected_length, call)
        new = as_size("new_length", new_length, call)
        with _ATOMIC:
            before = len(self._data)
            if before == expected:
                self.length = new
        return before

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self), _data=bytearray(self._data))
        return copied

    # ---- a Python sequence

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def __iter__(self) -> Iterator[int]:
        return iter(self._data)

    def __contains__(self, item: object) -> bool:
        """Returns True if there is such an index, as in AIR; or if bytes-like things occur."""
        if is_index(item):
            return 0 <= as_index("index", item) < len(self._data)
        return source_bytes("item", item) in self._data

    @overload
    def __getitem__(self, index: slice) -> bytes: ...
    @overload
    def __getitem__(self, index: int) -> int | Any: ...
    def __getitem__(self, index: int | slice) -> bytes | int | Any:
        """A byte, `None` beyond the end; or the bytes of a slice. The position does not move."""
        if isinstance(index, slice):
            return bytes(self._data[index])
        number = as_index("index", index)
        return self._data[number] if -len(self._data) <= number < len(self._data) else None

    def __setitem__(self, index: int, value: int) -> None:
        """Sets a byte to the low 8 bits of an int; beyond the end the array grows. The position does not move."""
        number = as_index("index", index)
        byte = as_index("value", value) & 0xFF
        if number < 0:
            number += len(self._data)
        if number < 0:
            raise errors.out_of_bounds("index", f"{errors.shown(index)} lies before the first byte")
        overwrite(self._data, number, bytes((byte,)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Storage):
            return self._data == other._data
        if isinstance(other, (bytes, bytearray, memoryview)):
            return self._data == other
        return NotImplemented

    def __str__(self) -> str:
        return self.to_string()

    def __repr__(self) -> str:
        if len(self._data) <= _SHOWN:
            return f"{type(self).__name__}({bytes(self._data)!r})"
        return f"<{type(self).__name__} of {len(self._data)} bytes: {bytes(self._data[:_SHOWN])!r}...>"


# --------------------------------------------------------------------------------------------- conversions


def _from_base64(call: str, value: str) -> bytes:
    text = as_string("value", value)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise errors.bad_argument(call, f"{errors.shown(text)} is not Base64 ({error})") from None


def _from_hex(call: str, value: str) -> bytes:
    text = as_string("value", value)
    try:
        return binascii.unhexlify(text)
    except ValueError as error:
        raise errors.bad_argument(call, f"{errors.shown(text)} is not hexadecimal ({error})") from None


# --------------------------------------------------------------------------------------------- compression

MAX_WBITS = 15  # zlib's: a window of 32 KiB


class _Algorithm(NamedTuple):
    compress: Callable[[bytes], bytes]
    uncompress: Callable[[bytes, int], bytes]
    """Takes the data and the most bytes that may come of it."""


def _algorithm(call: str, name: str) -> _Algorithm:
    try:
        return _ALGORITHMS[as_string("algorithm", name)]
    except KeyError:
        raise errors.decompression_failed(call, f"there is no algorithm {errors.shown(name)}") from None


def _deflating(wbits: int) -> _Algorithm:
    def compress(data: bytes) -> bytes:
        import zlib  # noqa: PLC0415

        return zlib.compress(data, 9, wbits)

    def uncompress(data: bytes, limit: int) -> bytes:
        import zlib  # noqa: PLC0415

        stream = zlib.decompressobj(wbits)
        try:
            result = stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise errors.decompression_failed("uncompress", error) from None
        return _complete(result, limit, stream.eof)

    return _Algorithm(compress, uncompress)


# Some builds of Python have no lzma or no zlib; everything else works there.


def _lzma_compress(data: bytes) -> bytes:
    import lzma  # noqa: PLC0415

    packed = lzma.compress(data, lzma.FORMAT_ALONE)
    # Python leaves the size open, which AIR does not.
    return packed[:5] + len(data).to_bytes(8, "little") + packed[_LZMA_HEADER:]


def _lzma_uncompress(data: bytes, limit: int) -> bytes:
    import lzma  # noqa: PLC0415

    if len(data) < _LZMA_HEADER:
        raise errors.decompression_failed("uncompress", "the header is incomplete")
    size = int.from_bytes(data[5:_LZMA_HEADER], "little")
    size_known = size != _LZMA_UNKNOWN_SIZE
    if size_known and size > MAX_LENGTH:
        raise errors.decompression_failed("uncompress", f"the header claims {size} bytes")
    if size_known and size > limit:
        raise errors.out_of_memory(f"uncompress: more than {limit} bytes")
    # Decoded without its container: not every version of the library takes a known size together with an end mark. A
    # dictionary larger than the result would be memory that a stranger makes us waste.
    settings = {
        "id": lzma.FILTER_LZMA1,
        "lc": data[0] % 9,
        "lp": data[0] // 9 % 5,
        "pb": data[0] // 45,
        "dict_size": max(min(int.from_bytes(data[1:5], "little"), size), 4096),
    }
    try:
        stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings])
        result = stream.decompress(data[_LZMA_HEADER:], size if size_known else limit + 1)
    except (lzma.LZMAError, ValueError) as error:
        raise errors.decompression_failed("uncompress", error) from None
    return _complete(result, limit, len(result) == size if size_known else stream.eof)


def _complete(result: bytes, limit: int, ended: bool) -> bytes:
    if len(result) > limit:
        raise errors.out_of_memory(f"uncompress: more than {limit} bytes")
    if not ended:
        raise errors.decompression_failed("uncompress", "the data is incomplete")
    return result


_ALGORITHMS: dict[str, _Algorithm] = {
    CompressionAlgorithm.ZLIB: _deflating(MAX_WBITS),
    CompressionAlgorithm.DEFLATE: _deflating(-MAX_WBITS),
    CompressionAlgorithm.LZMA: _Algorithm(_lzma_compress, _lzma_uncompress),
}
