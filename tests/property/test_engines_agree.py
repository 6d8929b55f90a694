"""Both engines in one process: whatever the input, they do the same."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

ENGINES = ("native", "pure")


def _load(engine: str) -> ModuleType:
    """A copy of the package of its own that runs on one engine; what was imported before stays what it is."""
    names = [name for name in sys.modules if name == "serversocket" or name.startswith("serversocket.")]
    kept = {name: sys.modules.pop(name) for name in names}
    before = os.environ.get("SERVERSOCKET_IMPL")
    os.environ["SERVERSOCKET_IMPL"] = engine
    try:
        package = importlib.import_module("serversocket")
        importlib.import_module("serversocket.loop.reactor")
        assert package.implementation == engine
        return package
    finally:
        for name in [name for name in sys.modules if name == "serversocket" or name.startswith("serversocket.")]:
            del sys.modules[name]
        sys.modules.update(kept)
        if before is None:
            del os.environ["SERVERSOCKET_IMPL"]
        else:
            os.environ["SERVERSOCKET_IMPL"] = before


def _load_both() -> dict[str, ModuleType]:
    # An extension cannot be loaded twice: the copy that the other tests use is the one to go on with.
    packages = {sys.modules["serversocket"].implementation: sys.modules["serversocket"]}
    for engine in ENGINES:
        if engine not in packages:
            packages[engine] = _load(engine)
    return packages


import serversocket  # noqa: E402  the copy of all tests

try:
    PACKAGES = _load_both()
except ImportError as error:
    pytest.skip(f"there is only one engine to be had: {error}", allow_module_level=True)

assert serversocket.implementation in PACKAGES

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@contextlib.contextmanager
def reactors() -> Iterator[dict[str, Any]]:
    made = {engine: package.Reactor() for engine, package in PACKAGES.items()}
    try:
        yield made
    finally:
        for reactor in made.values():
            reactor.close()


def verdict(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What a call returns or raises, so that two of them can be compared."""
    try:
        return ("returned", call())
    except Exception as error:
        return (type(error).__name__, getattr(error, "error_id", None), getattr(error, "errno", None), str(error))


def same(verdicts: dict[str, Any]) -> Any:
    assert verdicts["native"] == verdicts["pure"]
    return verdicts["native"]


class Index:
    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> Any:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value!r})"


class Float(Index):
    def __float__(self) -> Any:
        return self.value


numbers = st.one_of(
    st.integers(-10, 70_000),
    st.integers(),
    st.sampled_from([-1, 0, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**30]),
)
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from([[], (), {}, 1j, print, Index("no"), Index(2.5), Float("no"), Float(None), object]),
)
indices = st.builds(Index, numbers)
octets = st.integers(0, 260).map(str) | st.sampled_from(["00", "01", "0x7f", "", " 1", "1 ", "１", "-1"])
quads = st.lists(octets, min_size=1, max_size=5).map(".".join)
colons = st.lists(st.sampled_from(["", "0", "1", "ffff", "FE80", "fffff", "127.0.0.1", "g", " "]), max_size=9).map(
    ":".join
)
scopes = st.sampled_from(["", "%", "%lo", "%1", "%0", "%999999", "%no such", "%lo%lo", "%\0", "%é"])
addresses = st.one_of(
    st.sampled_from(
        [
            "",
            "127.0.0.1",
            "::1",
            "::",
            "0.0.0.0",
            "localhost",
            "fe80::1%lo",
            "::ffff:127.0.0.1",
            "255.255.255.255",
            "224.0.0.1",
        ]
    ),
    quads,
    st.tuples(colons, scopes).map("".join),
    st.tuples(st.sampled_from(["fe80::1", "::1", "1.2.3.4"]), scopes).map("".join),
    st.ip_addresses(),
    st.ip_addresses().map(str),
    st.text(max_size=12),
)


def is_loopback(address: object) -> bool:
    return str(address) in ("127.0.0.1", "::1")


@given(port=numbers | indices | junk, address=addresses | junk)
@example(port=0, address="127.0.0.1")
@example(port=0, address="::1")
@example(port=0, address="fe80::1")
def test_bind(port, address):
    value = port.value if isinstance(port, Index) else port
    if not is_loopback(address) and type(value) is int and 0 <= value <= 65_535:
        port = -1 - value  # what is well-formed is not really bound, except for loopback
    elif is_loopback(address) and type(value) is int and 0 < value <= 65_535:
        port = 0
    with reactors() as reactor:
        verdicts = {}
        for engine, package in PACKAGES.items():
            server = package.ServerSocket(reactor=reactor[engine])
            outcome = verdict(lambda server=server: server.bind(port, address))
            verdicts[engine] = (outcome, server.bound, server.listening, server.local_address, server.local_port > 0)
            with server:
                pass
        same(verdicts)


