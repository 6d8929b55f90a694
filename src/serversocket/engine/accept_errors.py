"""What to do when accepting a connection failed: errno -> action."""

from __future__ import annotations

import enum
import errno

__all__ = ["ACTIONS", "Action", "action_for"]


class Action(enum.Enum):
    """What an acceptor does after a failed accept."""

    RETRY = "retry"
    """Accept the next one: only this connection is lost, or nothing at all."""

    DONE = "done"
    """Wait for the system: no client is in the queue."""

    SHED = "shed"
    """No descriptor is left: use the spare one to turn the client away, then pause."""

    PAUSE = "pause"
    """A resource is short that will be there again: pause, so that a level-triggered wait does not spin."""

    GONE = "gone"
    """The listening socket itself may be gone: ask the system."""


_NAMES: dict[Action, str] = {
    # The network errors are those that accept(2) passes on from the new connection.
    Action.RETRY: (
        "EINTR ECONNABORTED ECONNRESET ENETDOWN EPROTO ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH"
        " EOPNOTSUPP ENETUNREACH EPERM ETIMEDOUT ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT"
    ),
    Action.DONE: "EAGAIN EWOULDBLOCK",
    Action.SHED: "EMFILE ENFILE",
    Action.PAUSE: "ENOBUFS ENOMEM",
    Action.GONE: "EINVAL EBADF ENOTSOCK",
}

ACTIONS: dict[int, Action] = {
    getattr(errno, name): action for action, names in _NAMES.items() for name in names.split() if hasattr(errno, name)
}
"""The action for each error number that this platform has a name for."""


def action_for(error_number: int) -> Action:
    """The action after an accept that failed with `error_number`; `Action.PAUSE` for one that is not in the table."""
    return ACTIONS.get(error_number, Action.PAUSE)
