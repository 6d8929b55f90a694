"""Writes src/serversocket/__init__.pyi: the public names of the package, for type checkers, under both of their names.

The AS3 names exist at run time only, made by one rule; so the stub is made from the running package, on its pure
engine, whose members are Python functions and properties with annotations. A public class stands on public and
standard classes only: the members of the package's own bases are written into it.

    python tools/make_stubs.py            writes the stub
    python tools/make_stubs.py --check    fails if it is not up to date
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any, get_overloads

os.environ["SERVERSOCKET_IMPL"] = "pure"

import serversocket
from serversocket.naming import as3_name

STUB = Path(__file__).parents[1] / "src" / "serversocket" / "__init__.pyi"
PACKAGE = "serversocket"

# What an engine, below the classes that it hands out, cannot name. A listener always finds the socket in its event.
REFINED = {
    ("ServerSocketConnectEvent", "socket"): "Socket",
    ("ServerSocket", "reactor"): "Reactor",
    ("Socket", "reactor"): "Reactor",
}

# The events that each class dispatches: what its listeners are called with, by the name of the type. What is not here
# has listeners that take any event.
DISPATCHED = {
    "Socket": {
        "connect": "Event",
        "secureConnect": "Event",
        "socketData": "ProgressEvent",
        "outputProgress": "OutputProgressEvent",
        "end": "Event",
        "ioError": "IOErrorEvent",
        "close": "Event",
    },
    "ServerSocket": {
        "connect": "ServerSocketConnectEvent",
        "ioError": "IOErrorEvent",
        "tlsError": "TLSErrorEvent",
        "close": "Event",
    },
    "Reactor": {"uncaughtError": "UncaughtErrorEvent"},
}

# What every object has, or what only pickling and the interpreter call.
UNINTERESTING = {"__new__", "__del__", "__repr__", "__str__"}
UNINTERESTING |= {"__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"}

# Modules whose public names stand in the stub as imports: they speak of the public classes themselves.
IMPORTED = {"serversocket.loop.thread"}

PUBLIC: dict[str, Any] = {
    name: value
    for name in serversocket.__all__
    if callable(value := getattr(serversocket, name)) and value.__module__ not in IMPORTED
}


def ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == PACKAGE


def public_name(thing: object) -> str | None:
    """The public name of a thing, or of the one public class that stands for a base behind it."""
    for name, value in PUBLIC.items():
        if thing is value:
            return name
    if not isinstance(thing, type) or not ours(thing):
        return None
    behind = [name for name, value in PUBLIC.items() if isinstance(value, type) and issubclass(value, thing)]
    return behind[0] if len(behind) == 1 else None


def literal(value: object) -> str:
    """A value as it stands in the code."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


