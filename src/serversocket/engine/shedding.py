"""Sheds connections: breaks those that keep the most data when all together are over the limit."""

from __future__ import annotations

from typing import Protocol

__all__ = ["shed"]


class Keeper(Protocol):
    """A connection that keeps unread input and unsent output."""

    @property
    def _bytes_kept(self) -> int: ...
    def _shed(self) -> None: ...


class Keeping(Protocol):
    """What `shed` needs of a reactor."""

    @property
    def bytes_kept(self) -> int: ...
    @property
    def _buffer_limit(self) -> int: ...
    def _fullest(self) -> Keeper | None: ...


def shed(reactor: Keeping, asking: Keeper, more: int) -> bool:
    """Breaks the connections that keep most until there is room.

    Args:
        reactor: The reactor whose limit would be passed.
        asking: The connection that wants to keep more; it is not broken here.
        more: How many bytes more it wants to keep.

    Returns:
        True if there is room now. False if `asking` keeps most, or if all others together could not make enough: then
        none is broken.
    """
    limit = reactor._buffer_limit
    if asking._bytes_kept + more > limit:
        return False
    while reactor.bytes_kept + more > limit:
        fullest = reactor._fullest()
        if fullest is None or fullest is asking or not fullest._bytes_kept:
            return False
        fullest._shed()
    return True
