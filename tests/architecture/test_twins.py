"""The twins have the same classes, methods and signatures, and their documentation is written once."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from .sources import PACKAGE, ROOT

NATIVE, PURE = PACKAGE / "engine" / "native", PACKAGE / "engine" / "pure"

# What only one of them has. Natively much is a function of its own that the compiler puts in its caller's place, and
# memory is the engine's own affair; pure has objects where the native engine has fields.
NATIVE_ONLY = {
    "Acceptor": "_begin",
    "Connector": "_met_itself",
    "Event": "_describe",
    "EventDispatcher": "_call_registered _entries _entries_at _listener_raised _store _store_at _tell _tell_listeners",
    "Input": "_drop_input _extend_store _input_lost _offset_in_lent _shown _whole",
    "Flow": "_kept _last_joined _limit _prepare _queue _queue_behind _write",
    "Output": """_after_sending _drop_filtered _empty_error_queue _kept _send_several _send_some _settle
        _take_off _transmit_filtered _wire""",
    "Poller": "alive disown grow has_work hold next_ready register_all vacate",
    "Reactor": "_check_owner _run_postponed _track_idle landing",
    "Receiver": """_arrived _arrived_in_lent _arrived_on_wire _culprit _finish _first_read _input_ends _input_lost
        _keep_input _open_lent _receive_lent _received _recv_failed _urgent""",
    "Source": "_attend _hold _kept _send_output _with_extras",
    "Stream": "_apply_no_delay _end _has_to_linger _has_to_linger_filtered _refuse",
    "Wire": "append",
}
PURE_ONLY = {
    "Acceptor": "_begin_listening",
    "Input": "_front _open_lent _require_input",
    "Flow": "_count",
    "Output": "_attend_later _count _queued _send_written",
    "Poller": "fileno forked",
    "Reactor": "_close_spare _forget_work _open_spare _take_turns",
    "Source": "_owner _settle",
    "Stream": "_accept _close_filtered _hold _owes",
}
# A field that everybody may read is a property here and an attribute there.
ATTRIBUTES = {
    "Acceptor": "_admission _most_connections _socket_class",
    "Connector": "errno",
    "Event": "bubbles cancelable current_target target type",
    "LoopWaiter": "throw",
    "ServerSocketConnectEvent": "socket",
    "Stream": "_fragile _half_open",
}
CLASSES_OF_ONE = {"Extras", "Registration", "EpollSelector", "Slot", "ThreadAlarm", "Waker"}


METHOD = re.compile(r"    (cdef|def) (?:inline )?(?:[\w*\[\] ]*?[ *])?(\w+)\((.*?)\)[^()]*:\n", re.DOTALL)


class Method(NamedTuple):
    """A method of a class, by the name that it has natively."""

    owner: str
    name: str
    parameters: tuple[str, ...]
    """With their defaults."""
    inner: bool
    """Only the engine itself calls it."""


def native_methods() -> Iterator[Method]:
    for path in NATIVE.glob("*.pxi"):
        owner = ""
        text = path.read_text()
        for line in re.split(r"\n(?=    (?:cdef|def) |(?:cdef )?class |\S)", text):
            if heading := re.match(r"(?:cdef )?class (\w+).*:\s*$", line.splitlines()[0] if line else ""):
                owner = heading[1]
            elif method := METHOD.match(line):
                given = [part.strip() for part in re.sub(r"\s+", " ", method[3]).split(",")]
                given = [part for part in given if part not in ("", "*", "/")]
                names = tuple(re.sub(r"^.*?(\*{0,2}\w+)(?: not None)?(?:=(.*))?$", _shown, each) for each in given)
                yield Method(owner, method[2], names, method[1] == "cdef")
            elif re.match(r"(cdef|def|[A-Z]|for|_)", line):
                owner = ""


def _shown(parameter: re.Match[str]) -> str:
    return parameter[1] if parameter[2] is None else f"{parameter[1]}={parameter[2]}"


def pure_methods() -> Iterator[Method]:
    for path in PURE.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        yield _pure_method(node.name, inner)


def _pure_method(owner: str, node: ast.FunctionDef) -> Method:
    arguments = node.args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]]
    for index, default in enumerate(reversed(arguments.defaults)):
        names[-1 - index] += f"={ast.unparse(default)}"
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    names += [argument.arg for argument in arguments.kwonlyargs]
    if arguments.kwarg:
        names.append(f"**{arguments.kwarg.arg}")
    inner = re.fullmatch(r"_[a-z]\w*_", node.name) is not None and not node.name.endswith("__")
    return Method(owner, node.name[:-1] if inner else node.name, tuple(names), inner)


def named(methods: Iterator[Method]) -> dict[str, dict[str, Method]]:
    found: dict[str, dict[str, Method]] = {}
    for method in methods:
        if not method.name.startswith("__"):
            found.setdefault(method.owner, {}).setdefault(method.name, method)
    return found


NATIVES, PURES = named(native_methods()), named(pure_methods())
INNER = {"Poller", "Tally", "Wire"}  # no program sees them
CLASSES = sorted((NATIVES.keys() & PURES.keys()) - {""})


def test_they_have_the_same_classes():
    protocols = {
        node.name
        for path in PURE.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases)
    }
    private = {name for name in PURES if name.startswith("_")}
    assert (NATIVES.keys() ^ PURES.keys()) - {""} - protocols - private <= CLASSES_OF_ONE
    assert {"Reactor", "Source", "Stream", "Filter", "Lingerer", "EventDispatcher"} <= set(CLASSES)


@pytest.mark.parametrize("owner", CLASSES)
def test_they_have_the_same_methods(owner):
    one, other = NATIVES[owner].keys(), PURES[owner].keys()
    either = set(ATTRIBUTES.get(owner, "").split())
    assert (one - other) - either == set(NATIVE_ONLY.get(owner, "").split())
    assert (other - one) - either == set(PURE_ONLY.get(owner, "").split())


@pytest.mark.parametrize("owner", sorted(set(CLASSES) - INNER))
def test_what_a_program_can_call_has_the_same_signature(owner):
    for name in NATIVES[owner].keys() & PURES[owner].keys():
        native, pure = NATIVES[owner][name], PURES[owner][name]
        assert native.inner == pure.inner, f"{owner}.{name}"
        if not native.inner:
            assert native.parameters == pure.parameters, f"{owner}.{name}"


def test_documentation_is_written_once():
    done = subprocess.run(
        [sys.executable, "tools/copy_docstrings.py", "--check"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