@given(address=addresses | junk)
def test_bind_address(address):
    """The same with a port that is fine; only the verdicts on addresses of this machine need a real bind."""
    with reactors() as reactor:
        verdicts = {}
        for engine, package in PACKAGES.items():
            if str(address) in ("", "0.0.0.0", "::"):
                continue
            with package.ServerSocket(reactor=reactor[engine]) as server:
                verdicts[engine] = verdict(lambda server=server: server.bind(0, address)), server.local_address
        if verdicts:
            same(verdicts)


@given(backlog=numbers | indices | junk, bound=st.booleans())
def test_listen(backlog, bound):
    with reactors() as reactor:
        verdicts = {}
        for engine, package in PACKAGES.items():
            with package.ServerSocket(reactor=reactor[engine]) as server:
                if bound:
                    server.bind(0, "127.0.0.1")
                outcome = verdict(lambda server=server: server.listen(backlog))
                outcome = tuple(
                    str(part).replace(str(server.local_port), "port") if bound else part for part in outcome
                )
                verdicts[engine] = outcome, server.listening
        same(verdicts)


@given(host=addresses | junk, port=numbers | indices | junk)
@example(host=None, port=80)
@example(host="http://example.com/", port=80)
@example(host="a" * 300, port=80)
def test_connect_arguments(host, port):
    with reactors() as reactor:
        verdicts = {}
        value = port.value if isinstance(port, Index) else port
        if type(value) is int and 0 <= value <= 65_535:
            port = "not really" if not is_loopback(host) else 1
        for engine, package in PACKAGES.items():
            with package.Socket(reactor=reactor[engine]) as it:
                verdicts[engine] = verdict(lambda it=it: it.connect(host, port))
        same(verdicts)


@given(timeout=numbers.filter(lambda n: n < 0) | junk.filter(lambda v: v is not None and v != float("inf")))
@example(timeout=Float(0.0))
@example(timeout=Float("no"))
@example(timeout=Index(0))
@example(timeout=0)
@example(timeout=-0.0)
def test_poll_timeouts(timeout):
    if isinstance(timeout, float) and timeout > 0:
        timeout = -timeout
    with reactors() as reactor:
        same({engine: verdict(lambda engine=engine: reactor[engine].poll(timeout)) for engine in ENGINES})


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=4),
    st.sampled_from(["x\ny", '"', "[", "é", "\udc80"]),
)
names = st.sampled_from(
    [
        "type",
        "bubbles",
        "cancelable",
        "eventPhase",
        "event_phase",
        "target",
        "currentTarget",
        "current_target",
        "bytesLoaded",
        "bytes_loaded",
        "bytesTotal",
        "bytesPending",
        "socket",
        "nothing",
        "",
        "__class__",
        "clone",
        "1",
    ]
)


@given(
    kind=st.sampled_from(["Event", "ProgressEvent", "OutputProgressEvent", "ServerSocketConnectEvent"]),
    type=st.text(),
    bubbles=values,
    cancelable=values,
    extra=st.lists(st.integers(-(2**62), 2**62), max_size=2),
    class_name=st.text(max_size=5),
    properties=st.lists(names, max_size=4),
)
def test_events_print_alike(kind, type, bubbles, cancelable, extra, class_name, properties):
    if kind == "Event":
        extra = []
    elif kind == "ServerSocketConnectEvent":
        extra = [None] * len(extra[:1])

    def describe(package):
        event = getattr(package, kind)(type, bubbles, cancelable, *extra)
        again = event.clone()
        properties_ = [name for name in properties if name not in ("clone", "__class__")]
        return (
            str(event),
            event.to_string(),
            repr(event),
            str(again),
            again.__class__.__name__,
            event.bubbles,
            event.cancelable,
            event.event_phase,
            event.target,
            event.format_to_string(class_name, *properties_),
            event.formatToString(class_name, *properties_),
        )

    same({engine: verdict(lambda package=package: describe(package)) for engine, package in PACKAGES.items()})


