"""The tables of servers, of scenarios, and of who takes part in the scoreboard: one line for each.

A server is a program in `servers/`. It takes its role as the last argument, prints its port, and serves until SIGTERM.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
RECORDED = HERE / "results"  # what README.md and the pages show
RESULTS = BUILD / "results"  # of the last run
RELEASED = HERE.parent / "build" / "released"  # the package as a wheel has it; `make build/released`
REFERENCE = "c-epoll"

# glibc gives a freed read buffer of 256 KiB back to the kernel, and fetches it again for the next read; this keeps it.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]  # the role is appended
    modules: tuple[str, ...] = ()  # what the interpreter must be able to import
    environment: dict[str, str] = field(default_factory=dict)
    installable: bool = True  # pip may fetch the modules, under the same names
    compiler: str = "gcc"  # of a server that is compiled: a program that need not be there
    package: Path | None = None  # the folder with a package that `make` builds


def script(name: str, file: str, *modules: str, arguments: tuple[str, ...] = (), **options) -> Server:
    return Server(name, (sys.executable, str(HERE / "servers" / file), *arguments), modules, **options)


def ours(
    variant: str,
    file: str,
    *modules: str,
    arguments: tuple[str, ...] = (),
    package: Path | None = RELEASED,
    **environment: str,
) -> Server:
    """A variant of our own server, made by environment variables; *package* None: as it is installed."""
    path = {"PYTHONPATH": str(package)} if package else {}
    return script(
        f"serversocket-{variant}",
        file,
        "serversocket",
        *modules,
        arguments=arguments,
        environment={"SERVERSOCKET_IMPL": "native", **path, **environment},
        installable=False,
        package=package,
    )


SERVERS = (
    Server(REFERENCE, (str(BUILD / "c_epoll"),)),
    script(
        "c-callback", "c_callback_server.py", "c_callback", environment={"PYTHONPATH": str(BUILD)}, installable=False
    ),
    ours("native", "serversocket_server.py"),
    ours("source", "serversocket_server.py", package=None),
    ours("pure", "serversocket_server.py", package=None, SERVERSOCKET_IMPL="pure"),
    ours("asyncio", "serversocket_in_loop.py"),
    ours("uvloop", "serversocket_in_loop.py", "uvloop", arguments=("uvloop",)),
    ours("aio", "serversocket_aio.py"),
    ours("aio-uvloop", "serversocket_aio.py", "uvloop", arguments=("uvloop",)),
    script("select-epoll", "select_epoll.py"),
    script("selectors", "selectors_loop.py"),
    script("uvloop-protocol", "asyncio_server.py", "uvloop", arguments=("uvloop",)),
    script("uvloop-buffered", "asyncio_server.py", "uvloop", arguments=("uvloop", "buffered")),
    script("aiofastnet", "asyncio_server.py", "uvloop", "aiofastnet", arguments=("aiofastnet",)),
    script(
        "aiofastnet-malloc",
        "asyncio_server.py",
        "uvloop",
        "aiofastnet",
        arguments=("aiofastnet",),
        environment=KEEP_MEMORY,
    ),
    script("asyncio-protocol", "asyncio_server.py"),
    script("asyncio-buffered", "asyncio_server.py", arguments=("buffered",)),
    script("asyncio-streams", "asyncio_streams.py"),
    script("uvloop-streams", "asyncio_streams.py", "uvloop", arguments=("uvloop",)),
    script("gevent", "gevent_server.py", "gevent", arguments=("raw",)),
    script("twisted", "twisted_server.py", "twisted"),
    script("trio", "trio_server.py", "trio"),
    Server("go", (str(BUILD / "net_server"),), compiler="go"),
    Server("node", ("node", str(HERE / "servers" / "net_server.js"))),
)
NAMED = {server.name: server for server in SERVERS}


@dataclass(frozen=True)
class Peer:
    """A column of the scoreboard."""

    name: str
    server: Server
    crowd: str = "echo"  # the role that echoes to more clients than it can serve


OURS = "serversocket"
PURE = f"{OURS} (pure)"
C = "C (epoll)"
PEERS = {
    each.name: each
    for each in (
        Peer(OURS, NAMED["serversocket-source"]),
        Peer(PURE, NAMED["serversocket-pure"]),
        Peer("asyncio", NAMED["asyncio-protocol"], crowd="echo-default-backlog"),
        Peer("uvloop", NAMED["uvloop-protocol"]),
        Peer("gevent", script("gevent", "gevent_server.py", "gevent")),  # greenlets that gevent watches
        Peer("Twisted", NAMED["twisted"]),
        Peer("trio", NAMED["trio"]),
        Peer(C, NAMED[REFERENCE]),
    )
}


@dataclass(frozen=True)
class Scenario:
    role: str  # what the server does
    load: tuple[str, ...]  # arguments of the load
    base: str | None = None  # the scenario whose cost growth is compared with


def scenarios(**roles: str) -> dict[str, Scenario]:
    return {name: Scenario(role, (name,)) for name, role in roles.items()}


# What an operation costs.
COST = scenarios(
    accept="accept",
    burst="accept",
    short="reply",
    echo="echo",
    pipe="echo",
    echo16k="echo",
    idle1k="echo",
    ping="echo",
    bulkin="discard",
    bulkout="chargen",
)

# How the cost of a message grows with the connections that are open: with silent ones, and with talking ones.
CONNECTIONS = (10, 100, 1000, 9000)
TALKING = CONNECTIONS[0]
GROWTH = {
    f"{kind}-{count}": Scenario(
        "echo", ("echo", "--connections", str(talking), "--idle", str(count - talking)), base=f"{kind}-{CONNECTIONS[0]}"
    )
    for kind, most in (("idle", TALKING), ("active", CONNECTIONS[-1]))
    for count in CONNECTIONS
    for talking in (min(count, most),)
}
GROWTH_SERVERS = (
    REFERENCE,
    "serversocket-native",
    "serversocket-pure",
    "uvloop-protocol",
    "asyncio-protocol",
    "asyncio-buffered",
)

# What a server must get right before it is measured: load's arguments, by role.
CHECKS = {
    "accept": ("accept --ops 1000", "burst --ops 1024"),
    "reply": ("short --ops 1000",),
    "echo": (
        "echo --ops 2000 --size 1",
        "pipe --ops 5000",
        "echo --ops 200 --size 1000000 --connections 8",
    ),
    "discard": ("bulkin --ops 100",),
    "chargen": ("bulkout --ops 100",),
}


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """What parses an argument that names some of *known*, with commas between."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} not among {', '.join(known)}")
        return [name for name in known if name in chosen]

    return parse
