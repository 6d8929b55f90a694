"""The floors of docs/design.md hold: a module imports from its own or a lower floor only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "serversocket"


def floors() -> dict[str, int]:
    """The module names of the table in docs/design.md, with their floors."""
    table = {}
    floor = None
    for line in (ROOT / "docs" / "design.md").read_text().splitlines():
        if line == "```" and floor is not None:
            break
        entry = re.match(r"(?:floor (\d+)| {7,9}) +([\w/]+?)(/|\.pyx?) ", line)
        if entry:
            floor = floor if entry[1] is None else int(entry[1])
            assert floor is not None
            table[entry[2]] = floor
    return table


FLOORS = floors()
SOURCES = sorted(path for suffix in ("py", "pyx") for path in PACKAGE.rglob(f"*.{suffix}"))
MODULES = {*FLOORS, *(path.name.partition(".")[0] for path in PACKAGE.iterdir())}


def module_of(path: Path) -> str:
    """The entry of the table that a file belongs to: a folder is one entry, running the package is the command line."""
    top = path.relative_to(PACKAGE).parts[0].partition(".")[0]
    return "cli" if top == "__main__" else top


def imported(path: Path) -> Iterator[str]:
    """The entries of the table that a file imports, in functions and for type checkers too."""
    if path.suffix == ".pyx":
        # As Python, of the lines that import: all that the parser has to understand.
        lines = re.findall(r"^\s*((?:from\s+\S+\s+)?c?import\s+\S.*)$", path.read_text(), re.MULTILINE)
        text = "\n".join(re.sub(r"\bcimport\b", "import", line).rstrip("( \\") for line in lines)
        text = re.sub(r"import$", "import _", text, flags=re.MULTILINE)
    else:
        text = path.read_text()
    # The package that a relative import starts from.
    package = ["serversocket", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            base = start + (node.module.split(".") if node.module else [])
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "serversocket":
                yield name[1] if len(name) > 1 and name[1] in MODULES else "__init__"


def test_the_table_is_read() -> None:
    assert FLOORS["errors"] == 0
    assert FLOORS["_core"] == FLOORS["_engine"] == 1
    assert FLOORS["cli"] == FLOORS["__init__"] == max(FLOORS.values())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    module = module_of(path)
    assert module in FLOORS, f"{module} is not in the table of docs/design.md"
    above = {name for name in imported(path) if FLOORS.get(name, 0) > FLOORS[module]}
    assert not above, f"{module} (floor {FLOORS[module]}) imports {above}"
