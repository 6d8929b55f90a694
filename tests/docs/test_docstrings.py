"""Every public member says what it takes, what it raises, and shows how it is used, as far as a machine can tell."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import serversocket

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
from public_names import HANDLES, names

ENGINE = ("serversocket.engine.", "serversocket._core")  # which exists twice; its natives are no Python functions
#: What begins a docstring that says what comes of the call.
GIVES = re.compile(r"(Makes|Reads|Returns|The|A new)\b|.*\b(gives|returns)\b", re.DOTALL)
SECTION = re.compile(r"^(Args|Returns|Raises|Example):\n((?: +.*\n|\n)*)", re.MULTILINE)
#: What these take is said where they point to: they are overridden, or hand all of it on.
SAID_ELSEWHERE = re.compile(r"\b[Ss]ee `|those of `|[Aa]s `\w+`|^\w+ what `\w+` does|[Tt]he same as", re.MULTILINE)
#: Classes whose objects programs get and do not make, and classes of constants.
NOT_MADE = {*HANDLES, "BackgroundReactor", "Hosting", "Piped"}
CONSTANTS = {"Endian", "CompressionAlgorithm", "ObjectEncoding", "EventPhase"}


def sections(doc: str) -> dict[str, str]:
    return dict(SECTION.findall(textwrap.dedent(doc) + "\n"))


def entries(section: str) -> set[str]:
    """The names that a section explains."""
    lines = textwrap.dedent(section).splitlines()
    return {
        line.partition(":")[0].strip().lstrip("*")
        for line in lines
        if line and not line.startswith(" ") and ":" in line
    }


def parameters(function: Callable[..., object]) -> set[str]:
    found = list(inspect.signature(function).parameters.values())
    return {each.name for each in found if each.name not in ("self", "cls") and not each.name.startswith("_")}


def raises(function: Callable[..., object]) -> bool:
    """Returns True if the code of a function raises by itself, or checks an argument by one that does."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):
        return False
    return any(_raises(node) for node in ast.walk(tree))


def _raises(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call) and "StopAsyncIteration" not in ast.unparse(node.exc)
    return isinstance(node, ast.Call) and re.match(r"as_\w+|parse_\w+|refuse_\w+$", ast.unparse(node.func)) is not None


def described() -> Iterator[tuple[str, Any, str]]:
    """All functions, methods and properties that are public and not the engine's, with their names and docstrings."""
    for full_name, value in names().objects.items():
        if inspect.isfunction(value):
            yield full_name, value, inspect.getdoc(value) or ""
    for member in names().members():
        value = member.value
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        function = value.fget if isinstance(value, property) else value
        if inspect.isfunction(function) and not function.__module__.startswith(ENGINE):
            yield member.full_name, value, member.doc


DESCRIBED = list(described())
FUNCTIONS = [(name, value, doc) for name, value, doc in DESCRIBED if inspect.isfunction(value)]


def test_everything_public_has_a_docstring() -> None:
    assert [name for name, _, doc in DESCRIBED if not doc] == []
    assert [each.full_name for each in names().classes.values() if not inspect.getdoc(each.cls)] == []


@pytest.mark.parametrize(("name", "value", "doc"), FUNCTIONS, ids=[name for name, _, _ in FUNCTIONS])
def test_every_parameter_is_explained(name: str, value: Any, doc: str) -> None:
    if not SAID_ELSEWHERE.search(doc):
        assert entries(sections(doc).get("Args", "")) == parameters(value)


def test_every_parameter_of_a_class_is_explained() -> None:
    wrong = {}
    for each in names().classes.values():
        if (
            each.cls.__module__.startswith(ENGINE)
            or each.name in NOT_MADE | CONSTANTS
            or "__init__"
            not in {
                key for base in each.cls.__mro__ if base.__module__.startswith("serversocket") for key in vars(base)
            }
        ):
            continue
        doc = inspect.getdoc(each.cls) or ""
        told, taken = entries(sections(doc).get("Args", "")), parameters(each.cls.__init__)
        if told != taken and not SAID_ELSEWHERE.search(doc):
            wrong[each.full_name] = taken ^ told
    assert wrong == {}


def test_what_raises_says_so() -> None:
    silent = []
    for name, value, doc in DESCRIBED:
        functions = [value.fget, value.fset] if isinstance(value, property) else [value]
        if any(raises(each) for each in functions if each) and "Raises" not in sections(doc) and "aises" not in doc:
            silent.append(name)
    assert silent == []


def test_a_property_that_can_be_set_says_what_it_refuses() -> None:
    settable = [(name, doc) for name, value, doc in DESCRIBED if isinstance(value, property) and value.fset]
    assert [name for name, doc in settable if "Raises" not in sections(doc)] == []


def test_what_is_returned_is_said() -> None:
    silent = []
    for name, value, doc in FUNCTIONS:
        nothing = inspect.signature(value).return_annotation in ("None", "NoReturn", inspect.Signature.empty)
        if not (nothing or "Returns" in sections(doc) or GIVES.match(doc.partition("\n\n")[0])):
            silent.append(name)
    assert silent == []


def test_every_class_shows_how_it_is_used() -> None:
    """A class of constants by its members, and what other calls make by theirs."""
    without = [
        each.full_name
        for each in names().classes.values()
        if not each.cls.__module__.startswith(ENGINE)
        and each.name not in NOT_MADE | CONSTANTS
        and "Example" not in sections(inspect.getdoc(each.cls) or "")
    ]
    assert without == []


def test_every_function_shows_how_it_is_used() -> None:
    """Methods are shown by the examples of their classes, and some by their own."""
    functions = [(name, doc) for name, _, doc in FUNCTIONS if name in names().objects]
    without = [name for name, doc in functions if "Example" not in sections(doc) and not SAID_ELSEWHERE.search(doc)]
    assert without == []


def test_no_docstring_puts_a_riddle() -> None:
    """`Returns True if` tells what `Whether` leaves open."""
    assert [name for name, _, doc in DESCRIBED if re.match(r"Whether\b", doc)] == []


def test_the_air_member_is_named() -> None:
    """Where AIR's class has the member, which its reference lists."""
    air = {
        "ServerSocket": "bind bound close listen listening local_address local_port",
        "Socket": "bytes_available bytes_pending close connect connected endian flush local_address local_port"
        " object_encoding remote_address remote_port timeout read_boolean read_byte read_bytes read_double read_float"
        " read_int read_multi_byte read_object read_short read_unsigned_byte read_unsigned_int read_unsigned_short"
        " read_utf read_utf_bytes write_boolean write_byte write_bytes write_double write_float write_int"
        " write_multi_byte write_object write_short write_unsigned_int write_utf write_utf_bytes",
        "EventDispatcher": "add_event_listener dispatch_event has_event_listener remove_event_listener will_trigger",
    }
    for cls, members in air.items():
        known = names().classes[f"serversocket.{cls}"].members
        assert [name for name in members.split() if not known[name].is_airs] == [], cls
    assert serversocket.implementation in ("native", "pure")
