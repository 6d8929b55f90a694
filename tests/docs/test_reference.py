"""What the pages of reference and explanation say of limits, events, errors and variables is what the code has."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import serversocket
from serversocket import ByteArray, Reactor, ServerSocket, Socket, Supervisor

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

sys.path.insert(0, str(DOCS / "_ext"))
import diagrams  # noqa: E402
from public_names import MODULES, names  # noqa: E402


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables of a page, without their heads."""
    for table in re.findall(r"^\|[^\n]*\|\n\|[-|]+\|\n((?:\|[^\n]*\|\n)+)", text, re.MULTILINE):
        for line in table.splitlines():
            yield [cell.strip() for cell in line.strip("|").split("|")]


def constant(name: str) -> Any:
    """A constant of the package, wherever it is."""
    for module in pkgutil.walk_packages(serversocket.__path__, "serversocket."):
        if module.name.rpartition(".")[2] == "__main__" or ".hosts." in module.name or ".cli" in module.name:
            continue
        if "._core" in module.name or ".native" in module.name:
            continue
        try:
            found = vars(importlib.import_module(module.name))
        except ImportError:  # of a library that is not there
            continue
        if name in found:
            return found[name]
    raise LookupError(f"{name} is nowhere in the package")


def default(function: Any, parameter: str) -> Any:
    return inspect.signature(function).parameters[parameter].default


# ------------------------------------------------------------------------------------------------- limits

#: How the code has what a row of the page on limits says, by its first cell.
LIMITS: dict[str, Callable[[], Any]] = {
    "`Socket.high_water_mark`": lambda: Socket().high_water_mark,
    "`Socket.buffer_limit`": lambda: Socket().buffer_limit,
    "`Reactor.buffer_limit`": lambda: Reactor().buffer_limit,
    "`AsyncSocket`: input read ahead": lambda: constant("READ_AHEAD"),
    "`AsyncSocket.receive_until`: `limit`": lambda: default(serversocket.aio.AsyncSocket.receive_until, "limit"),
    "`ByteArray.uncompress`: `max_length`": lambda: default(ByteArray.uncompress, "max_length"),
    "a text of `write_utf`": lambda: constant("_MAX_UTF"),
    "`ServerSocket.max_connections`": lambda: ServerSocket().max_connections,
    "`ServerSocket.handshake_timeout`": lambda: ServerSocket().handshake_timeout,
    "handshakes of TLS that a server has under way": lambda: constant("MOST_PENDING"),
    "`ServerSocket.listen`: `backlog`": lambda: default(ServerSocket.listen, "backlog"),
    "`AsyncServer`: clients accepted ahead": lambda: constant("ACCEPT_AHEAD"),
    "names looked up at once": lambda: constant("MOST_THREADS"),
    "`Socket.timeout`": lambda: (Socket().timeout, constant("LEAST_TIMEOUT")),
    "the next address of a host is tried": lambda: constant("STAGGER"),
    "`Socket.idle_timeout`": lambda: Socket().idle_timeout,
    "`Socket.keep_alive`": lambda: Socket().keep_alive,
    "`Socket.user_timeout`": lambda: Socket().user_timeout,
    "after `close()`: nothing is acknowledged": lambda: constant("STALLED_SECONDS"),
    "after `close()`: everything was acknowledged, the peer does not close": lambda: constant("LINGER_SECONDS"),
    "after `close()`: in any case": lambda: constant("LONGEST_LINGER"),
    "`ServerSocket.listen`: `defer_accept`": lambda: default(ServerSocket.listen, "defer_accept"),
    "out of descriptors or memory: accepting is tried again": lambda: constant("ACCEPT_BACK_OFF"),
    "the end of the interpreter waits for `run_in_thread`": lambda: constant("SECONDS_TO_END"),
    "`Supervisor`: `workers`": lambda: default(Supervisor, "workers"),
    "`Supervisor`: `grace`": lambda: default(Supervisor, "grace"),
    "`Supervisor`: `start_timeout`": lambda: default(Supervisor, "start_timeout"),
    "`Supervisor`: `watchdog`": lambda: default(Supervisor, "watchdog"),
    "a worker that died within its first second is started anew": lambda: (
        constant("FIRST_DELAY"),
        constant("LONGEST_DELAY"),
    ),
    "accepts of one server in a turn": lambda: constant("ACCEPTS_PER_TURN"),
    "reads of one connection in a turn": lambda: constant("READS_PER_TURN"),
    "bytes of one read": lambda: constant("READ_SIZE"),
    "calls of `aio` in a row that need not wait": lambda: constant("ALLOWANCE"),
    "dispatches inside each other": lambda: constant("_LIMIT"),
    "log records of errors that nothing handles": lambda: constant("RECORDS_PER_SECOND"),
}
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
LIMIT_ROWS = {row[0]: row[1] for row in rows((REFERENCE / "limits.md").read_text())}


