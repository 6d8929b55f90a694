"""The tables of servers and of scenarios. A new server is one line here and one script in servers/."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
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
    installable: bool = True  # whether pip may fetch the modules, under the same names
    compiler: str = "gcc"  # of a server that is compiled: a program that need not be there
    package: Path | None = None  # the folder with a package that `make` builds


def script(name: str, file: str, *modules: str, arguments: tuple[str, ...] = (), **options) -> Server:
    return Server(name, (sys.executable, str(HERE / "servers" / file), *arguments), modules, **options)


def ours(variant: str, file: str, *modules: str, package: Path | None = RELEASED, **environment: str) -> Server:
    """A variant of our own server, made by environment variables; *package* None: as it is installed."""
    path = {"PYTHONPATH": str(package)} if package else {}
    return script(
        f"serversocket-{variant}",
        file,
        "serversocket",
        *modules,
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
    ours("asyncio", "serversocket_asyncio.py"),
    ours("uvloop", "serversocket_uvloop.py", "uvloop"),
    ours("aio", "serversocket_aio.py"),
    ours("aio-uvloop", "serversocket_aio_uvloop.py", "uvloop"),
    script("select-epoll", "select_epoll.py"),
    script("selectors", "selectors_loop.py"),
    script("uvloop-protocol", "uvloop_protocol.py", "uvloop"),
    script("uvloop-buffered", "uvloop_buffered.py", "uvloop"),
    script("aiofastnet", "aiofastnet_uvloop.py", "uvloop", "aiofastnet"),
    script("aiofastnet-malloc", "aiofastnet_uvloop.py", "uvloop", "aiofastnet", environment=KEEP_MEMORY),
    script("asyncio-protocol", "asyncio_protocol.py"),
    script("asyncio-buffered", "asyncio_buffered.py"),
    script("asyncio-streams", "asyncio_streams.py"),
    script("uvloop-streams", "uvloop_streams.py", "uvloop"),
    script("gevent", "gevent_server.py", "gevent"),
    script("twisted", "twisted_server.py", "twisted"),
    script("trio", "trio_server.py", "trio"),
    Server("go", (str(BUILD / "net_server"),), compiler="go"),
    Server("node", ("node", str(HERE / "servers" / "net_server.js"))),
)


@dataclass(frozen=True)
class Scenario:
    role: str  # what the server does
    load: tuple[str, ...]  # arguments of the load


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
    f"{kind}-{count}": Scenario("echo", ("echo", "--connections", str(talking), "--idle", str(count - talking)))
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
