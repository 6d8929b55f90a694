"""Makes a link of every public name and of every event that stands as code in a page or a docstring.

A page says in its front matter which classes its bare names mean first: `classes: AsyncSocket AsyncServer`. `close` is
an event where that is said, or where other events stand beside it; `events: true` says it of a whole page. `close()` is
a call. In a column of a table that is about another library, names are that library's.
"""

from __future__ import annotations

from docutils import nodes
from public_names import names
from python_names import address
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

#: Every event that the package dispatches; some have the names of methods too.
EVENTS = {"connect", "socketData", "outputProgress", "end", "ioError", "close", "uncaughtError"}
#: Names of types that signatures show: where they are explained.
TYPES = {"Host": "type-host", "Setup": "type-setup", "Handler": "type-handler"}
#: What the options of these functions are is told by others.
TOLD_BY = {"ListenOptions": "aio.listen", "ConnectOptions": "aio.connect"}
LIKE_METHODS = {"connect", "end", "close"}
#: What stands above the columns of tables that are about another library.
ELSEWHERE = {"there", "asyncio", "uvloop", "Twisted", "trio", "Node"}


class LinkNames(SphinxPostTransform):
    """Wraps the code that names something into a reference to it."""

    default_priority = 5  # before references are resolved

    def run(self, **options: object) -> None:
        page = self.env.metadata.get(self.env.docname, {}).get("classes", "")
        self.classes = tuple(found for name in str(page).split() if (found := names().resolve(name)))
        for literal in list(self.document.findall(nodes.literal)):
            if not _is_linked(literal):
                self.link(literal)

    def link(self, literal: nodes.literal) -> None:
        text = literal.astext()
        if _heading_of_column(literal) in ELSEWHERE:
            literal["classes"].append("elsewhere")
            _link_to_page(literal, text)
            return
        described = _described(literal)
        if self.is_event(literal, text, described is not None):
            self.link_to_event(literal, f"event-{text.lower()}")
            return
        contexts = self.classes
        if described is not None:
            if text in _parameters(described):
                return
            contexts = (*_class_of(described), *contexts)
        if target := names().resolve(text, contexts):
            reference = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refdoc=self.env.docname
            )
            literal.replace_self(reference)
            reference += literal
        else:
            _link_to_page(literal, text)

    def is_event(self, literal: nodes.literal, text: str, in_docstring: bool) -> bool:
        if text not in EVENTS:
            return False
        if in_docstring:  # where ``close`` is an event, and `close` a method
            return "code" not in literal["classes"]
        if text not in LIKE_METHODS or self.env.metadata.get(self.env.docname, {}).get("events"):
            return True
        following = literal.next_node(descend=False, siblings=True)
        if isinstance(following, nodes.Text) and following.astext().lstrip().startswith("event"):
            return True
        beside = {other.astext() for other in literal.parent.findall(nodes.literal)}
        return bool(beside & (EVENTS - LIKE_METHODS))

    def link_to_event(self, literal: nodes.literal, label: str) -> None:
        docname, anchor = self.env.domains.standard_domain.anonlabels[label]
        place = literal.parent.index(literal)
        parent = literal.parent
        parent[place] = make_refnode(self.app.builder, self.env.docname, docname, anchor, literal.deepcopy())


def _link_to_page(literal: nodes.literal, text: str) -> None:
    """Where it is a name of Python's own, or of a library that has an inventory."""
    if found := address(text.removesuffix("()"), of_text=True):
        reference = nodes.reference("", "", internal=False, refuri=found)
        literal.replace_self(reference)
        reference += literal


def _heading_of_column(node: nodes.Node) -> str | None:
    above = _ancestors(node)
    entry = next((each for each in above if isinstance(each, nodes.entry)), None)
    group = next((each for each in above if isinstance(each, nodes.tgroup)), None)
    if entry is None or group is None or (head := group.next_node(nodes.thead)) is None:
        return None
    return head[0][entry.parent.index(entry)].astext()


def _is_linked(node: nodes.Node) -> bool:
    kinds = (nodes.reference, addnodes.pending_xref, nodes.title, addnodes.desc_signature)
    return any(isinstance(above, kinds) for above in _ancestors(node))


def _ancestors(node: nodes.Node) -> list[nodes.Node]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def _described(node: nodes.Node) -> addnodes.desc | None:
    """What the docstring is of, in which a node stands."""
    return next((above for above in _ancestors(node) if isinstance(above, addnodes.desc)), None)


def _parameters(described: addnodes.desc) -> set[str]:
    return {
        name.astext()
        for parameter in described[0].findall(addnodes.desc_parameter)
        if (name := parameter.next_node(addnodes.desc_sig_name)) is not None
    }


def _class_of(described: addnodes.desc) -> tuple[str, ...]:
    signature = described[0]
    full_name = f"{signature.get('module')}.{signature.get('fullname')}"
    for name in (full_name, full_name.rpartition(".")[0]):
        if name in names().classes:
            return (name,)
    return ()


def resolve_missing(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Types of signatures and exceptions of docstrings: ours by their public names, Python's by its documentation."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    public = names().resolve(target) or _behind(target)
    if public is not None:
        return env.domains.python_domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    if (label := TYPES.get(target.rpartition(".")[2])) is not None:
        standard = env.domains.standard_domain
        node["refexplicit"] = True
        return standard.resolve_xref(env, node["refdoc"], app.builder, "ref", label, node, content)
    if len(variable := target.rpartition(".")[2].lstrip("_")) == 1:
        return nodes.inline("", variable)
    if found := address(target):
        return nodes.reference("", "", content, internal=False, refuri=found)
    return None


def _behind(target: str) -> str | None:
    """The public name that stands for one of the package's own classes, by the name that an annotation has for it."""
    name = target.rpartition(".")[2]
    return names().resolve(TOLD_BY[name]) if name in TOLD_BY else names().behind(name)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_post_transform(LinkNames)
    app.connect("missing-reference", resolve_missing)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
