"""Typed reading and writing over any source of bytes, shared by `ByteArray` and `Socket`."""

from __future__ import annotations

import builtins
import math
import sys
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from .. import errors
from ..checks import as_choice, as_float, as_index, as_size, as_string
from ..naming import with_as3_names
from . import charsets

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DataInput", "DataOutput", "Endian", "ObjectEncoding"]

MAX_LENGTH: Final = 2**32 - 2
"""The length of the longest byte array: AIR's lengths are 32 bits wide, and it refuses the highest one."""

_MAX_UTF: Final = 65535


class Endian:
    """The orders of bytes. AIR: ``flash.utils.Endian``."""

    BIG_ENDIAN: Final = "bigEndian"
    LITTLE_ENDIAN: Final = "littleEndian"


class ObjectEncoding:
    """The versions of AMF. AIR: ``flash.net.ObjectEncoding``."""

    AMF0: Final = 0
    AMF3: Final = 3
    DEFAULT: Final = 3


ENCODINGS: Final = ObjectEncoding.AMF0, ObjectEncoding.AMF3


class _Layout(NamedTuple):
    short: Struct
    unsigned_short: Struct
    int: Struct
    unsigned_int: Struct
    float: Struct
    double: Struct


_LAYOUTS: dict[str, _Layout] = {
    endian: _Layout(*(Struct(mark + code) for code in "hHiIfd"))
    for endian, mark in ((Endian.BIG_ENDIAN, ">"), (Endian.LITTLE_ENDIAN, "<"))
}


class Storage:
    """The part of a `ByteArray` that the typed methods need: an object that contains a `bytearray`."""

    __slots__ = ()

    if TYPE_CHECKING:
        _data: bytearray


# ----------------------------------------------------------------------------------------------- arguments


def source_view(parameter: str, value: object) -> memoryview:
    """Returns a view of a `ByteArray` or of anything bytes-like, without a copy; release it soon."""
    if value is None:
        raise errors.null(parameter)
    try:
        return memoryview(value._data if isinstance(value, Storage) else value)  # type: ignore[arg-type]
    except TypeError:
        raise errors.wrong_type(parameter, value, "a ByteArray or bytes-like") from None


def source_bytes(parameter: str, value: object) -> bytes:
    """Returns the present content of a `ByteArray` or of anything bytes-like."""
    if isinstance(value, bytes):
        return value
    with source_view(parameter, value) as view:
        return view.tobytes()


def source_part(call: str, value: object, offset: int, length: int) -> bytes:
    """Returns `length` bytes of a `ByteArray` or of anything bytes-like, 0 for the rest; copies only these."""
    if isinstance(value, bytes):
        return value[offset : _part_end(call, offset, length, len(value))]
    with source_view("bytes", value) as view:
        return _cut(view, offset, _part_end(call, offset, length, view.nbytes))


def _part_end(call: str, offset: int, length: int, available: int) -> int:
    if length > available - offset:
        beyond = f"offset {errors.shown(offset)} and length {errors.shown(length)} go beyond the {available} bytes"
        raise errors.out_of_bounds(call, beyond)
    return offset + length if length else available