@given(kind=st.sampled_from(["ProgressEvent", "OutputProgressEvent"]), first=values | junk, second=values | junk)
@example(kind="ProgressEvent", first=0.5, second=0)
@example(kind="ProgressEvent", first=2**70, second=0)
@example(kind="ProgressEvent", first=None, second=0)
@example(kind="ProgressEvent", first="x", second=0)
@example(kind="ProgressEvent", first=True, second=Index(5))
def test_event_fields_are_taken_alike(kind, first, second):
    def make(package):
        return str(getattr(package, kind)("type", False, False, first, second))

    def assign(package):
        event = getattr(package, kind)("type")
        setattr(event, "bytes_loaded" if kind == "ProgressEvent" else "bytes_pending", first)
        event.bytes_total = second
        return str(event)

    for act in (make, assign):
        outcomes = {engine: verdict(functools.partial(act, package)) for engine, package in PACKAGES.items()}
        # The interpreter's own words for a wrong type may differ.
        same(
            {
                engine: outcome[:1] if outcome[0] in ("TypeError", "OverflowError") else outcome
                for engine, outcome in outcomes.items()
            }
        )


@given(kind=st.sampled_from(["Event", "ProgressEvent", "OutputProgressEvent", "ServerSocketConnectEvent"]), type=junk)
def test_event_types_are_refused_alike(kind, type):
    same(
        {
            engine: verdict(lambda package=package: str(getattr(package, kind)(type)))
            for engine, package in PACKAGES.items()
        }
    )


_TYPES = ("one", "two")
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(_TYPES), st.integers(0, 6), st.booleans(), st.integers(-2, 2)),
        st.tuples(st.just("remove"), st.sampled_from(_TYPES), st.integers(0, 6), st.booleans()),
        st.tuples(st.just("dispatch"), st.sampled_from(_TYPES), st.booleans()),
        st.tuples(st.just("again"), st.booleans()),
        st.tuples(st.just("ask"), st.sampled_from(_TYPES)),
    ),
    max_size=30,
)


@given(
    operations=operations,
    behaviours=st.lists(
        st.sampled_from(["note", "stop", "cancel", "add", "remove", "nest", "raise"]), min_size=7, max_size=7
    ),
)
def test_dispatchers_call_alike(operations, behaviours):
    def run(package):
        trace: list[Any] = []
        dispatcher = package.EventDispatcher()
        depth = 0

        def make(number):
            def listener(event):
                nonlocal depth
                trace.append((number, event.type, event.target is dispatcher, event.cancelable))
                behaviour = behaviours[number]
                if behaviour == "stop":
                    event.stop_immediate_propagation()
                elif behaviour == "cancel":
                    event.prevent_default()
                elif behaviour == "add":
                    dispatcher.add_event_listener(event.type, listeners[(number + 1) % 7], priority=1)
                elif behaviour == "remove":
                    dispatcher.remove_event_listener(event.type, listeners[(number + 1) % 7])
                elif behaviour == "nest" and depth < 2:
                    depth += 1
                    trace.append(dispatcher.dispatch_event(event))
                    depth -= 1
                elif behaviour == "raise":
                    raise package.RangeError("on purpose")

            return listener

        listeners = [make(number) for number in range(7)]
        last = None
        for operation, *arguments in operations:
            if operation == "add":
                type, number, capture, priority = arguments
                dispatcher.add_event_listener(type, listeners[number], capture, priority)
            elif operation == "remove":
                type, number, capture = arguments
                dispatcher.remove_event_listener(type, listeners[number], capture)
            elif operation == "dispatch":
                last = package.Event(arguments[0], False, arguments[1])
                trace.append(("result", dispatcher.dispatch_event(last), last.target is dispatcher))
            elif operation == "again" and last is not None:
                trace.append(("again", dispatcher.dispatch_event(last), last.is_default_prevented()))
            elif operation == "ask":
                trace.append((dispatcher.has_event_listener(arguments[0]), dispatcher.will_trigger(arguments[0])))
        return trace

    logging.disable()
    try:
        same({engine: verdict(lambda package=package: run(package)) for engine, package in PACKAGES.items()})
    finally:
        logging.disable(logging.NOTSET)


@given(
    type=junk | st.sampled_from(_TYPES),
    listener=junk.filter(lambda value: value is not print),
    priority=junk | numbers,
    event=junk,
)
def test_dispatcher_arguments_are_refused_alike(type, listener, priority, event):
    def run(package):
        dispatcher = package.EventDispatcher()
        return [
            verdict(call)
            for call in (
                lambda: dispatcher.add_event_listener("one", listener),
                lambda: dispatcher.add_event_listener(type, print),
                lambda: dispatcher.add_event_listener("one", print, False, priority),
                lambda: dispatcher.remove_event_listener(type, print),
                lambda: dispatcher.remove_event_listener("one", listener),
                lambda: dispatcher.has_event_listener(type),
                lambda: dispatcher.will_trigger(type),
                lambda: dispatcher.dispatch_event(event),
            )
        ]

    same({engine: run(package) for engine, package in PACKAGES.items()})


