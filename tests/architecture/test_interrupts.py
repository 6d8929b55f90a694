"""No interrupt finds a way past the `except` or `finally` that is to clean up after it."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType

from .sources import MODULES

#: Where it does not matter.
HARMLESS = {
    "engine.pure.system: ThreadAlarm._run": "a thread",
    "engine.pure.filter: Wire.fill": "between two pieces nothing is half done",
    "engine.pure.filter: Wire.say_last": "it catches what the system refuses",
    "net.tls: TLSFilter._decrypt": "it catches what TLS refuses",
    "net.tls: TLSFilter.written": "it releases a view of bytes",
    "net.resolver: _Pool._work": "a thread",
    "cli.standard_input: StandardInput._work": "a thread",
    "engine.pure.output: Output._transmit_": "it catches what the system refuses",
    "loop.reporting: _write": "it catches what the system refuses",
    "cli.console: write": "it catches what the system refuses",
    "cli.info: _count": "it catches what the system refuses",
}


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def jumps_out(code: CodeType) -> bool:
    """Returns True if a loop inside of a `try` or `with` jumps back from outside of it.

    CPython looks for signals at that jump, and compiles it without what guards the loop: where the loop is a `while`
    up to 3.13, and where an `if` ends it.
    """
    read = dis.Bytecode(code)
    instructions = {each.offset: each for each in read}

    def guards(offset: int) -> set[int]:
        """Where an exception at this place goes, and one that comes in between there."""
        found: set[int] = set()
        while True:
            target = next((each.target for each in read.exception_entries if each.start <= offset < each.end), None)
            if target is None or target in found:
                return found
            found.add(offset := target)

    return any(
        instructions[target].opname == "PUSH_EXC_INFO"  # others are the end of a generator or comprehension
        for each in read
        if each.opname == "JUMP_BACKWARD"
        for target in guards(each.argval) - guards(each.offset)
    )


def found_in(name: str, source: str) -> set[str]:
    """The functions of a module that have such a loop. Coroutines end with theirs, which hears of the signal itself."""
    return {
        f"{name}: {code.co_qualname}"
        for code in codes(compile(source, name, "exec"))
        if not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR) and jumps_out(code)
    }


def test_loops_that_are_cleaned_up_after_jump_inside_of_what_does_it():
    found = set()
    for name, path in MODULES.items():
        if path.suffix == ".py":
            found |= found_in(name, path.read_text())
    assert found <= HARMLESS.keys()
