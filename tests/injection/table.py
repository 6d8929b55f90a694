"""Which system calls fail, how, and when: every way in which Linux says they may, where the engines make them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

SHORT = -1  # instead of an error's number: the transfer carries one byte

ACCEPT = """
    EINTR ECONNABORTED ECONNRESET ENETDOWN EPROTO ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH
    EPERM ETIMEDOUT ENOSR ESOCKTNOSUPPORT EPROTONOSUPPORT EAGAIN EMFILE ENFILE ENOBUFS ENOMEM EINVAL EBADF ENOTSOCK
    EIO ENOSYS
"""
TRANSFER = "ECONNRESET ETIMEDOUT EHOSTUNREACH ENETUNREACH ENETDOWN ENOTCONN EINTR EAGAIN ENOMEM ENOBUFS EIO SHORT"


class Row(NamedTuple):
    """Cases that differ in the error and the moment.

    `occurrences` are the calls, counted from the reactor's making, from which on it fails, `times` altogether.
    """

    call: str
    errors: str
    occurrences: tuple[int, ...]
    times: int = 1
    engines: tuple[str, ...] = ("native", "pure")


class Case(NamedTuple):
    call: str
    error: str
    occurrence: int
    times: int
    hosted: bool

    @property
    def verdict(self) -> int:
        return SHORT if self.error == "SHORT" else int(getattr(errno, self.error))

    @property
    def expected(self) -> frozenset[int]:
        """What the program may be told of."""
        return frozenset() if self.error == "SHORT" else frozenset({self.verdict})

    def __str__(self) -> str:
        times = "" if self.times == 1 else f", {self.times} times"
        return f"{self.call} {self.error} at call {self.occurrence}{times}{', hosted' if self.hosted else ''}"


CANNOT_FAIL = {
    "write": "the descriptor that wakes refuses only when it is readable already",
    "timerfd_settime": "only wrong arguments fail",
}
ROWS = (
    Row("socket", "EMFILE ENFILE ENOMEM ENOBUFS EACCES EAFNOSUPPORT EPROTONOSUPPORT", (1, 2, 3)),
    Row("socket", "EMFILE", (1,), 3),
    Row("socketpair", "EMFILE ENFILE ENOMEM", (1,)),
    Row("bind", "EADDRINUSE EACCES EADDRNOTAVAIL ENOBUFS ENOMEM EINVAL", (1, 2, 3)),
    Row("bind", "EADDRINUSE", (1, 2), 3),
    Row("listen", "EADDRINUSE EOPNOTSUPP ENOBUFS ENOMEM EINVAL", (1, 2)),
    Row("accept4", ACCEPT, (1, 4)),
    Row("accept4", "EMFILE EINTR ECONNABORTED EAGAIN ENOBUFS", (2,), 3),
    Row("connect", "ECONNREFUSED ETIMEDOUT ENETUNREACH EHOSTUNREACH EADDRNOTAVAIL EACCES EPERM EAGAIN ENOBUFS", (1,)),
    Row("getsockname", "ENOBUFS EINVAL ENOTCONN", (1, 2, 4)),
    Row("getpeername", "ENOTCONN ENOBUFS", (1,)),
    Row("getsockopt", "ENOBUFS ENOMEM EINVAL", (1,)),
    Row("setsockopt", "ENOBUFS ENOMEM ENOPROTOOPT EINVAL", (1, 2, 3, 4, 5, 6, 7)),
    Row("ioctl", "ENOMEM EIO", (1, 3, 5), engines=("pure",)),
    Row("ioctl", "ENOMEM EIO EINVAL ENOTTY", (1,), engines=("native",)),
    Row("recvmsg", "EAGAIN EINTR ENOMEM ENOBUFS EIO ENOTCONN", (1, 2)),
    Row("recvmsg", "EINTR ENOMEM", (1,), 4),
    Row("dup3", "EBUSY EINTR EMFILE EBADF", (1,), engines=("native",)),
    Row("dup3", "EINTR", (1,), 3, engines=("native",)),
    Row("recv", TRANSFER, (1, 2, 5, 10)),
    Row("recv", "SHORT", (1,), 2000),
    Row("recv", "EINTR EAGAIN ECONNRESET", (3,), 4),
    Row("send", f"{TRANSFER} EPIPE EPERM EACCES EMSGSIZE", (1, 2)),
    Row("send", "EINTR EAGAIN SHORT", (1,), 4),
    Row("sendmsg", f"{TRANSFER} EPIPE EPERM EACCES EMSGSIZE", (1, 2, 4)),
    Row("sendmsg", "EINTR EAGAIN SHORT", (1,), 4),
    Row("shutdown", "ENOTCONN ENOBUFS EINVAL", (1,)),
    Row("close", "EINTR EIO ENOSPC EDQUOT ECONNRESET", (1, 2, 3, 5, 8, 11)),
    Row("close", "EINTR", (1,), 6),
    Row("epoll_create1", "EMFILE ENFILE ENOMEM ENOSYS", (1,)),
    Row("epoll_create1", "EMFILE ENFILE ENOMEM", (2,), engines=("native",)),
    Row("epoll_ctl_add", "ENOSPC ENOMEM EPERM", tuple(range(1, 11))),
    Row("epoll_ctl_add", "ENOSPC ENOMEM", tuple(range(17, 22))),  # into an epoll in the place of another
    Row("epoll_ctl_mod", "ENOMEM ENOENT EPERM", (1, 2, 3)),
    Row("epoll_ctl_del", "ENOMEM EINVAL", (1, 2, 4, 8)),
    Row("epoll_wait", "EINTR ENOMEM EINVAL", (1, 2, 5, 12)),
    Row("epoll_wait", "EINTR", (1,), 20),
    Row("eventfd", "EMFILE ENFILE ENODEV ENOMEM", (1,)),
    Row("timerfd_create", "EMFILE ENFILE ENODEV ENOMEM", (1,), engines=("native",)),
    Row("read", "EAGAIN EINTR", (1, 2)),
    Row("open", "EMFILE ENFILE ENOENT EACCES", (1,)),
)


def calls(engine: str) -> list[str]:
    """The system calls that fail on one engine."""
    return list(dict.fromkeys(row.call for row in ROWS if engine in row.engines))


def cases(engine: str, call: str) -> Iterator[Case]:
    """The cases of one system call on one engine, hosted in turns where that makes no difference."""
    hosted = call.startswith("timerfd")
    for row in ROWS:
        if row.call != call or engine not in row.engines:
            continue
        for error in row.errors.split():
            for occurrence in row.occurrences:
                yield Case(call, error, occurrence, row.times, hosted)
                hosted = not hosted or call.startswith("timerfd")
