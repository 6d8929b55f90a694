"""A `ByteArray` beside a plain `bytearray` and a position: whatever is done to both, both hold the same."""

from __future__ import annotations

import struct

from choices import Choices

from serversocket import ByteArray, Endian, EOFError, IOError

MOST = 100_000


class Model:
    def __init__(self) -> None:
        self.content = bytearray()
        self.position = 0

    def put(self, data: bytes) -> None:
        if not data:
            return
        end = self.position + len(data)
        if len(self.content) < self.position:
            self.content.extend(bytes(self.position - len(self.content)))
        self.content[self.position : end] = data
        self.position = end


def check(data: bytes) -> None:
    choices = Choices(data)
    it, model = ByteArray(), Model()
    while choices:
        one_step(choices, it, model)
        assert bytes(it) == bytes(model.content)
        assert it.length == len(model.content) == len(it)
        assert it.position == model.position
        assert it.bytes_available == max(0, len(model.content) - model.position)


def one_step(choices: Choices, it: ByteArray, model: Model) -> None:
    match choices.number(12):
        case 0:
            chunk = choices.bytes(choices.number(50))
            it.write_bytes(ByteArray(chunk))
            model.put(chunk)
        case 1:
            value = choices.integer()
            it.write_int(value)
            model.put(struct.pack(">I", value % 2**32))
        case 2:
            value = choices.integer()
            it.write_short(value)
            model.put(struct.pack(">H", value % 2**16))
        case 3:
            value = choices.integer()
            it.write_byte(value)
            model.put(bytes([value % 256]))
        case 4:
            text = choices.bytes(choices.number(40)).decode("utf-8", "ignore")
            it.write_utf(text)
            encoded = text.encode()
            model.put(struct.pack(">H", len(encoded)) + encoded)
        case 5:
            model.position = it.position = choices.number(MOST) if choices.number(8) == 0 else choices.number(100)
        case 6:
            length = choices.number(300)
            it.length = length
            del model.content[length:]
            model.content.extend(bytes(length - len(model.content)))
            model.position = min(model.position, length)
        case 7:
            it.clear()
            model.content.clear()
            model.position = 0
        case 8:
            size = choices.number(60)
            try:
                got = it.read_utf_bytes(size)
            except EOFError:
                assert size > len(model.content) - model.position
            else:
                assert isinstance(got, str)
                model.position += size if size else 0
                it.position = model.position
        case 9:
            if len(model.content) < 5000:
                before = it.position
                it.compress()
                it.uncompress()
                assert it.position in (0, before)
                it.position = model.position
        case 10:
            damaged = ByteArray(bytes(model.content))
            try:
                damaged.uncompress()
            except IOError:
                assert bytes(damaged) == bytes(model.content)
        case _:
            it.endian = Endian.LITTLE_ENDIAN
            try:
                it.read_double()
            except EOFError:
                assert len(model.content) - model.position < 8
            else:
                model.position += 8
            it.endian = Endian.BIG_ENDIAN
