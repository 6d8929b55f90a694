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
    """The compression algorithms. AIR: ``flash.utils.CompressionAlgorithm``."""

    ZLIB: Final = "zlib"
    DEFLATE: Final = "deflate"
    LZMA: Final = "lzma"


@with_as3_names
class _ByteArrayType(type):
    """The type of `ByteArray`, for the one property of the class itself."""

    _default_object_encoding: int = ObjectEncoding.DEFAULT

    def __dir__(cls) -> list[str]:
        return [*super().__dir__(), *(name for name in vars(_ByteArrayType) if not name.startswith("_"))]

    @property
    def default_object_encoding(cls) -> int:
        """The `object_encoding` of new byte arrays. AIR: ``ByteArray.defaultObjectEncoding``.

        Raises:
            ArgumentError: Set to a value other than 0 and 3 (#2008).
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

    It is also a Python sequence of bytes: `len`, `bytes`, iteration, comparison, indexing and slicing. Where the two
    differ, it behaves like AIR's: an index beyond the end gives `None` and can be assigned, and ``5 in data`` tells if
    index 5 exists. An empty array is false.

    Args:
        data: The initial bytes, which are copied; the position is 0.

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
    """True if workers share the bytes in AIR; stored here, but without effect. AIR: ``shareable``."""

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
            value: The Base64 text.

        Raises:
            TypeError: `value` is `None` (#2007) or not a string.
            ArgumentError: It is malformed: with blanks, without padding, or with characters after it (#2004).

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
            TypeError: `value` is `None` (#2007) or not a string.
            ArgumentError: It has an odd number of digits, or other characters (#2004).

        Example:
            >>> ByteArray.create_from_hex_string("6869")
            ByteArray(b'hi')
        """
        return cls(_from_hex("create_from_hex_string", value))

    # ---- extent

    @property
    def length(self) -> int:
        """The number of bytes. AIR: ``length``.

        Set it to shorten the array, which moves the position back if necessary, or to extend it with zeros.

        Raises:
            TypeError: Set to a value that is not an int.
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

        It may be beyond the end; a write there fills the gap with zeros.

        Raises:
            TypeError: Set to a value that is not an int.
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
        """The number of bytes from the position to the end. AIR: ``bytesAvailable``."""
        return max(len(self._data) - self._position, 0)

    def clear(self) -> None:
        """Drops all bytes and releases their memory; length and position become 0. AIR: ``clear()``."""
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
        """Compresses all bytes and moves the position to the end. An empty array is unchanged. AIR: ``compress()``.

        Args:
            algorithm: One of `CompressionAlgorithm`.

        Raises:
            TypeError: `algorithm` is `None` (#2007) or not a string.
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
        """Undoes `compress` and moves the position to 0. An empty array is unchanged. AIR: ``uncompress()``.

        If it fails, the bytes and the position are unchanged.

        Args:
            algorithm: One of `CompressionAlgorithm`.
            max_length: The most bytes that the result may have: a guard against untrusted data, which AIR lacks.

        Raises:
            TypeError: `algorithm` is `None` (#2007) or not a string, or `max_length` is not an int.
            IOError: The data is damaged, or there is no such algorithm (#2058).
            MemoryError: The result has more than `max_length` bytes, or more than there is memory for (#1000).
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
            max_length: The most bytes that the result may have, see `uncompress`.

        Raises:
            TypeError: `max_length` is not an int.
            IOError: The data is damaged (#2058).
            MemoryError: The result has more than `max_length` bytes, or more than there is memory for (#1000).
        """
        self.uncompress(CompressionAlgorithm.DEFLATE, max_length=max_length)

    # ---- texts

    def to_string(self) -> str:
        """Returns all bytes as a text; the position does not matter. AIR: ``toString()``.

        Bytes that begin with a byte order mark of UTF-16 are decoded as UTF-16, all others as UTF-8. Malformed UTF-8
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
        """Decodes Base64 and writes the bytes. AIR: ``writeBase64()``.

        Args:
            value: The Base64 text.

        Returns:
            The number of bytes written.

        Raises:
            TypeError: `value` is `None` (#2007) or not a string.
            ArgumentError: It is malformed, see `create_from_base64`; nothing is written.
        """
        return self._put_counted(_from_base64("write_base64", value))

    def write_hex_string(self, value: str) -> int:
        """Decodes hexadecimal digits and writes the bytes. AIR: ``writeHexString()``.

        Args:
            value: Hexadecimal digits, an even number of them.

        Returns:
            The number of bytes written.

        Raises:
            TypeError: `value` is `None` (#2007) or not a string.
            ArgumentError: It is malformed, see `create_from_hex_string`; nothing is written.
        """
        return self._put_counted(_from_hex("write_hex_string", value))

    def write_random_bytes(self, length: int) -> int:
        """Writes random bytes that are suitable for cryptography. AIR: ``writeRandomBytes()``.

        Args:
            length: How many bytes to write.

        Returns:
            The number of bytes written.

        Raises:
            TypeError: `length` is not an int.
            RangeError: It is negative (#2006).
            MemoryError: There is no room for so many bytes (#1000).
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
        """Replaces four bytes if they have the expected value. AIR: ``atomicCompareAndSwapIntAt()``.

        The bytes are a little-endian signed int regardless of `endian`, as on every machine that AIR runs on.

        Args:
            byte_index: Where the int begins: a multiple of 4.
            expected_value: The int to replace; its low 32 bits count.
            new_value: The int to store; its low 32 bits count.

        Returns:
            The previous value.

        Raises:
            TypeError: An argument is not an int.
            ArgumentError: `byte_index` is negative or not a multiple of 4 (#2004).
            RangeError: The int would not be inside the array (#2006).
        """
        index = as_index("byte_index", byte_index)
        expected, new = as_index("expected_value", expected_value), as_index("new_value", new_value)
        call = "atomic_compare_and_swap_int_at"
        if index < 0 or index % 4:
            raise errors.bad_argument(call, f"byte_index {errors.shown(index)} is not a multiple of 4")
        with _ATOMIC:
            if index + 4 > len(self._data):
                raise errors.out_of_bounds(call, f"byte_index {errors.shown(index)} is outside the array")
            before = int.from_bytes(self._data[index : index + 4], "little")
            if before == expected & 0xFFFFFFFF:
                self._data[index : index + 4] = (new & 0xFFFFFFFF).to_bytes(4, "little")
        return before - 2**32 if before >= 2**31 else before

    def atomic_compare_and_swap_length(self, expected_length: int, new_length: int) -> int:
        """Sets `length` if it has the expected value. AIR: ``atomicCompareAndSwapLength()``.

        Args:
            expected_length: The length to replace, in bytes.
            new_length: The new length, in bytes.

        Returns:
            The previous length.

        Raises:
            TypeError: An argument is not an int.
            RangeError: A length is negative (#2006).
            MemoryError: `new_length` is too large, see `length` (#1000).
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
        """Returns True if an int is a valid index, as in AIR; or if the array contains the bytes-like item."""
        if is_index(item):
            return 0 <= as_index("index", item) < len(self._data)
        return source_bytes("item", item) in self._data

    @overload
    def __getitem__(self, index: slice) -> bytes: ...
    @overload
    def __getitem__(self, index: int) -> int | Any: ...
    def __getitem__(self, index: int | slice) -> bytes | int | Any:
        """Returns a byte, or `None` beyond the end; or the bytes of a slice. The position does not move."""
        if isinstance(index, slice):
            return bytes(self._data[index])
        number = as_index("index", index)
        return self._data[number] if -len(self._data) <= number < len(self._data) else None

    def __setitem__(self, index: int, value: int) -> None:
        """Sets a byte to the low 8 bits of an int; an index beyond the end extends the array. Keeps the position."""
        number = as_index("index", index)
        byte = as_index("value", value) & 0xFF
        if number < 0:
            number += len(self._data)
        if number < 0:
            raise errors.out_of_bounds("index", f"{errors.shown(index)} is before the first byte")
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
    """Takes the data and the most bytes that the result may have."""


def _algorithm(call: str, name: str) -> _Algorithm:
    try:
        return _ALGORITHMS[as_string("algorithm", name)]
    except KeyError:
        known = ", ".join(map(repr, _ALGORITHMS))
        raise errors.decompression_failed(call, f"algorithm {errors.shown(name)} is none of {known}") from None


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


# Some builds of Python lack lzma or zlib; everything else works there.


def _lzma_compress(data: bytes) -> bytes:
    import lzma  # noqa: PLC0415

    packed = lzma.compress(data, lzma.FORMAT_ALONE)
    # Python leaves the size in the header unknown; AIR sets it.
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
    # Decoded without its container: not every version of the library accepts a known size together with an end mark.
    # A dictionary larger than the result would let untrusted data waste memory.
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
