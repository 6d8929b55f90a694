"""Every system call that the engines make fails, one at a time, in every way in which it can."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serversocket import implementation

from .table import CANNOT_FAIL, calls, cases

SYSTEM = Path(__file__).parents[2] / "src" / "serversocket" / "engine" / "native" / "system.pxd"
GROUPS = 4  # of system calls, each in a process of its own
NO_SYSTEM_CALLS = {"clock_gettime", "htons", "ntohs", "inet_ntop", "inet_pton", "memcpy", "memcmp", "memmove", "memset"}
LOOKED_UP = {"if_indextoname"}  # where the name of an interface is not found, its number is shown


@pytest.mark.parametrize("names", [calls(implementation)[start::GROUPS] for start in range(GROUPS)], ids=" ".join)
def test_what_fails_breaks_what_it_hits_and_nothing_else(under_shim, names):
    """The next client is served completely, nothing is left open, and the program is told what it was."""
    count = sum(len(list(cases(implementation, call))) for call in names)
    assert under_shim("one_at_a_time.py", *names) == f"{count} passed, 0 failed\n"


@pytest.mark.parametrize("engine", ["native", "pure"])
def test_there_are_enough_cases(engine):
    assert sum(len(list(cases(engine, call))) for call in calls(engine)) >= 150


def test_every_system_call_of_the_native_engine_fails():
    declared = re.findall(r"^    (?:const )?\w+ \*?(\w+)\(", SYSTEM.read_text(), re.MULTILINE)
    assert {"accept4", "epoll_ctl", "if_indextoname", "timerfd_settime", "write"} <= set(declared)
    failing = {call.removesuffix("_add") for call in calls("native")}
    elsewhere = CANNOT_FAIL.keys() | NO_SYSTEM_CALLS | LOOKED_UP
    assert {call for call in declared if not call.isupper() and call[:4] != "IN6_"} == (
        failing - {"epoll_ctl_mod", "epoll_ctl_del", "socketpair"} | elsewhere
    )
