"""`llms.txt`, a list of the pages, and `llms-full.txt`, all of them in one text: for tools that do not browse."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import diagrams
from docutils import nodes
from generated import as3_markdown
from public_names import Member, PublicClass, names
from reference import described_field, is_constant, shared, signature_of
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.inspect import signature, stringify_signature
from sphinx.util.typing import ExtensionMetadata

SUMMARY = (
    "TCP servers and connections for Python, with listeners or with async/await, on a native event loop. The"
    " distribution is serversocket-air; the index's serversocket is another project."
)
FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\} ?(.*)\n((?:.*\n)*?)\1\s*$", re.MULTILINE)


def pages(env: BuildEnvironment, name: str = "index") -> Iterator[str]:
    """The pages in the order of the tables of contents."""
    yield name
    for child in env.toctree_includes.get(name, ()):
        yield from pages(env, child)


def first_paragraph(doctree: nodes.document) -> str:
    found = (each for each in doctree.findall(nodes.paragraph) if isinstance(each.parent, nodes.section))
    paragraph = next(found, None)
    text = " ".join(paragraph.astext().split()) if paragraph else ""
    return re.split(r"(?<=[.:]) ", text, maxsplit=1)[0].rstrip(":")


def listed(app: Sphinx) -> str:
    lines = [f"# {app.config.project} {app.config.release}", "", f"> {SUMMARY}", ""]
    lines += ["All pages in one text: [llms-full.txt](llms-full.txt)", ""]
    for name in dict.fromkeys(pages(app.env)):
        title = app.env.titles[name].astext()
        if name.endswith("/index"):
            lines += ["", f"## {title}", ""]
        lines.append(f"- [{title}]({app.builder.get_target_uri(name)}): {first_paragraph(app.env.get_doctree(name))}")
    return "\n".join(lines) + "\n"


def full(app: Sphinx) -> str:
    lines = [f"# {app.config.project} {app.config.release}", "", SUMMARY, ""]
    for name in dict.fromkeys(pages(app.env)):
        source = Path(app.env.doc2path(name))
        lines += [f"<!-- {app.builder.get_target_uri(name)} -->", "", plain(source.read_text(), source), ""]
    return "\n".join(lines)


def plain(text: str, page: Path) -> str:
    """A page's Markdown, with what its directives stand for."""
    text = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    return FENCE.sub(lambda fence: _told(fence[2], fence[3].strip(), fence[4], page), text).strip()


def _told(directive: str, argument: str, content: str, page: Path) -> str:
    if directive == "eval-rst":
        return "\n\n".join(_described(content))
    if directive == "as3-names":
        return re.sub(r"\{py:obj\}`(\S+) <[^>]*>`", r"`\1`", as3_markdown())
    if directive == "diagram":
        return diagrams.MADE[argument]((page.parents[1] / "design.md").read_text())[1]
    if directive == "page-of-root":
        return (page.parents[2] / argument).read_text()
    if directive == "literalinclude":
        return f"```python\n{(page.parent / argument).read_text()}```"
    if directive in ("toctree", "image", "figure"):
        return ""
    return content


def _described(block: str) -> Iterator[str]:
    """What the directives of the reference describe."""
    lines = block.splitlines()
    for number, line in enumerate(lines):
        kind, _, argument = line.removeprefix(".. ").partition(":: ")
        if kind == "autofunction":
            yield described_function(argument)
        elif kind == "public-class":
            each = names().classes[names().resolve(argument) or ""]
            option = lines[number + 1].strip() if number + 1 < len(lines) else ""
            other = names().resolve(option.removeprefix(":without: ")) if option.startswith(":without:") else None
            yield described_class(each, shared(each, names().classes[other]) if other else [])
        elif kind == "shared-members":
            one, other = (names().classes[names().resolve(name) or ""] for name in argument.split())
            yield "\n\n".join(described_member(member) for member in shared(one, other))


def described_function(full_name: str) -> str:
    value = names().objects[full_name]
    return f"### {full_name}{stringify_signature(signature(value))}\n\n{inspect.getdoc(value)}"


def described_class(each: PublicClass, left_out: list[Member]) -> str:
    lines = [f"### class {each.full_name}{signature_of(each.cls) or ''}", inspect.getdoc(each.cls) or ""]
    lines += [described_member(member) for member in each.members.values() if member not in left_out]
    return "\n\n".join(lines)


def described_member(member: Member) -> str:
    name = f"{member.owner.name}.{member.name}"
    if is_constant(member):
        return f"#### {name} = {member.value!r}"
    value = member.value.__func__ if isinstance(member.value, classmethod | staticmethod) else member.value
    called = stringify_signature(signature(value, bound_method=True)) if member.kind == "method" else ""
    also = f" (ActionScript: {member.as3_name})" if member.as3_name != member.name else ""
    return f"#### {name}{called}{also}\n\n{member.doc or described_field(member)}"


def write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir)
        (folder / "llms.txt").write_text(listed(app), encoding="utf-8")
        (folder / "llms-full.txt").write_text(full(app), encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
