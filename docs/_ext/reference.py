"""What the pages of reference show: the classes of the package, by the directives `public-class` and `public-names`.

The signature of a class is that of its `__init__`; a member is described once, in the class that has it first among
the public ones; every member has its ActionScript name in the index and in the search too.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from public_names import HANDLES, MODULES, Member, PublicClass, handles, importable, names
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature
from sphinx.util.nodes import nested_parse_with_titles
from sphinx.util.typing import ExtensionMetadata

import serversocket

#: What the modules of hosts need; it is imported where it is there, and need not be.
LIBRARIES = ("PySide6", "gevent", "gi", "tkinter", "_tkinter", "anyio", "trio")


#: Classes whose objects programs get and do not make.
MADE_BY_OTHERS = {*HANDLES, "BackgroundReactor", "Hosting"}

TYPE_VARIABLE = re.compile(r"~?(?:\w+\.)*~?\b_([A-Z])\b")


class Sections(GoogleDocstring):
    """The sections of our docstrings, in which what is returned has no type before a colon."""

    def _consume_returns_section(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
        lines = self._dedent(self._consume_to_next_section())
        return [("", "", lines)] if lines else []


def read_sections(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    # Of an attribute the first line would be read as its type, up to a colon.
    kind = "method" if what in ("attribute", "data", "property") else what
    lines[:] = Sections(lines, Config(), app, kind, name, value).lines()


def signature_of(value: type) -> str | None:
    """How an object of a class is made, without what only the package itself passes."""
    made_by = value.__init__ if value.__init__ is not object.__init__ else value.__new__
    if not inspect.isfunction(made_by):
        return None
    signature = inspect.signature(made_by)
    _self, *parameters = signature.parameters.values()
    shown = [each.replace(annotation=_short(each.annotation)) for each in parameters if not each.name.startswith("_")]
    signature = signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)
    return stringify_signature(signature, unqualified_typehints=True)


def _short(annotation: Any) -> Any:
    """An annotation without the module that it names."""
    return re.sub(r"\b[a-z_]+\.(?=\w)", "", annotation) if isinstance(annotation, str) else annotation


def first_sentence(doc: str) -> str:
    """What a list of members says of each: the first line of its docstring, up to its first full stop."""
    line = doc.partition("\n\n")[0].replace("\n", " ")
    head, stop, _ = line.partition(". ")
    return head + "." if stop else line


class PublicClassDirective(SphinxDirective):
    """Describes a class: its docstring, a list of its members, and then each of them.

    With `:without: Other`, those are left out that it shares with another class: `shared-members` describes them.
    """

    required_arguments = 1
    option_spec: ClassVar = {"without": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        full_name = names().resolve(self.arguments[0])
        if full_name is None or full_name not in names().classes:
            raise self.error(f"no public class: {self.arguments[0]}")
        other = names().resolve(self.options["without"]) if "without" in self.options else None
        lines = self.described(names().classes[full_name], names().classes[other] if other else None)
        return parse(self, lines)

    def described(self, each: PublicClass, other: PublicClass | None) -> Iterator[str]:
        left_out = shared(each, other) if other else []
        members = [member for member in each.members.values() if not (is_constant(member) or member in left_out)]
        constants = [member for member in each.members.values() if is_constant(member)]
        yield f".. autoclass:: {each.full_name}"
        yield ""
        if bases := " and ".join(base_names(each)):
            yield f"   A kind of {bases}."
            yield ""
        if len(members) > 4:
            yield from ("   .. list-table::", "      :widths: 30 70", "      :class: members", "")
            for member in members:
                yield f"      * - :py:obj:`{member.name} <{member.full_name}>`"
                yield f"        - {first_sentence(member.doc) or described_field(member)}"
            yield ""
        for member in members:
            yield f"   .. auto{member.kind}:: {member.full_name}"
            yield ""
        for member in constants:
            yield f"   .. py:attribute:: {member.name}"
            yield f"      :value: {member.value!r}"
            yield "      :no-contents-entry:"
            yield ""


class SharedMembersDirective(SphinxDirective):
    """Describes the members of one class that another one has, too."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        one, other = (names().classes[names().resolve(argument) or ""] for argument in self.arguments)
        members = shared(one, other)
        return parse(self, (f".. auto{each.kind}:: {each.full_name}\n" for each in members))


