"""The package and its documentation use the terms of the glossary in CONTRIBUTING.md, not the words that it rejects."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "serversocket"
GLOSSARY = re.compile(r"^### Glossary\n(.*?)^## ", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
STATES = re.compile(r"^\| from \| what happens \|.*?\n\n", re.MULTILINE | re.DOTALL)
#: Parts that are still to be put into these words.
NOT_YET = (PACKAGE / "engine", PACKAGE / "_core.pyx")

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def glossary() -> dict[str, list[str]]:
    """Returns the terms, each with the words that it takes the place of."""
    found = GLOSSARY.search(CONTRIBUTING)
    assert found is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines() if line[:1] == "|"]
    return {term: [word for word in rejected.split(", ") if word] for term, _, rejected in rows[2:]}


REJECTED = {word: term for term, words in glossary().items() for word in words}
WORDS = re.compile(rf"\b(?:{'|'.join(sorted(REJECTED, key=len, reverse=True))})\b", re.IGNORECASE)


def rejected(text: str) -> list[str]:
    """Returns what is wrong in a text: each rejected word, with the term to use."""
    return [f"line {text.count(chr(10), 0, at.start()) + 1}: {advice(at[0])}" for at in WORDS.finditer(text)]


def advice(word: str) -> str:
    return f"{word!r}: say {REJECTED[word.lower()]!r}"


def prose(markdown: str) -> str:
    """Returns a Markdown text without code, targets of links, and the table that pictures are made from."""
    return CODE.sub(lambda code: "\n" * code[0].count("\n"), STATES.sub("", GLOSSARY.sub("", markdown)))


SOURCES = [
    path
    for path in sorted(PACKAGE.rglob("*.py*"))
    if path.suffix in (".py", ".pyx", ".pxi") and not any(path.is_relative_to(part) for part in NOT_YET)
]
PAGES = [
    path
    for folder in (ROOT, ROOT / "bench", *(each for each in (ROOT / "docs").rglob("*") if each.is_dir()), ROOT / "docs")
    for path in sorted(folder.glob("*.md"))
    if "_build" not in path.parts
]


def test_the_glossary_has_terms_in_order_and_words_it_rejects() -> None:
    terms = list(glossary())
    assert terms == sorted(terms)
    assert {"backpressure", "acknowledged", "graceful shutdown", "truncated"} <= set(terms)
    assert {"ghost", "torn", "nobody"} <= set(REJECTED)
    assert rejected("a\nTorn stream") == ["line 2: 'Torn': say 'truncated'"]
    assert prose("a `torn`\n```\ntorn\n```\n[b](torn.md)") == "a \n\n\n\n[b"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_sources_use_its_terms(path: Path) -> None:
    assert rejected(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pages_use_its_terms(path: Path) -> None:
    assert rejected(prose(path.read_text())) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_begins_with_whether(path: Path) -> None:
    """Say "Returns True if …", and for a property "True if …": the return value comes first."""
    if path.suffix != ".py":
        return
    texts = [
        (node.lineno, node.value.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert [line for line, text in texts if re.match(r"\s*Whether\b", text)] == []