def _cut(view: memoryview, start: int, end: int) -> bytes:
    if start == end:
        return b""
    if view.c_contiguous:
        part: bytes = Struct(f"{end - start}s").unpack_from(view, start)[0]  # works for items of any format
        return part
    row = view.nbytes // len(view)
    first = start // row
    rows = view[first : -(-end // row)].tobytes()
    return rows[start - first * row : end - first * row]


def resize(buffer: bytearray, length: int) -> None:
    """Shortens a buffer, or extends it with zeros.

    Raises:
        MemoryError: The length is more than a byte array can have, or than there is memory for (#1000).
    """
    if length > MAX_LENGTH:
        raise errors.out_of_memory(f"length {errors.shown(length)}")
    if length < len(buffer):
        del buffer[length:]
        return
    try:
        buffer.extend(bytes(length - len(buffer)))
    except builtins.MemoryError:
        raise errors.out_of_memory(f"length {length}") from None


def overwrite(buffer: bytearray, offset: int, data: bytes) -> None:
    """Writes data into a buffer, which grows as needed and keeps the bytes after the data.

    Raises:
        MemoryError: See `resize`.
    """
    if offset + len(data) > len(buffer):
        resize(buffer, offset + len(data))
    buffer[offset : offset + len(data)] = data


def _amf_missing(call: str) -> NoReturn:
    raise NotImplementedError(f"{call}: AMF is not implemented yet; use the calls for single types")


# ------------------------------------------------------------------------------------------------- classes


@with_as3_names
class _DataFormat:
    """The byte order and the version of AMF, shared by `DataInput` and `DataOutput`.

    The defaults are class attributes: an object takes memory only for what was set to another value.
    """

    __slots__ = ()

    _endian: str = Endian.BIG_ENDIAN
    _object_encoding: int = ObjectEncoding.DEFAULT

    @property
    def endian(self) -> str:
        """The byte order of the numbers read and written next: `Endian.BIG_ENDIAN` or `Endian.LITTLE_ENDIAN`.

        It also applies to the length prefix of `read_utf` and `write_utf`. AIR: ``endian``.

        Raises:
            TypeError: Set to `None` (#2007).
            ArgumentError: Set to any other value (#2008); the order stays unchanged.
        """
        return self._endian

    @endian.setter
    def endian(self, value: str) -> None:
        self._check_thread()
        if value is None:
            raise errors.null("type")
        self._endian = as_choice("type", value, _LAYOUTS, "endian")  # type: ignore[misc]

    @property
    def object_encoding(self) -> int:
        """The version of AMF: `ObjectEncoding.AMF0` or `ObjectEncoding.AMF3`. AIR: ``objectEncoding``.

        Raises:
            ArgumentError: Set to anything else (#2008).
        """
        return self._object_encoding

    @object_encoding.setter
    def object_encoding(self, value: int) -> None:
        self._check_thread()
        self._object_encoding = as_choice("object_encoding", value, ENCODINGS, "object_encoding")  # type: ignore[misc]

    def _check_thread(self) -> None:
        """Refuses calls from a thread that does not own this object. Bytes in memory have no owner."""


@with_as3_names
class DataInput(_DataFormat):
    """Typed reading. AIR: ``flash.utils.IDataInput``.

    A `ByteArray` is always open, so the errors about sockets in these docstrings do not apply to it.

    Example:
        >>> from serversocket.data.byte_array import ByteArray
        >>> data = ByteArray(bytes([0, 1, 255, 0, 2, 111, 107]))
        >>> data.read_short(), data.read_byte(), data.read_utf()
        (1, -1, 'ok')
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def bytes_available(self) -> int: ...
        def _consume(self, size: int, call: str, /) -> bytes: ...
        def _lookahead(self, size: int, call: str, /) -> bytes: ...
        def _move(self, target: bytearray, offset: int, size: int, call: str, /) -> None: ...

    def read_boolean(self) -> bool:
        """Reads one byte: returns False if it is 0, else True. AIR: ``readBoolean()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._consume(1, "read_boolean") != b"\0"

    def read_byte(self) -> int:
        """Reads one byte, -128 to 127. AIR: ``readByte()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return int.from_bytes(self._consume(1, "read_byte"), signed=True)

    def read_unsigned_byte(self) -> int:
        """Reads one byte, 0 to 255. AIR: ``readUnsignedByte()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._consume(1, "read_unsigned_byte")[0]

    def read_short(self) -> int:
        """Reads an integer of two bytes, -32768 to 32767. AIR: ``readShort()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].short, "read_short")  # type: ignore[no-any-return]

    def read_unsigned_short(self) -> int:
        """Reads an integer of two bytes, 0 to 65535. AIR: ``readUnsignedShort()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].unsigned_short, "read_unsigned_short")  # type: ignore[no-any-return]

    def read_int(self) -> int:
        """Reads an integer of four bytes, -2**31 to 2**31 - 1. AIR: ``readInt()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].int, "read_int")  # type: ignore[no-any-return]

    def read_unsigned_int(self) -> int:
        """Reads an integer of four bytes, 0 to 2**32 - 1. AIR: ``readUnsignedInt()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].unsigned_int, "read_unsigned_int")  # type: ignore[no-any-return]

    def read_float(self) -> float:
        """Reads a number of four bytes, IEEE 754. AIR: ``readFloat()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].float, "read_float")  # type: ignore[no-any-return]

    def read_double(self) -> float:
        """Reads a number of eight bytes, IEEE 754. AIR: ``readDouble()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        return self._unpack(_LAYOUTS[self._endian].double, "read_double")  # type: ignore[no-any-return]

    def _unpack(self, layout: Struct, call: str) -> Any:
        return layout.unpack(self._consume(layout.size, call))[0]

    def read_bytes(self, bytes: Storage | bytearray, offset: int = 0, length: int = 0) -> None:
        """Copies bytes into another array. AIR: ``readBytes()``.

        Args:
            bytes: A `ByteArray`, whose position does not move, or a `bytearray`. It grows as needed and keeps the bytes
                after the stored ones.
            offset: Where in `bytes` the first byte is stored.
            length: How many bytes to copy; 0 for all that are available.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
            TypeError: `bytes` is `None` (#2007) or has another type, or a number is not an int.
            RangeError: A number is negative, or `offset` + `length` is more than 2**32 - 1 (#2006).
            MemoryError: There is not enough memory (#1000); nothing is consumed.
        """
        call = "read_bytes"
        self._lookahead(0, call)
        offset, length = as_size("offset", offset, call), as_size("length", length, call)
        target = _target("bytes", bytes)
        if offset + length > MAX_LENGTH + 1:
            together = f"offset {errors.shown(offset)} + length {errors.shown(length)}"
            raise errors.out_of_bounds(call, f"{together} is more than 2**32 - 1")
        self._move(target, offset, length or self.bytes_available, call)

    def read_utf(self) -> str:
        """Reads a length prefix of two bytes and a text of that length, like `read_utf_bytes`. AIR: ``readUTF()``.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
        """
        size = 2 + _LAYOUTS[self._endian].unsigned_short.unpack(self._lookahead(2, "read_utf"))[0]
        return charsets.decode_utf8(self._consume(size, "read_utf")[2:])

    def read_utf_bytes(self, length: int) -> str:
        """Reads a text in UTF-8. AIR: ``readUTFBytes()``.

        A byte order mark is skipped. The text ends at the first NUL, but all bytes are consumed. Malformed bytes
        become the characters U+0080 to U+00FF.

        Args:
            length: How many bytes to read.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
            TypeError: `length` is not an int.
            RangeError: It is negative (#2006).
        """
        self._lookahead(0, "read_utf_bytes")
        return charsets.decode_utf8(self._exactly("read_utf_bytes", length))

    def read_multi_byte(self, length: int, char_set: str) -> str:
        """Reads a text in another character set; the text ends at the first NUL. AIR: ``readMultiByte()``.

        Args:
            length: How many bytes to read.
            char_set: AIR's name of the character set, such as ``"shift-jis"``; an unknown name means the system's.

        Raises:
            EOFError: Fewer bytes are available (#2030); nothing is consumed.
            IOError: The socket is not open (#2002).
            TypeError: `length` is not an int, or `char_set` is `None` (#2007) or not a string.
            RangeError: `length` is negative (#2006).
        """
        self._lookahead(0, "read_multi_byte")
        codec = charsets.codec_for(char_set)
        return charsets.decode(self._exactly("read_multi_byte", length), codec)

    def _exactly(self, call: str, length: object) -> bytes:
        size = as_size("length", length, call)
        if size > sys.maxsize:
            raise errors.end_of_file(call, size, self.bytes_available)
        return self._consume(size, call)

    def read_object(self) -> Any:
        """Reads an object in AMF. AIR: ``readObject()``.

        Raises:
            IOError: The socket is not open (#2002).
            NotImplementedError: Otherwise, always: AMF is not implemented yet.
        """
        self._lookahead(0, "read_object")
        _amf_missing("read_object")