class Code:
    """Code that `inspect.Signature` writes as it is."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __repr__(self) -> str:
        return self.code


class Names:
    """Spells annotations as the stub needs them, and keeps what the stub then has to import or to define."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.imports: dict[str, set[str]] = {}
        self.definitions: dict[str, str] = {}
        self.hidden: set[str] = set()
        """The members of the class that is being written, which hide builtins of the same name."""

    def spell(self, annotation: str, module: ModuleType) -> str:
        tree = ast.parse(annotation, mode="eval")
        return ast.unparse(_Speller(self, module).visit(tree))

    def resolve(self, name: str, module: ModuleType) -> str:
        """The expression for a name that stands in a module."""
        if public := public_name(vars(module).get(name)):
            return public
        if (value := vars(module).get(name)) is not None and isinstance(value, type) and ours(value):
            return self.take(value.__module__, value.__name__, f"_{value.__name__.lstrip('_')}")
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom):
                for imported in node.names:
                    if name == (imported.asname or imported.name):
                        return self.imported(imported.name, _origin(node, module))
            elif isinstance(node, ast.Import) and any(name == imported.name for imported in node.names):
                self.modules.add(name)
                return name
            elif isinstance(node, ast.Assign) and [name] == [ast.unparse(target) for target in node.targets]:
                return self.define(name, node.value, module)
        if not hasattr(builtins, name):
            raise SystemExit(f"make_stubs: {name} in {module.__name__}: unknown")
        return self.builtin(name)

    def imported(self, name: str, origin: str) -> str:
        if origin.partition(".")[0] == PACKAGE:
            return self.resolve(name, importlib.import_module(origin))
        return self.take(origin, name, name)

    def builtin(self, name: str) -> str:
        if name in PUBLIC or name in self.hidden:
            self.modules.add("builtins")
            return f"builtins.{name}"
        return name

    def take(self, module: str, name: str, alias: str) -> str:
        self.imports.setdefault(module, set()).add(name if alias == name else f"{name} as {alias}")
        return alias

    def typing(self, *names: str) -> None:
        for name in names:
            self.take("typing", name, name)

    def lines(self) -> Iterator[str]:
        """The imports."""
        yield from (f"import {module}" for module in sorted(self.modules))
        for module, names in sorted(self.imports.items()):
            yield f"from {module} import {', '.join(sorted(names))}"

    def define(self, name: str, value: ast.expr, module: ModuleType) -> str:
        alias = f"_{name.lstrip('_')}"
        if alias not in self.definitions:
            self.definitions[alias] = ""
            hidden, self.hidden = self.hidden, set()
            spelled = ast.unparse(_Speller(self, module).visit(value))
            self.hidden = hidden
            if isinstance(value, ast.Call):  # a TypeVar
                self.definitions[alias] = f"{alias} = {spelled}".replace(f"'{name}'", f"'{alias}'")
            else:
                self.typing("TypeAlias")
                self.definitions[alias] = f"{alias}: TypeAlias = {spelled}"
        return alias


class _Speller(ast.NodeTransformer):
    def __init__(self, names: Names, module: ModuleType) -> None:
        self.names = names
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.parse(self.names.resolve(node.id, self.module), mode="eval").body

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            value = vars(self.module).get(node.value.id)
            if isinstance(value, ModuleType) and value.__name__.partition(".")[0] == PACKAGE:
                return ast.parse(self.names.resolve(node.attr, value), mode="eval").body
            if value is builtins:
                return ast.parse(self.names.builtin(node.attr), mode="eval").body
        return self.generic_visit(node)


def _origin(node: ast.ImportFrom, module: ModuleType) -> str:
    """The full name of the module that an import in another one names."""
    if not node.level:
        return node.module or ""
    package = module.__name__.split(".")
    if not hasattr(module, "__path__"):
        package.pop()
    return ".".join(package[: len(package) + 1 - node.level] + ([node.module] if node.module else []))


