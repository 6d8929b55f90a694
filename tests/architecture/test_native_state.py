"""The native engine keeps its state in objects: at file level are constants, and a few exceptions with a reason."""

from __future__ import annotations

import re

import pytest

from .sources import PACKAGE

SOURCES = {path.name: path.read_text() for path in [*PACKAGE.glob("engine/native/*.pxi"), PACKAGE / "_core.pyx"]}

# What may change, and why it is nobody's field.
STATE = {
    "definition_texts": "what method descriptors are made from has to outlive them, and nobody knows how long that is",
    "target_field": "the same, of the descriptor of Event.target: filled once, at import",
    "current_target_field": "the same, of Event.current_target",
    "dispatch_depth": "counts for a thread, across all of its dispatchers",
    "report_error": "set once, at import, by the floor above, which the engine cannot import",
    "spares": "the event pool: dispatchers of no reactor use it too; the interpreter's lock guards it",
}

# What is set where it is declared, and never again.
CONSTANTS = {
    "ALL",
    "CLASSES",
    "DEFAULT_LIMIT",
    "DEFAULT_PRIORITY",
    "FAR_FUTURE",
    "METHOD_NAMES",
    "NEVER",
    "NOTHING",
    "NativeFunction",
    "PLACES",
    "TYPES",
    "coroutine_flags",
    "counted_by_greenlet",
}

OTHER_DECLARATIONS = r"(?:class|enum|extern|struct|union|packed|fused|api)\b|ctypedef\b"
CHANGING_METHODS = (
    "add|append|clear|discard|extend|insert|pop|popitem|remove|reverse|setdefault|sort|update"  # of Python's containers
)


def variables(text: str) -> set[str]:
    """The names that a part of the engine declares at file level, functions and types excepted, in Cython and in C."""
    blocks = re.findall(r'^cdef extern from .*:\n    """\n(.*?)^    """$', text, re.DOTALL | re.MULTILINE)
    without_texts = re.sub(r'"""(.*?)"""', "", text, flags=re.DOTALL)
    found = set().union(*(c_variables(block) for block in blocks))
    for line in without_texts.splitlines():
        line = line.partition("#")[0].rstrip()
        if line == "cdef:":
            raise AssertionError("declare each name in a line of its own, where this test finds it")
        if declared := re.match(rf"cdef (?!{OTHER_DECLARATIONS})(?:public |readonly )?(.*)", line):
            found |= names(declared[1])
        elif assigned := re.match(r"(\w+)(?:\s*:[^=]*)?\s*=(?!=)", line):
            found.add(assigned[1])
    return found


NO_DECLARATION = re.compile(
    r"""
      /\*.*?\*/ | //[^\n]*                                  # comments
    | ^\s*\#(?:[^\n]*\\\n)*[^\n]*                           # what the preprocessor reads
    | "(?:\\.|[^"\\])*"                                    # texts
    | __attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)
    | =\s*\{(?:[^{};]|\{[^{}]*\})*\}                       # values of more than one
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def c_variables(block: str) -> set[str]:
    """The names of C variables outside of functions, and of static ones in them."""
    code = NO_DECLARATION.sub("", block)
    found, depth = set(), 0
    for statement in re.split(r"(?<=[;{}])", code):
        words = statement.strip()
        if words.endswith(";") and not words.startswith("typedef"):
            storage = re.match(r"(?:(?:static|extern|__thread|_Thread_local|const|volatile|struct)\b\s*)*", words)[0]
            if depth == 0 or storage.startswith(("static", "__thread", "_Thread_local")):
                found |= names(words[len(storage) : -1])
        depth += statement.count("{") - statement.count("}")
    return found


def names(declaration: str) -> set[str]:
    """What a declaration without its storage class declares: ``int a, *b[2] = {0}``. Of a function: nothing."""
    declaration = re.sub(r"=(?:[^,(\[{]|\(.*?\)|\[.*?\]|\{.*?\})*", "", declaration)  # values
    if "(" in declaration:
        return set()
    return set(re.findall(r"(\w+)\s*(?:\[[^\]]*\])?\s*(?:,|;|$)", declaration))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cdef int counter", {"counter"}),
        ("cdef int counter = 0", {"counter"}),
        ("cdef Py_ssize_t one, two = 2", {"one", "two"}),
        ("cdef PyObject *pool[CLIENT + 1]", {"pool"}),
        ('cdef tuple KINDS = ("a", "b")', {"KINDS"}),
        ("cdef dict places = {kind: place for place, kind in enumerate(KINDS[:2])}", {"places"}),
        ("cdef object last = None      # of (all)", {"last"}),
        ("seen = set()", {"seen"}),
        ("seen: set[int] = set()", {"seen"}),
        ("cdef int function(int a=1) except -1:\n    cdef int inside = 0\n    return inside", set()),
        ("cdef inline char *function(chunk) noexcept:\n    pass", set()),
        ("cdef class Thing(Base):\n    cdef int field", set()),
        ("cdef enum Kind:\n    CONNECT\n    CLOSE = 1", set()),
        ("cdef struct Slot:\n    int mark", set()),
        ("if seen == 2:\n    pass", set()),
    ],
)
def test_what_is_found_in_cython(text, expected):
    assert variables(text + "\n") == expected


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("static int counter;", {"counter"}),
        ("int counter = 0, *other;", {"counter", "other"}),
        ('static __thread int depth __attribute__((tls_model("initial-exec"))) = 0;', {"depth"}),
        ('static PyMethodDef methods[] = {{"a", b}, {NULL}};', {"methods"}),
        ("static inline int f(int a)\n{\n    int local = a;\n    return local;\n}", set()),
        ("static int f(void)\n{\n    static int calls = 0;\n    return calls++;\n}", {"calls"}),
        ("static int declared(int a);", set()),
        ("#define pending() (-1)\n#include <pthread.h>", set()),
        ("/* int counter; */", set()),
    ],
)
def test_what_is_found_in_c(block, expected):
    lines = "".join(f"    {line}\n" for line in block.splitlines())
    assert variables(f'cdef extern from "Python.h":\n    """\n{lines}    """\n') == expected


def test_the_engine_has_no_other_state_at_file_level():
    found = set().union(*map(variables, SOURCES.values()))
    assert found == CONSTANTS | set(STATE)


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_a_constant_is_set_once(name):
    changes = rf"""
        (?<![\w.]){name}(?:\[[^\]]*\])?\s*(?:[-+*/%|&^@]|//|<<|>>|\*\*)?=(?![=])   # assigned, in part perhaps
        | \bglobal\b.*\b{name}\b | \bdel\s+{name}\b | &{name}\b
        | (?<![\w.]){name}\.(?:{CHANGING_METHODS})\(
    """
    found = [
        f"{file}: {line.strip()}"
        for file, text in SOURCES.items()
        for line in text.splitlines()
        if re.search(changes, line.partition("#")[0], re.VERBOSE)
    ]
    assert len(found) == 1, found  # its declaration