def numbers(text: str) -> list[float | None]:
    """What a cell says: None, or numbers in the units of the code."""
    if text.startswith("None"):
        return [None]
    found = re.findall(r"([\d.,]*\d) ?(KiB|MiB|GiB)?", text)
    return [float(number.replace(",", "")) * UNITS.get(unit, 1) for number, unit in found]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_is_what_the_page_says(limit: str) -> None:
    value = LIMITS[limit]()
    assert numbers(LIMIT_ROWS[limit]) == list(value if isinstance(value, tuple) else (value,))


def test_every_row_of_limits_is_checked() -> None:
    assert set(LIMIT_ROWS) == set(LIMITS)


def test_no_limit_is_left_out() -> None:
    """Of those that programs set: attributes and parameters that say so in their names."""
    limiting = re.compile(r"limit|timeout|_mark$|^max_|^keep_alive$|^grace$|^watchdog$|^backlog$|^defer_accept$")
    told = set(re.findall(r"[\w.]+", " ".join(LIMIT_ROWS)))
    found = set()
    for each in names().classes.values():
        found |= {f"{each.name}.{name}" for name in each.members if limiting.search(name)}
    found |= {name for name in inspect.signature(Supervisor).parameters if limiting.search(name) and name != "backlog"}
    assert found - told == set()


# ------------------------------------------------------------------------------------------------- events

EVENT_PAGE = (REFERENCE / "event-table.md").read_text()
EVENTS = dict(re.findall(r"^\(event-\w+\)=\n## (\w+)\n(.*?)(?=^\(event|\Z)", EVENT_PAGE, re.MULTILINE | re.DOTALL))
#: What the classes themselves say that they dispatch; a listener for a name that is nearly one of these is warned of.
DISPATCHED: dict[str, frozenset[str]] = {
    cls.__name__: cls._dispatched  # type: ignore[attr-defined]
    for cls in (Socket, ServerSocket, Reactor)
}


def test_every_event_has_a_section_that_tells_who_dispatches_it() -> None:
    told = {}
    for event, section in EVENTS.items():
        head = section.strip().splitlines()[0]
        told[event] = set(re.findall(r"of a `(\w+)`", head))
    expected: dict[str, set[str]] = {}
    for cls, types in DISPATCHED.items():
        for event in types:
            expected.setdefault(event, set()).add(cls)
    assert told == expected


@pytest.mark.parametrize("event", EVENTS)
def test_a_section_says_class_moment_attributes_and_neighbours(event: str) -> None:
    section = EVENTS[event]
    cells = {row[0]: row[1:] for row in rows(section)}
    assert list(cells) == ["class", "when", "attributes", "before it", "after it"]
    assert all(all(row) for row in cells.values())
    for cls, attributes in zip(cells["class"], cells["attributes"], strict=True):
        kind = getattr(serversocket, cls.strip("`"))
        assert issubclass(kind, serversocket.Event)
        made = kind(event)
        assert not attributes.startswith("`") or all(
            hasattr(made, name) for name in re.findall(r"`(\w+)`", attributes.partition(". ")[0].partition(", as ")[0])
        )


