"""Tables and pictures that are made from the running package and from the page on design: the directives for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import diagrams
from docutils import nodes
from public_names import ADAPTERS, Member, PublicClass, names
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

PAGES_OF_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def as3_sections() -> Iterator[tuple[PublicClass, list[Member]]]:
    """The classes, and of each the members that have a name in ActionScript, in the order of these names."""
    for each in names().classes.values():
        members = [member for member in each.members.values() if member.is_airs or member.as3_name != member.name]
        members += [member for member in each.members.values() if member.name.isupper() and each.air_name]
        if members and each.module not in ADAPTERS:
            yield each, sorted(members, key=lambda member: member.as3_name.lower())


def as3_markdown() -> str:
    lines = []
    for each, members in as3_sections():
        lines += ["", f"## {each.name}", ""]
        if each.air_name:
            lines += [f"AIR: `{each.air_name}`. Python: `{each.full_name}`.", ""]
        lines += ["| ActionScript | Python |", "|---|---|"]
        for member in members:
            mark = "" if member.is_airs or member.name.isupper() else " +"
            airs, ours = (f"{{py:obj}}`{name} <{member.full_name}>`" for name in (member.as3_name, member.name))
            lines.append(f"| {airs}{mark} | {ours} |")
    return "\n".join(lines)


class As3Names(SphinxDirective):
    """The table of ActionScript names."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(as3_markdown(), allow_section_headings=True)


class Diagram(SphinxDirective):
    """A picture of what stands in the page on design: `turn`, `life` or `states`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        design = Path(self.env.srcdir) / "design.md"
        self.env.note_dependency(str(design))
        try:
            picture, told = diagrams.MADE[self.arguments[0]](design.read_text())
        except LookupError as missing:
            raise self.error(f"{design.name}: {missing}") from None
        return [nodes.raw("", f'<figure class="diagram">{picture}</figure>', format="html"), nodes.comment("", told)]


class PageOfRoot(SphinxDirective):
    """A page that stands in the root of the project, with its links as they are from here."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        page = Path(self.env.srcdir).parent / self.arguments[0]
        self.env.note_dependency(str(page))
        text = re.sub(r"\[([^]]*)\]\((?!https?:)([^)]+)\)", _link_from_project, page.read_text())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _link_from_project(link: re.Match[str]) -> str:
    text, target = link.groups()
    if target.startswith("docs/"):
        return f"[{text}](../{target.removeprefix('docs/')})"
    if target in PAGES_OF_ROOT:
        return f"[{text}]({target.lower()})"
    return f"{text} (`{target}`)"  # what is in the source alone


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("as3-names", As3Names)
    app.add_directive("diagram", Diagram)
    app.add_directive("page-of-root", PageOfRoot)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
