"""How long a closed connection may still take to send the rest of its output."""

from __future__ import annotations

from .. import defaults

__all__ = ["Patience"]


class Patience:
    """How long a lingering close takes, by what the peer still has to acknowledge.

    A peer that acknowledges nothing for `defaults.STALLED_SECONDS` is given up, and so is one that is not done after
    `defaults.LONGEST_LINGER`. When it has got everything, it has `defaults.LINGER_SECONDS` to close too.
    """

    __slots__ = ("_age", "_left", "_stalled")

    def __init__(self) -> None:
        self._left = 0
        self._stalled = 0.0
        self._age = 0.0

    def begin(self, left: int) -> float:
        """Notes how many bytes the peer has not acknowledged; returns the seconds until the next look."""
        self._left = left
        return defaults.LINGER_SECONDS

    def is_over(self, left: int) -> bool:
        """Looks again; returns True if the connection is to be closed, whatever is left."""
        self._age += defaults.LINGER_SECONDS
        self._stalled = 0 if left < self._left else self._stalled + defaults.LINGER_SECONDS
        patience = defaults.STALLED_SECONDS if left else defaults.LINGER_SECONDS
        return self._age >= defaults.LONGEST_LINGER or self._stalled >= patience
