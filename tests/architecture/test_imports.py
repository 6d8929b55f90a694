"""The pictures in docs/design.md are those of the package, its arrows go one way, and modules import in no circle."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter

import pytest

from .sources import DESIGN, MODULES, PACKAGE, ROOT, UNIT, imports, is_of_the_stub, room

TREE, ARROWS = re.findall(
    r"^```\n(.*?)^```$", DESIGN.partition("## The engine's contract")[0], re.DOTALL | re.MULTILINE
)

# How many lines a module may have. Docstrings are lines too.
MOST_LINES = 600
LONGER = {
    "__init__.pyi": "made by a tool",
}


def drawn() -> set[str]:
    """The files of the first picture. What is drawn under `native/` is there, and `pure/` has the same names."""
    found = set()
    folders: list[str] = []
    for line in TREE.splitlines():
        indent, name = re.match(r"( *)([\w.]+/?)", line).groups()
        folders = folders[: len(indent) // 4]
        if name.endswith("/"):
            folders.append(name[:-1])
        else:
            found.add("/".join([*folders, name.partition(".")[0]]))
    return found


def files() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*"):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        if path.suffix in (".py", ".pxi") and not name.endswith("/__init__"):
            found.add(name)
    return found


def test_every_file_is_in_the_picture_and_every_name_in_it_a_file():
    there, shown = files(), drawn()
    shown -= {"engine/__init__"}  # said there, because it decides
    twins = {name for name in there if name.startswith("engine/pure/")}
    assert {name for name in shown if "/native/" in name} == {name for name in there if "/native/" in name}
    assert there - twins == {name for name in shown if "/pure/" not in name}
    natives = {name.replace("/native/", "/pure/") for name in there if "/native/" in name}
    assert twins - natives == {name for name in shown if "/pure/" in name}


def test_the_arrows_are_those_of_the_imports():
    expected = {}
    for line in ARROWS.splitlines():
        name, *used = line.split()
        expected[name] = set(used)
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for target, for_types in imports(module):
            if room(target) != room(module) and not is_of_the_stub(module, target, for_types):
                found.setdefault(room(module), set()).add(room(target))
    assert found == expected
    above: set[str] = {"naming", "defaults"}
    for name, used in expected.items():  # a room uses only what stands above it
        assert used <= above, f"{name} uses {used - above}, which does not stand above it"
        above.add(name)


def test_modules_import_in_no_circle():
    graph = {
        module: {target for target, for_types in imports(module) if not is_of_the_stub(module, target, for_types)}
        for module in MODULES
    }
    assert len(graph) > 60
    assert "engine.pure" in graph["engine"]
    assert "errors" in graph[UNIT]
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyi", ".pyx", ".pxi")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_too_long(path):
    if path.relative_to(PACKAGE).as_posix() not in LONGER:
        assert len(path.read_text().splitlines()) <= MOST_LINES
