"""What follows a failed accept."""

from __future__ import annotations

import errno

import pytest

from serversocket.engine.accept_errors import ACTIONS, Action, action_for


@pytest.mark.parametrize(
    ("names", "action"),
    [
        ("EINTR ECONNABORTED EPROTO ENETDOWN EHOSTUNREACH EPERM ETIMEDOUT", Action.RETRY),
        ("EAGAIN EWOULDBLOCK", Action.DONE),
        ("EMFILE ENFILE", Action.SHED),
        ("ENOBUFS ENOMEM", Action.PAUSE),
        ("EINVAL EBADF ENOTSOCK", Action.GONE),
    ],
)
def test_actions(names: str, action: Action) -> None:
    numbers = [getattr(errno, name) for name in names.split() if hasattr(errno, name)]
    assert numbers
    assert {action_for(number) for number in numbers} == {action}


@pytest.mark.parametrize("number", [0, -1, 999_999, errno.ENOSPC])
def test_an_unknown_error_pauses_so_that_nothing_spins(number: int) -> None:
    assert number not in ACTIONS
    assert action_for(number) is Action.PAUSE


def test_the_table_has_every_action() -> None:
    assert set(ACTIONS.values()) == set(Action)