class Writer:
    """Writes the stub."""

    def __init__(self) -> None:
        self.names = Names()

    def stub(self) -> str:
        body = []
        for name, value in sorted(PUBLIC.items(), key=lambda item: self.order(item[1])):
            if isinstance(value, type):
                body += ["", *self.class_(name, value)]
        functions = [
            line for name, value in PUBLIC.items() if inspect.isfunction(value) for line in self.function(name, value)
        ]
        self.names.typing("Final", "Literal")
        modules = [name for name in serversocket.__all__ if inspect.ismodule(getattr(serversocket, name))]
        return "\n".join(
            [
                "# Made by tools/make_stubs.py; not to be edited.",
                "",
                *self.names.lines(),
                *(f"from . import {name} as {name}" for name in modules),
                *self.imported(),
                "",
                "__version__: Final[str]",
                'implementation: Final[Literal["native", "pure"]]',
                "",
                "__all__ = [",
                *(f'    "{name}",' for name in serversocket.__all__),
                "]",
                "",
                *self.names.definitions.values(),
                "",
                *functions,
                *body,
                "",
            ]
        )

    @staticmethod
    def imported() -> Iterator[str]:
        for name in serversocket.__all__:
            module = getattr(getattr(serversocket, name), "__module__", None)
            if module in IMPORTED:
                yield f"from {module.replace(PACKAGE, '', 1)} import {name} as {name}"

    @staticmethod
    def order(value: object) -> tuple[int, str]:
        """Bases before what stands on them."""
        return (len(value.__mro__), value.__name__) if isinstance(value, type) else (0, "")

    def class_(self, name: str, cls: type) -> list[str]:
        if issubclass(cls, Enum):
            (base,) = cls.__bases__
            self.names.take(base.__module__, base.__name__, base.__name__)
            return [f"class {name}({base.__name__}):", *(f"    {item.name} = {literal(item.value)}" for item in cls)]
        own = [base for base in cls.__mro__ if base is cls or (ours(base) and public_name(base) in (None, name))]
        bases = [base for base in self.bases(cls, own) if base is not object]
        self.names.hidden = {key for base in own for key in vars(base)}
        spelled = [public_name(base) or self.names.builtin(base.__name__) for base in bases]
        before = []
        if ours(type(cls)):
            metaclass = f"_{type(cls).__name__.lstrip('_')}"
            before = [*self.class_(metaclass, type(cls)), ""]
            spelled.append(f"metaclass={metaclass}")
        lines: list[str] = []
        seen: set[str] = set()
        for base in own:
            for key in (*vars(base).get("__annotations__", ()), *vars(base)):
                if key not in seen and (not key.startswith("_") or self.interesting(key, base)):
                    seen.add(key)
                    lines += self.member(name, key, base, cls, bases)
        lines += self.typed_by_event(DISPATCHED.get(name, {}))
        self.names.hidden = set()
        heading = f"class {name}({', '.join(spelled)}):" if spelled else f"class {name}:"
        return [*before, heading, *(f"    {line}" for line in lines)] if lines else [*before, f"{heading} ..."]

    def typed_by_event(self, events: dict[str, str]) -> Iterator[str]:
        """The methods whose types follow from the name of an event, once for each."""
        if not events:
            return
        self.names.typing("Any", "Literal", "overload")
        self.names.take("collections.abc", "Coroutine", "Coroutine")
        self.names.take("collections.abc", "Callable", "Callable")
        options = "use_capture: bool = False, priority: int = 0, use_weak_reference: bool = False"
        typed = [*((f"Literal[{literal(type)}]", event) for type, event in events.items()), ("str", "Event")]
        for method in ("add_event_listener", "addEventListener"):
            for type, event in typed:
                # A listener of a narrower event is refused: it would be called with another one.
                yield "@overload"
                listener = f"Callable[[{event}], object] | Callable[[], object]"
                yield f"def {method}(self, type: {type}, listener: {listener}, {options}) -> None: ..."
        for type, event in typed:
            yield "@overload"
            yield f"def once(self, type: {type}) -> Coroutine[Any, Any, {event}]: ..."

    @staticmethod
    def bases(cls: type, own: list[type]) -> list[type]:
        """The nearest classes that the stub does not write into this one."""
        found = [base for base in cls.__mro__ if base not in own]
        return [base for base in found if not any(issubclass(other, base) for other in found if other is not base)]

    @staticmethod
    def interesting(key: str, base: type) -> bool:
        value = vars(base).get(key)
        special = key.startswith("__") and key.endswith("__") and key not in UNINTERESTING
        return special and (isinstance(value, FunctionType) or (key == "__hash__" and value is None))

    def member(self, class_name: str, key: str, base: type, cls: type, bases: list[type]) -> Iterator[str]:
        value = vars(base).get(key, inspect.Parameter.empty)
        module = sys.modules[base.__module__]
        if key == "__hash__":
            self.names.typing("ClassVar")
            yield "__hash__: ClassVar[None]  # type: ignore[assignment]"
        elif isinstance(value, property):
            yield "@property"
            if (class_name, key) in REFINED:
                yield f"def {key}(self) -> {REFINED[class_name, key]}: ..."
            else:
                yield from self.function(key, value.fget)
            if value.fset is not None:
                yield f"@{key}.setter"
                yield from self.function(key, value.fset)
        elif isinstance(value, staticmethod | classmethod):
            yield f"@{self.names.builtin(type(value).__name__)}"
            yield from self.function(key, value.__func__)
        elif isinstance(value, FunctionType):
            yield from self.function(key, value, class_name)
        elif isinstance(value, MemberDescriptorType):
            yield f"{key}: {self.slot(class_name, value.__name__, base)}"
        elif not (key.isupper() and isinstance(value, str)) and (annotated := self.annotation(key, cls)) not in (
            None,
            "Final",
        ):
            yield f"{key}: {annotated}"
        elif isinstance(value, str | int):
            inherited = next((vars(b)[key] for other in bases for b in other.__mro__ if key in vars(b)), None)
            if inherited is None:
                self.names.typing("Final")
                yield f"{key}: Final = {literal(value)}"
            elif inherited != value:
                raise SystemExit(f"make_stubs: {class_name}.{key} is another constant than its base's")
        else:
            raise SystemExit(f"make_stubs: {class_name}.{key} in {module.__name__} has no annotation")

    def annotation(self, key: str, cls: type) -> str | None:
        """The annotation of an attribute of a class, by either of its names."""
        for base in filter(ours, cls.__mro__):
            for name, annotation in vars(base).get("__annotations__", {}).items():
                if key in (name, as3_name(name)):
                    return self.names.spell(annotation, sys.modules[base.__module__])
        return None

    def slot(self, class_name: str, key: str, base: type) -> str:
        """The type of a slot: its annotation, or that of the parameter of `__init__` with its name."""
        if (class_name, key) in REFINED:
            return REFINED[class_name, key]
        if annotated := self.annotation(key, base):
            return annotated
        function = vars(base)["__init__"]
        return self.names.spell(inspect.signature(function).parameters[key].annotation, sys.modules[base.__module__])

    def function(self, name: str, function: Any, class_name: str = "") -> Iterator[str]:
        for overload in get_overloads(function):
            self.names.typing("overload")
            yield "@overload"
            yield self.signature(name, overload, class_name)
        if not get_overloads(function):
            yield self.signature(name, function, class_name)

    def signature(self, name: str, function: Any, class_name: str) -> str:
        module = sys.modules[function.__globals__["__name__"]]
        signature = inspect.signature(function)
        if signature.return_annotation is signature.empty:
            raise SystemExit(f"make_stubs: {function.__qualname__} has no annotation of what it returns")
        spelled = signature.replace(
            parameters=[self.parameter(each, module, class_name, function) for each in signature.parameters.values()],
            return_annotation=Code(self.names.spell(signature.return_annotation, module)),
        )
        return f"def {name}{spelled}: ..."

    def parameter(
        self, parameter: inspect.Parameter, module: ModuleType, class_name: str, function: Any
    ) -> inspect.Parameter:
        if parameter.default is not parameter.empty:
            plain = parameter.default is None or isinstance(parameter.default, bool | int | float | str | bytes)
            parameter = parameter.replace(default=Code(literal(parameter.default) if plain else "..."))
        if parameter.name in ("self", "cls"):
            return parameter.replace(annotation=parameter.empty)
        if parameter.annotation is parameter.empty:
            raise SystemExit(f"make_stubs: {parameter.name} of {function.__qualname__} has no annotation")
        if function.__name__ == "__init__" and (class_name, parameter.name) in REFINED:
            return parameter.replace(annotation=Code(f"{REFINED[class_name, parameter.name]} | None"))
        return parameter.replace(annotation=Code(self.names.spell(parameter.annotation, module)))


def main() -> int:
    text = Writer().stub()
    if sys.argv[1:] == ["--check"]:
        if STUB.exists() and STUB.read_text() == text:
            return 0
        print(f"{STUB.name} is not up to date: run python tools/make_stubs.py", file=sys.stderr)
        return 1
    STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
