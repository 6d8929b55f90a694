"""Reads of a `ByteArray`, typed and not: what comes is what `struct` says, or nothing is consumed."""

from __future__ import annotations

import struct

from choices import Choices

from serversocket import ByteArray, Endian, EOFError, RangeError

FORMATS = {
    "read_byte": "b", "read_unsigned_byte": "B", "read_short": "h", "read_unsigned_short": "H",
    "read_int": "i", "read_unsigned_int": "I", "read_float": "f", "read_double": "d",
}  # fmt: skip
TEXTS = ("utf-8", "iso-8859-1", "us-ascii", "utf-16", "windows-1252", "shift-jis", "nonsense", "")


def check(data: bytes) -> None:
    choices = Choices(data)
    steps = [(choices.number(14), choices.integer(), choices.number(8)) for _ in range(choices.number(30))]
    content = choices.rest()
    source = ByteArray(content)
    for step, number, detail in steps:
        source.endian = (Endian.BIG_ENDIAN, Endian.LITTLE_ENDIAN)[detail % 2]
        before = source.position
        left = content[before:]
        try:
            one_read(source, left, step, number, detail)
        except EOFError:
            assert source.position == before
        except (RangeError, ValueError, UnicodeError, OverflowError, MemoryError):
            pass
        assert bytes(source) == content
        assert source.position >= 0


def one_read(source: ByteArray, left: bytes, step: int, number: int, detail: int) -> None:
    order = ">" if source.endian == Endian.BIG_ENDIAN else "<"
    if step < len(FORMATS):
        name, code = list(FORMATS.items())[step]
        size = struct.calcsize(order + code)
        value = getattr(source, name)()
        assert len(left) >= size
        (expected,) = struct.unpack(order + code, left[:size])
        assert value == expected or value != value
    elif step == 8:
        size = number % 300
        assert source.read_utf_bytes(size) is not None
    elif step == 9:
        source.read_utf()
    elif step == 10:
        source.read_multi_byte(number % 100, TEXTS[detail])
    elif step == 11:
        target = ByteArray()
        source.read_bytes(target, detail, number % 50)
    elif step == 12:
        source.position = number % (len(left) + 2)
    else:
        assert source.read_boolean() == (left[0] != 0)
