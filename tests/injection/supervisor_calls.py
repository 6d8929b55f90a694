"""Where a supervisor and its workers call the system, found in their sources, and how these calls fail."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

SOURCES = Path(__file__).parents[2] / "src" / "serversocket" / "workers"
IN_SUPERVISOR = ("supervisor", "options", "bell", "process", "shared_port", "failures")
IN_WORKER = ("worker", "async_worker")
SYSTEM: dict[str, ModuleType] = {each.__name__: each for each in (fcntl, os, select, signal, socket, time)}
METHODS = {name for kind in (socket.socket, type(select.poll())) for name in dir(kind) if name[0] != "_"}
MEMORY = "MemoryError"

#: How each of them fails. Python itself begins anew what a signal has interrupted.
FAILURES = {
    "fcntl.fcntl": "EINVAL EPERM ENOMEM",
    "os.close": "EINTR EIO ENOSPC",
    "os.dup": "EMFILE ENOMEM",
    "os.fork": "EAGAIN ENOMEM ENOSYS MemoryError",
    "os.kill": "EPERM",
    "os.pipe": "EMFILE ENFILE MemoryError",
    "os.read": "EAGAIN EINTR EIO ENOMEM MemoryError",
    "os.sched_getaffinity": "ENOSYS EPERM",
    "os.set_blocking": "EPERM",
    "os.waitpid": "EINTR EINVAL ENOSYS MemoryError",
    "os.write": "EAGAIN EIO",
    "poll.poll": "EINTR EINVAL ENOMEM MemoryError",
    "poll.register": "MemoryError",
    "select.poll": "MemoryError",
    "signal.set_wakeup_fd": "EBADF",
    "signal.signal": "EINVAL",
    "sock.setsockopt": "ENOPROTOOPT ENOMEM",
    "socket.socket": "EBADF MemoryError",
}
CANNOT_FAIL = {
    "os._exit": "it does not return",
    "os.cpu_count": "it returns None",
    "os.getpid": "it always succeeds",
    "os.waitstatus_to_exitcode": "it does not ask the system",
    "signal.Signals": "it does not ask the system",
    "signal.getsignal": "it does not ask the system",
    "signal.pthread_sigmask": "EINVAL is for what is no mask",
    "signal.valid_signals": "it does not ask the system",
    "sock.detach": "it does not ask the system",
    "server.bind": "of this package: its own calls fail elsewhere",
    "time.monotonic": "the clock is always there",
    "time.sleep": "it begins anew after EINTR",
}
#: These are made, and then said to have failed: the descriptor is closed in any case.
MADE = {"os.close"}


class Site(NamedTuple):
    """One call in the sources."""

    module: str
    name: str
    position: tuple[int, int, int, int]
    """As `co_positions` tells it: first and last line, first and last column."""

    def __str__(self) -> str:
        return f"{self.name} in {self.module}.py, line {self.position[0]}"


class Case(NamedTuple):
    """One way in which a call may fail."""

    site: Site
    failure: str

    def error(self) -> BaseException:
        if self.failure == MEMORY:
            return MemoryError("injected")
        number = getattr(errno, self.failure)
        return OSError(number, os.strerror(number))

    def __str__(self) -> str:
        return f"{self.failure} from {self.site}"


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for module in IN_SUPERVISOR + IN_WORKER:
        yield module, ast.parse((SOURCES / f"{module}.py").read_text())


def own_names() -> set[str]:
    """The functions and classes that the modules define."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for _, tree in _trees() for node in ast.walk(tree) if isinstance(node, kinds)}


def sites() -> list[Site]:
    """Every call of a function of the system's modules, and of a method that sockets and polls have."""
    own = own_names()
    found = []
    for module, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            base, name = node.func.value, node.func.attr
            of_module = isinstance(base, ast.Name) and base.id in SYSTEM
            if of_module or (name in METHODS and name not in own):
                assert node.end_lineno is not None
                assert node.end_col_offset is not None
                position = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
                found.append(Site(module, ast.unparse(node.func), position))
    return sorted(found)


def handed_on() -> list[str]:
    """Functions of the system's modules that are not called where they are named, so that no site is found for them."""
    found = []
    for module, tree in _trees():
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in SYSTEM:
                value = getattr(SYSTEM[node.value.id], node.attr)
                if callable(value) and id(node) not in called and not isinstance(value, type | signal.Signals):
                    found.append(f"{node.value.id}.{node.attr} in {module}.py, line {node.lineno}")
    return found


def cases() -> list[Case]:
    return [
        Case(site, failure)
        for site in sites()
        if site.name not in CANNOT_FAIL
        for failure in FAILURES[site.name].split()
    ]