reads = st.one_of(
    st.tuples(st.sampled_from(["read", "peek", "view", "skip"]), st.integers(-2, 40) | st.none()),
    st.tuples(st.just("readinto"), st.integers(0, 40)),
    st.tuples(
        st.sampled_from(
            [
                "read_boolean",
                "read_byte",
                "read_unsigned_byte",
                "read_short",
                "read_unsigned_short",
                "read_int",
                "read_unsigned_int",
                "read_float",
                "read_double",
                "read_utf",
            ]
        )
    ),
    st.tuples(st.just("read_utf_bytes"), st.integers(0, 20)),
)


def perform(it: Any, operation: tuple[Any, ...]) -> Any:
    name, *arguments = operation
    if name == "readinto":
        buffer = bytearray(arguments[0])
        return it.readinto(buffer), bytes(buffer)
    result = getattr(it, name)(*arguments)
    return repr(bytes(result) if name == "view" else result)


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6),
    operations=st.lists(reads, max_size=12),
    endian=st.sampled_from(["bigEndian", "littleEndian"]),
    closes=st.booleans(),
)
def test_any_split_of_a_stream_reads_alike(pieces, operations, endian, closes):
    """What is read depends on the bytes alone: neither on the engine nor on how they were split on their way."""
    stream = b"".join(pieces)

    def run(package, reactor, parts, waiting):
        accepted: list[Any] = []
        with package.ServerSocket(reactor=reactor) as server:
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            server.bind(0, "127.0.0.1")
            server.listen()
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as peer:
                while not accepted:
                    reactor.poll(1)
                it = accepted[0]
                it.endian = endian
                loaded: list[int] = []
                closed: list[Any] = []
                it.add_event_listener("socketData", lambda event: loaded.append(event.bytes_loaded))
                it.add_event_listener("close", closed.append)
                for part in parts:
                    peer.sendall(part)
                    if waiting:
                        expected = sum(loaded) + len(part)
                        while sum(loaded) < expected:
                            reactor.poll(1)
                while it.bytes_available < len(stream):
                    reactor.poll(1)
                if closes:
                    peer.close()
                    while not closed:
                        reactor.poll(1)
                assert sum(loaded) == len(stream)
                outcome = [
                    (verdict(lambda operation=operation: perform(it, operation)), it.bytes_available)
                    for operation in operations
                ]
                if it.connected:
                    it.close()
                return outcome

    with reactors() as reactor:
        outcomes = [
            run(package, reactor[engine], parts, waiting)
            for engine, package in PACKAGES.items()
            for parts, waiting in ((pieces, True), ([stream], False))
        ]
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(
    operations=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.binary(max_size=50)),
            st.tuples(st.just("write"), st.integers(1, 200_000).map(lambda size: b"x" * size)),
            st.tuples(st.just("write_utf"), st.text(max_size=10)),
            st.tuples(st.just("write_int"), st.integers()),
            st.tuples(st.just("write_double"), st.floats()),
            st.tuples(st.just("write"), junk),
            st.tuples(st.just("flush")),
            st.tuples(st.just("poll")),
        ),
        max_size=15,
    )
)
def test_writes_arrive_alike(operations):
    def run(package, reactor):
        accepted: list[Any] = []
        outcome: list[Any] = []
        with package.ServerSocket(reactor=reactor) as server:
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            server.bind(0, "127.0.0.1")
            server.listen()
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as peer:
                while not accepted:
                    reactor.poll(1)
                it = accepted[0]
                received = bytearray()

                def drain():
                    peer.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while chunk := peer.recv(1_000_000):
                            received.extend(chunk)
                    peer.settimeout(60)

                for operation, *arguments in operations:
                    if operation == "poll":
                        drain()
                        reactor.poll(0)
                    else:
                        outcome.append(verdict(functools.partial(getattr(it, operation), *arguments)))
                it.close()
                peer.setblocking(False)
                over = False
                while not over:
                    with contextlib.suppress(BlockingIOError):
                        while chunk := peer.recv(1_000_000):
                            received.extend(chunk)
                        over = True
                    reactor.poll(0)
                return outcome, bytes(received)

    with reactors() as reactor:
        same({engine: run(package, reactor[engine]) for engine, package in PACKAGES.items()})