def test_the_first_table_has_the_same() -> None:
    summary = EVENT_PAGE.partition("## One connection")[0]
    told: dict[str, list[str]] = {}
    event = ""
    for first, dispatcher, _ in rows(summary):
        event = first.partition("[")[2].partition("]")[0] or event
        told.setdefault(event, []).append(dispatcher.strip("`"))
    heads = {event: section.strip().splitlines()[0] for event, section in EVENTS.items()}
    assert told == {event: re.findall(r"of a `(\w+)`", head) for event, head in heads.items()}


# ---------------------------------------------------------------------------------- errors, variables, states


def test_every_exception_is_explained() -> None:
    table = " ".join(row[0] for row in rows((REFERENCE / "errors.md").read_text()))
    exceptions = [
        each.name
        for each in names().classes.values()
        if issubclass(each.cls, BaseException) and "aio" not in each.module
    ]
    assert [name for name in exceptions if not re.search(rf"\b{name}\b", table)] == []


def test_every_number_of_an_error_is_explained() -> None:
    """Those that the package itself makes; others are AIR's alone."""
    used = set()
    for path in (ROOT / "src" / "serversocket").rglob("*.py"):
        for number in re.findall(r"\btext\((\d{4})|\b_caused\((\d{4})", path.read_text()):
            used.add("".join(number))
    page = (REFERENCE / "errors.md").read_text()
    assert used
    assert sorted(number for number in used if f"#{number}" not in page) == []


def test_every_variable_is_told_and_no_other() -> None:
    read = set()
    for path in [ROOT / "setup.py", *(ROOT / "src").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                read.add(ast.literal_eval(node.args[0]))
    told = set(re.findall(r"SERVERSOCKET_\w+", (REFERENCE / "environment.md").read_text()))
    assert told == {name for name in read if name.startswith("SERVERSOCKET_")}


def test_the_pictures_are_drawn_of_what_the_design_says() -> None:
    design = (DOCS / "design.md").read_text()
    steps = diagrams.turn_steps(design)
    assert len(steps) >= 5
    for event in ("connect event", "socketData", "close event"):
        assert event in [step.name.strip() for step in diagrams.life_steps(design)]
    states = {state for change in diagrams.changes(design) for state in (change.source, change.target)}
    assert states == {"CLOSED", "CONNECTING", "CONNECTED", "FINISHED"}
    for make in diagrams.MADE.values():
        picture, told = make(design)
        assert picture.startswith("<svg")
        assert picture.endswith("</svg>")
        assert all(part in picture for part in re.findall(r"[A-Z]{5,}", told))


def test_the_states_are_those_of_the_engine() -> None:
    assert [constant(name) for name in ("CLOSED", "CONNECTING", "CONNECTED", "FINISHED")] == [0, 1, 2, 3]


# -------------------------------------------------------------------------------------------------- links

MARKDOWN = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "bench").glob("*.md"))]


def headings(path: Path) -> set[str]:
    """The anchors of a page, as a link has them."""
    found = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", [path for path in MARKDOWN if "_build" not in path.parts], ids=lambda path: path.name)
def test_a_link_to_a_file_leads_to_it(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath(page.parent / name)) if name else page
        labels = (
            set(re.findall(r"^\(([\w-]+)\)=", path.read_text(), re.M)) if path.suffix == ".md" and path.exists() else ()
        )
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in {*headings(path), *labels}):
            wrong.append(target)
    assert wrong == []


def test_what_is_public_can_be_imported() -> None:
    assert set(MODULES) >= {"serversocket", "serversocket.aio", "serversocket.errors"}
    for name, value in names().objects.items():
        module, _, attribute = name.rpartition(".")
        if attribute not in ("TimerHandle", "SignalHandle"):
            assert getattr(importlib.import_module(module), attribute) is value


@pytest.mark.parametrize("command", ["", "serve", "echo", "discard", "chargen", "connect", "info"])
def test_the_command_line_is_told_whole(command: str) -> None:
    arguments = [sys.executable, "-m", "serversocket", *command.split(), "--help"]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    page = (REFERENCE / "cli.md").read_text()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told)) - {"--help"}
    assert options or command == "info"
    assert sorted(option for option in options if option not in page) == []
    if not command:
        commands = re.findall(r"^ +(\w+)  ", told, re.MULTILINE)
        assert commands
        assert [name for name in commands if f"`{name}`" not in page] == []
