"""The package and its documentation use the terms of the glossary in CONTRIBUTING.md, not the words that it rejects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "serversocket"
GLOSSARY = re.compile(r"^### Glossary\n(.*?)^## ", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
STATES = re.compile(r"^\| from \| what happens \|.*?\n\n", re.MULTILINE | re.DOTALL)
TEXTS = re.compile(r"""\"{3}.*?\"{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#[^\n]*""", re.DOTALL)

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


def texts(source: str) -> str:
    """Returns the docstrings, comments and strings of a source, each in its line."""
    found, end = [], 0
    for text in TEXTS.finditer(source):
        found += ["\n" * source.count("\n", end, text.start()), text[0]]
        end = text.end()
    return " ".join(found)


SOURCES = [path for path in sorted(PACKAGE.rglob("*.p*")) if path.suffix in (".py", ".pyx", ".pxi", ".pxd")]
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
    assert rejected(texts('torn = 1\n"""Torn,\nor torn."""\nraise Error("\\"torn") # torn')) == [
        f"line {line}: {word!r}: say 'truncated'" for line, word in ((2, "Torn"), (3, "torn"), (4, "torn"), (4, "torn"))
    ]
    assert prose("a `torn`\n```\ntorn\n```\n[b](torn.md)") == "a \n\n\n\n[b"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_sources_use_its_terms(path: Path) -> None:
    assert rejected(texts(path.read_text())) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pages_use_its_terms(path: Path) -> None:
    assert rejected(prose(path.read_text())) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_begins_with_whether(path: Path) -> None:
    """Say "Returns True if …", and for a property "True if …": the return value comes first."""
    assert re.findall(r'"{3}\s*Whether\b.*', path.read_text()) == []
