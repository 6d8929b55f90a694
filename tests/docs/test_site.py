"""The pages as they are built: without a warning, whole, and with a link wherever something public is named."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

import serversocket

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LARGEST = 200_000  # bytes of a page
NEEDED = ("furo", "myst_parser", "sphinx", "sphinx_copybutton")

sys.path.insert(0, str(DOCS / "_ext"))
from public_names import ADAPTERS, MODULES, names  # noqa: E402


class Code(NamedTuple):
    """Code in a text: inside what it stands."""

    text: str
    linked: bool
    described: bool


class Page(HTMLParser):
    """What the checks look at: anchors, links, the code in the text, and the text itself."""

    VOID = frozenset(
        [
            "area",
            "base",
            "br",
            "col",
            "embed",
            "hr",
            "img",
            "input",
            "link",
            "meta",
            "path",
            "circle",
            "rect",
            "source",
            "track",
            "wbr",
        ]
    )

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.codes: list[Code] = []
        self.text = ""
        self._open: list[tuple[str, str]] = []
        self._code = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if found.get("id"):
            self.anchors.add(found["id"] or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        if tag not in self.VOID:
            self._open.append((tag, found.get("class") or ""))
        if tag == "code":
            self._code = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "code" and self._open:
            tags = [each for each, _ in self._open]
            in_signature = any({"sig", "elsewhere"} & set(css.split()) for _, css in self._open)
            heading = any(re.fullmatch(r"h\d", each) for each in tags)
            self.codes.append(Code(self._code, "a" in tags, in_signature or heading or "pre" in tags))
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._code += data
        if not any(tag in ("script", "style") for tag, _ in self._open):
            self.text += data


class Site(NamedTuple):
    folder: Path
    complaints: str
    pages: dict[str, Page]
    """By their paths; those of the index and the search are not among them."""

    def html(self, page: str) -> str:
        return (self.folder / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-d"]
    done = subprocess.run(
        [*command, str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        env={**os.environ, "SERVERSOCKET_IMPL": "pure"},
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = done.stderr if done.returncode else ""
    paths = [path for path in (folder / "html").rglob("*.html") if "_static" not in path.parts]
    left_out = {"genindex.html", "search.html", "py-modindex.html"}
    pages = {str(path.relative_to(folder / "html")): Page(path.read_text(encoding="utf-8")) for path in paths}
    return Site(folder / "html", complaints, {name: page for name, page in pages.items() if name not in left_out})


def internal_modules() -> list[str]:
    found = [each.name for each in pkgutil.walk_packages(serversocket.__path__, "serversocket.")]
    public = [name for name in MODULES if name != "serversocket"]
    return [name for name in found if name not in public and not name.startswith("serversocket.cli")]


def check_built(site: Site) -> Iterator[str]:
    yield from site.complaints.splitlines()


def check_sizes(site: Site) -> Iterator[str]:
    for page in site.pages:
        size = (site.folder / page).stat().st_size
        if size > LARGEST:
            yield f"{page}: {size} bytes"


def check_signatures(site: Site) -> Iterator[str]:
    for page in site.pages:
        for signature in re.findall(r'<dt class="sig.*?</dt>', site.html(page), re.DOTALL):
            text = re.sub(r"<[^>]*>", "", signature)
            if re.search(r"\*args: ?object,\s*\*\*", text):
                yield f"{page}: {' '.join(text.split())}"


def check_internal_paths(site: Site) -> Iterator[str]:
    """Of the reference: the design is about them."""
    internal = re.compile(rf"\b({'|'.join(map(re.escape, internal_modules()))})\.\w")
    for name, page in site.pages.items():
        if name.startswith("reference/") and (found := internal.search(page.text)):
            yield f"{name}: {found[0]}"


def check_everything_public_is_described(site: Site) -> Iterator[str]:
    anchors = {anchor for page in site.pages.values() for anchor in page.anchors}
    for full_name in (*names().objects, *(member.full_name for member in names().members())):
        if full_name not in anchors:
            yield full_name


def check_every_member_is_explained(site: Site) -> Iterator[str]:
    """Constants, whose values say it, aside."""
    for page in site.pages:
        for member in re.findall(r'<dt class="sig[^>]*id="(serversocket[\w.]+)".*?</dt>\s*<dd></dd>', site.html(page)):
            if not member.rpartition(".")[2].isupper():
                yield f"{page}: {member}"


def check_as3_names(site: Site) -> Iterator[str]:
    """Each member is in the index, the search and the table under its ActionScript name, too."""
    index = Page(site.html("genindex.html")).text
    search = (site.folder / "searchindex.js").read_text()
    table = site.pages["reference/as3-names.html"].text
    for member in names().members():
        if member.as3_name == member.name:
            continue
        if member.as3_name not in index or f"({member.owner.name}, ActionScript)" not in index:
            yield f"{member.as3_name} of {member.owner.name} is not in the index"
        if f'"{member.as3_name}"' not in search:
            yield f"{member.as3_name} is not in the search"
        if member.owner.module not in ADAPTERS and member.as3_name not in table:
            yield f"{member.as3_name} is not in the table"
    for each in names().classes.values():
        if each.air_name and "." in each.air_name and f"{each.air_name} (AIR)" not in index:
            yield f"{each.air_name} is not in the index"


def check_links(site: Site) -> Iterator[str]:
    for name, page in site.pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or link == "#":
                continue
            target, _, anchor = unquote(link).partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
            if not (site.folder / path).exists():
                yield f"{name}: {link}"
            elif anchor and path in site.pages and anchor not in site.pages[path].anchors:
                yield f"{name}: {link} has no such place"


def check_names_are_links(site: Site) -> Iterator[str]:
    for name, page in site.pages.items():
        for code in page.codes:
            if "." in code.text and not (code.linked or code.described) and names().resolve(code.text):
                yield f"{name}: {code.text}"


def check_names_of_other_libraries_are_theirs(site: Site) -> Iterator[str]:
    for name, text in (
        ("index.html", "await drain()"),
        ("index.html", "maxConnections"),
        ("howto/moving-from-node.html", "server.maxConnections"),
    ):
        found = [code.linked for code in site.pages[name].codes if code.text == text]
        if not found or any(found):
            yield f"{name}: {text}"


def check_texts_for_tools(site: Site) -> Iterator[str]:
    listed, full = ((site.folder / name).read_text() for name in ("llms.txt", "llms-full.txt"))
    yield from (f"{page} is not in llms.txt" for page in site.pages if f"]({page})" not in listed)
    for full_name in names().objects:
        if full_name.rpartition(".")[2] not in full:
            yield f"{full_name} is not in llms-full.txt"
    if "{eval-rst}" in full or "{toctree}" in full:
        yield "llms-full.txt has directives in it"


def check_furniture(site: Site) -> Iterator[str]:
    for page in site.pages:
        html = site.html(page)
        for part in ("copybutton.js", 'name="q"', "theme-toggle", f"serversocket {serversocket.__version__}"):
            if part not in html:
                yield f"{page} has no {part}"


CHECKS = [
    check_built,
    check_sizes,
    check_signatures,
    check_internal_paths,
    check_everything_public_is_described,
    check_every_member_is_explained,
    check_as3_names,
    check_links,
    check_names_are_links,
    check_names_of_other_libraries_are_theirs,
    check_texts_for_tools,
    check_furniture,
]


def test_the_site_is_as_it_should_be(site: Site) -> None:
    """In one test, for the pages are built once in each process that tests."""
    complaints = [f"{check.__name__}: {complaint}" for check in CHECKS for complaint in check(site)]
    assert not complaints, "\n".join(complaints)
