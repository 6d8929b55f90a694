"""Every program of the front page, the tutorials and the how-to pages runs, and does what its page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from . import checks_hosts, checks_howto, checks_moving, checks_tutorial
from .programs import DOCS, ROOT, Check, Checks, Program, check, need, programs

PAGES = [
    "index.md",
    *(str(path.relative_to(DOCS)) for kind in ("tutorial", "howto") for path in sorted((DOCS / kind).rglob("*.md"))),
]
PROGRAMS = [program for page in PAGES for program in programs(page)]
LANGUAGES = ("python", "javascript", "actionscript")
CHECKS: Checks = checks_tutorial.CHECKS | checks_howto.CHECKS | checks_moving.CHECKS | checks_hosts.CHECKS
WORKERS = "workers.py", "many-cores.md"


def checked() -> Iterator[object]:
    counts: dict[str, int] = {}
    for program in PROGRAMS:
        if program.language not in LANGUAGES:
            continue
        number = counts[program.place] = counts.get(program.place, -1) + 1
        checks = CHECKS.get(program.place, [])
        it = checks[number] if number < len(checks) else check(unknown)
        if it is not None:
            yield pytest.param(program, it, id=f"{program.place}, {number + 1}")


def unknown(program: Program) -> None:
    pytest.fail(f"no check says what this program of {program.place} does:\n{program.code}")


@pytest.mark.parametrize(("program", "it"), list(checked()))
def test_the_program_does_what_its_page_says(program: Program, it: Check) -> None:
    need(*it.needs)
    if "Supervisor(" in program.code and sys.platform != "linux":
        pytest.skip("needs what only Linux has")
    it.run(program)


def test_every_check_has_its_program() -> None:
    found = [program.place for program in PROGRAMS if program.language in LANGUAGES]
    assert {place: found.count(place) for place in CHECKS} == {place: len(checks) for place, checks in CHECKS.items()}


def test_every_page_of_a_host_has_a_complete_program() -> None:
    pages = {f"howto/hosts/{path.name}" for path in (DOCS / "howto" / "hosts").glob("*.md")}
    without = {"howto/hosts/index.md", "howto/hosts/interpreters.md"}
    assert {program.page for program in PROGRAMS} >= pages - without


EXAMPLES = {path: path.read_text() for path in sorted((ROOT / "examples").glob("*.py"))}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_on_a_page(path: object) -> None:
    assert EXAMPLES[path] in [program.code for program in PROGRAMS]  # type: ignore[index]
    assert path.name in (DOCS / "howto" / "examples.md").read_text()  # type: ignore[attr-defined]


def test_there_are_as_many_examples_in_either_style() -> None:
    coroutines = ["async def" in text for text in EXAMPLES.values()]
    assert coroutines.count(True) == coroutines.count(False)
