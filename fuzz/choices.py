"""Decisions, drawn from the bytes that a fuzzer makes: the same bytes, the same decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads decisions from bytes; where there are no more, every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def __bool__(self) -> bool:
        return self.place < len(self.data)

    def bytes(self, size: int) -> bytes:
        found = self.data[self.place : self.place + size]
        self.place += size
        return found

    def number(self, below: int) -> int:
        """0 up to, not including, `below`."""
        size = 1 if below <= 0x100 else 2 if below <= 0x10000 else 8
        return int.from_bytes(self.bytes(size), "little") % below

    def integer(self) -> int:
        """Any integer; mostly one near a border."""
        base = self.pick((0, 1, 255, 256, 65535, 65536, 2**31, 2**32, 2**53, 2**63, 2**64, 2**70))
        return (base + self.number(5) - 2) * self.pick((1, -1))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(len(options))]

    def text(self, most: int = 80) -> str:
        return self.bytes(self.number(most)).decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        return self.bytes(len(self.data))