@with_as3_names
class DataOutput(_DataFormat):
    """Typed writing. AIR: ``flash.utils.IDataOutput``.

    A `ByteArray` is always open, so the errors about sockets in these docstrings do not apply to it.

    Example:
        >>> from serversocket.data.byte_array import ByteArray
        >>> data = ByteArray()
        >>> data.write_byte(-257)
        >>> data.write_utf("ok")
        >>> bytes(data)
        b'\\xff\\x00\\x02ok'
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def _require_writable(self, call: str, /) -> None: ...
        def _put(self, data: bytes, /) -> object: ...

    def write_boolean(self, value: object) -> None:
        """Writes one byte: 1 if the value is true, else 0. AIR: ``writeBoolean()``.

        Args:
            value: Any object.

        Raises:
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_boolean")
        self._put(b"\x01" if value else b"\x00")

    def write_byte(self, value: int) -> None:
        """Writes an integer in one byte. AIR: ``writeByte()``.

        Args:
            value: An int; its low 8 bits are written.

        Raises:
            TypeError: `value` is not an int.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_byte")
        self._put(bytes((as_index("value", value) & 0xFF,)))

    def write_short(self, value: int) -> None:
        """Writes an integer in two bytes. AIR: ``writeShort()``.

        Args:
            value: An int; its low 16 bits are written.

        Raises:
            TypeError: `value` is not an int.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_short")
        self._put(_LAYOUTS[self._endian].unsigned_short.pack(as_index("value", value) & 0xFFFF))

    def write_int(self, value: int) -> None:
        """Writes an integer in four bytes. AIR: ``writeInt()``.

        Args:
            value: An int; its low 32 bits are written.

        Raises:
            TypeError: `value` is not an int.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_int")
        self._put(_LAYOUTS[self._endian].unsigned_int.pack(as_index("value", value) & 0xFFFFFFFF))

    def write_unsigned_int(self, value: int) -> None:
        """Writes an integer in four bytes. AIR: ``writeUnsignedInt()``.

        Args:
            value: An int; its low 32 bits are written.

        Raises:
            TypeError: `value` is not an int.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_unsigned_int")
        self._put(_LAYOUTS[self._endian].unsigned_int.pack(as_index("value", value) & 0xFFFFFFFF))

    def write_float(self, value: float) -> None:
        """Writes a number in four bytes, IEEE 754. AIR: ``writeFloat()``.

        Args:
            value: A number; it becomes infinite if it is too large.

        Raises:
            TypeError: `value` is not a number.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_float")
        number = as_float("value", value)
        layout = _LAYOUTS[self._endian].float
        try:
            data = layout.pack(number)
        except OverflowError:
            data = layout.pack(math.copysign(math.inf, number))
        self._put(data)

    def write_double(self, value: float) -> None:
        """Writes a number in eight bytes, IEEE 754. AIR: ``writeDouble()``.

        Args:
            value: A number.

        Raises:
            TypeError: `value` is not a number.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_double")
        self._put(_LAYOUTS[self._endian].double.pack(as_float("value", value)))

    def write_bytes(self, bytes: Storage | Buffer, offset: int = 0, length: int = 0) -> None:
        """Copies bytes from another array. AIR: ``writeBytes()``.

        Args:
            bytes: A `ByteArray` or anything bytes-like.
            offset: The first byte to copy.
            length: How many bytes to copy; 0 for all from `offset` on.

        Raises:
            TypeError: `bytes` is `None` (#2007) or has another type, or a number is not an int.
            IOError: The socket is not open, or its buffer is full (#2002).
            RangeError: A number is negative, or `offset` or `offset` + `length` is beyond the end (#2006); nothing is
                written.
        """
        self._require_writable("write_bytes")
        offset, length = as_size("offset", offset, "write_bytes"), as_size("length", length, "write_bytes")
        self._put(source_part("write_bytes", bytes, offset, length))

    def write_utf(self, value: str) -> None:
        """Writes the length of a text, in two bytes, and the text in UTF-8. AIR: ``writeUTF()``.

        Args:
            value: The text, of at most 65,535 bytes.

        Raises:
            TypeError: `value` is `None` (#2007) or not a string.
            RangeError: The text is longer (#2006); nothing is written.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_utf")
        data = charsets.encode_utf8(as_string("value", value))
        if len(data) > _MAX_UTF:
            raise errors.out_of_bounds("write_utf", f"{len(data)} bytes of text are more than {_MAX_UTF}")
        self._put(_LAYOUTS[self._endian].unsigned_short.pack(len(data)) + data)

    def write_utf_bytes(self, value: str) -> None:
        """Writes a text in UTF-8, without length or terminator. AIR: ``writeUTFBytes()``.

        Args:
            value: The text.

        Raises:
            TypeError: `value` is `None` (#2007) or not a string.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_utf_bytes")
        self._put(charsets.encode_utf8(as_string("value", value)))

    def write_multi_byte(self, value: str, char_set: str) -> None:
        """Writes a text in another character set. AIR: ``writeMultiByte()``.

        Args:
            value: The text; characters missing from the character set become question marks.
            char_set: AIR's name of the character set, such as ``"shift-jis"``; an unknown name means the system's.

        Raises:
            TypeError: An argument is `None` (#2007) or not a string.
            IOError: The socket is not open, or its buffer is full (#2002).
        """
        self._require_writable("write_multi_byte")
        self._put(charsets.encode(as_string("value", value), charsets.codec_for(char_set)))

    def write_object(self, object: Any) -> None:
        """Writes an object in AMF. AIR: ``writeObject()``.

        Args:
            object: The object.

        Raises:
            IOError: The socket is not open (#2002).
            NotImplementedError: Otherwise, always: AMF is not implemented yet.
        """
        self._require_writable("write_object")
        _amf_missing("write_object")


def _target(parameter: str, value: object) -> bytearray:
    if isinstance(value, Storage):
        return value._data
    if isinstance(value, bytearray):
        return value
    raise errors.null(parameter) if value is None else errors.wrong_type(parameter, value, "a ByteArray or a bytearray")
