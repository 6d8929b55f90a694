"""Tables that can be read: names of tests are folded into their number, and cells are stacked on a telephone.

The latter where the front matter of a page has `stacked: true`, and in lists of members.
"""

from __future__ import annotations

import re
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

_TEST = re.compile(r"tests/[\w/]+\.py::\w+")


class FoldTests(SphinxPostTransform):
    """Names of tests are long; a cell of nothing else says how many there are, and shows them when it is asked to.

    Beside other text they are broken wherever a line ends.
    """

    default_priority = 6
    formats = ("html",)

    def run(self, **options: object) -> None:
        stacked = self.env.metadata.get(self.env.docname, {}).get("stacked")
        for table in self.document.findall(nodes.table):
            for entry in table.findall(nodes.entry):
                literals = list(entry.findall(nodes.literal))
                found = [literal.astext() for literal in literals]
                for literal in literals:
                    if _TEST.fullmatch(literal.astext()):
                        literal["classes"].append("test")
                if found and all(map(_TEST.fullmatch, found)) and not re.search(r"\w", _besides(entry)):
                    entry.children = [nodes.raw("", _folded(found), format="html")]
                    entry.children[0].parent = entry
            if stacked or "members" in table["classes"]:
                table["classes"].append("stacked")
                _label(table)


def _label(table: nodes.table) -> None:
    """Gives each cell the head of its column, which is shown where the cells are stacked."""
    heads = [entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
    for body in table.findall(nodes.tbody):
        for row in body.findall(nodes.row):
            for head, entry in list(zip(heads, row.children, strict=False))[1:]:
                if head and entry.children and isinstance(entry[0], nodes.paragraph):
                    entry[0].insert(0, nodes.inline("", f"{head}: ", classes=["label"]))


def _besides(entry: nodes.entry) -> str:
    return "".join(text for text in entry.findall(nodes.Text) if not isinstance(text.parent, nodes.literal))


def _folded(found: list[str]) -> str:
    shown = "".join(f"<li><code>{escape(name)}</code></li>" for name in found)
    many = "1 test" if len(found) == 1 else f"{len(found)} tests"
    return f'<details class="tests"><summary>{many}</summary><ul>{shown}</ul></details>'


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_post_transform(FoldTests)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
