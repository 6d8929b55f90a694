"""The package's own sources: which modules there are, what each imports, and what docs/design.md says of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "serversocket"
DESIGN = (ROOT / "docs" / "design.md").read_text()
UNIT = "engine.native"  # _core.pyx is the compilation unit of the parts there


def name_of(path: Path) -> str:
    """The name of a module inside the package; of the package itself, ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("_core",):
        return UNIT
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in [*PACKAGE.rglob("*.py"), PACKAGE / "_core.pyx"]}


def room(module: str) -> str:
    """The top-level module or folder that a module belongs to."""
    return module.partition(".")[0]


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """What a module imports from the package, in functions too, and whether only type checkers see it."""
    path = MODULES[module]
    tree = ast.parse(path.read_text() if path.suffix == ".py" else _import_lines(path.read_text()))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) + 1 - node.level], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                target = whole if whole in MODULES else ".".join(base) or "__init__"
                if target != module:
                    yield target, id(node) in for_types


def _import_lines(cython: str) -> str:
    """As Python, the lines of Cython that import: all that the parser has to understand."""
    lines = re.findall(r"^from \.[\w.]* c?import .*$", cython, re.MULTILINE)
    return "\n".join(line.replace("cimport", "import") for line in lines)


def is_of_the_stub(module: str, target: str, for_types: bool) -> bool:
    """Annotations of what stands beside the public classes name them as the stub does."""
    return for_types and target == "__init__" and (room(module) in ("aio", "hosts") or module == "loop.thread")