def parse(directive: SphinxDirective, lines: Iterator[str]) -> list[nodes.Node]:
    source, line = directive.get_source_info()
    content = StringList([each for text in lines for each in text.split("\n")], source=f"{source}:{line}")
    node = nodes.section()
    node.document = directive.state.document
    nested_parse_with_titles(directive.state, content, node)
    return node.children


def shared(one: PublicClass, other: PublicClass) -> list[Member]:
    theirs = {id(member.value) for member in other.members.values()}
    return [member for member in one.members.values() if id(member.value) in theirs]


def is_constant(member: Member) -> bool:
    return member.name.isupper()


def described_field(member: Member) -> str:
    """The first sentence of the text behind an annotation, of which Python itself keeps nothing."""
    for base in member.owner.cls.__mro__:
        if base is not object and base.__module__.startswith("serversocket"):
            found = ModuleAnalyzer.for_module(base.__module__)
            found.analyze()
            if lines := found.attr_docs.get((base.__qualname__, member.name)):
                return first_sentence("\n".join(lines))
    return ""


def base_names(each: PublicClass) -> Iterator[str]:
    for base in each.cls.__bases__:
        if (public := names().of_type(base)) and public != each.full_name:
            yield f":py:obj:`{public.rpartition('.')[2]} <{public}>`"
        elif base.__module__ == "builtins" and base is not object:
            yield f":py:class:`{base.__name__} <builtins.{base.__name__}>`"
        elif base.__module__ in ("enum", "anyio.abc", "trio.abc"):
            yield f":py:class:`{base.__module__}.{base.__name__}`"


def show_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    if name.rpartition(".")[2] in MADE_BY_OTHERS:
        return "", None
    if what in ("class", "exception") and isinstance(value, type):
        return _without_modules(signature_of(value) or ""), None
    if arguments and TYPE_VARIABLE.search(arguments):
        return _without_modules(arguments), _without_modules(returned or "") or None
    return None


def _without_modules(signature: str) -> str:
    """A signature with type variables, which Sphinx shows with the modules of all types in it."""
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", TYPE_VARIABLE.sub(r"\1", signature).replace("~", ""))


def add_as3_name(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    owner, _, member_name = name.rpartition(".")
    member = names().classes[owner].members.get(member_name) if owner in names().classes else None
    if member and member.as3_name != member.name and not any(member.as3_name in line for line in lines):
        lines += ["", f"Its ActionScript name is ``{member.as3_name}``.", ""]


def index_as3_name(app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:
    """Every member is found under its ActionScript name, every class under AIR's name, too."""
    signature = content.parent[0]
    if domain != "py" or not signature.get("ids"):
        return
    full_name = f"{signature.get('module')}.{signature.get('fullname')}"
    owner, _, name = full_name.rpartition(".")
    entry = None
    each = names().classes.get(full_name)
    member = names().classes[owner].members.get(name) if owner in names().classes else None
    if each and each.air_name and "." in each.air_name:
        entry = f"{each.air_name} (AIR)"
    elif member and member.as3_name != name:
        entry = f"{member.as3_name} ({member.owner.name}, ActionScript)"
        python = app.env.domains.python_domain
        python.note_object(f"{owner}.{member.as3_name}", "attribute", signature["ids"][0], location=signature)
    if entry:
        content.insert(0, addnodes.index(entries=[("single", entry, signature["ids"][0], "", None)]))


def prepare(app: Sphinx) -> None:
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    with mock(missing):
        list(importable(MODULES))
    for name, cls in handles().items():
        setattr(serversocket, name, cls)  # where autodoc looks for it


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("public-class", PublicClassDirective)
    app.add_directive("shared-members", SharedMembersDirective)
    app.connect("builder-inited", prepare)
    app.connect("autodoc-process-signature", show_signature)
    app.connect("autodoc-process-docstring", read_sections)
    app.connect("autodoc-process-docstring", add_as3_name)
    app.connect("object-description-transform", index_as3_name)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
