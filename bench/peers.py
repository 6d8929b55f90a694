"""The table of servers. A new server is one line here and one script in servers/."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
REFERENCE = "c-epoll"

# glibc gives a freed read buffer of 256 KiB back to the kernel, and fetches it again for the next read; this keeps it.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]
    modules: tuple[str, ...] = ()  # what the interpreter must be able to import
    environment: dict[str, str] = field(default_factory=dict)
    installable: bool = True  # whether pip may fetch the modules, under the same names


def script(name: str, file: str, *modules: str, **options) -> Server:
    return Server(name, (sys.executable, str(HERE / "servers" / file)), modules, **options)


def ours(implementation: str) -> Server:
    environment = {"SERVERSOCKET_IMPL": implementation}
    name = f"serversocket-{implementation}"
    return script(name, "serversocket_server.py", "serversocket", environment=environment, installable=False)


SERVERS = (
    Server(REFERENCE, (str(BUILD / "c_epoll"),)),
    ours("native"),
    ours("pure"),
    script("select-epoll", "select_epoll.py"),
    script("selectors", "selectors_loop.py"),
    script("uvloop-protocol", "uvloop_protocol.py", "uvloop"),
    script("uvloop-buffered", "uvloop_buffered.py", "uvloop"),
    script("aiofastnet", "aiofastnet_uvloop.py", "uvloop", "aiofastnet"),
    script("aiofastnet-malloc", "aiofastnet_uvloop.py", "uvloop", "aiofastnet", environment=KEEP_MEMORY),
    script("asyncio-protocol", "asyncio_protocol.py"),
    script("asyncio-buffered", "asyncio_buffered.py"),
    script("asyncio-streams", "asyncio_streams.py"),
    script("gevent", "gevent_server.py", "gevent"),
    script("twisted", "twisted_server.py", "twisted"),
    script("trio", "trio_server.py", "trio"),
    Server("node", ("node", str(HERE / "servers" / "net_server.js"))),
)

# The scenarios, and the role a server plays in each.
SCENARIOS = {
    "accept": "accept",
    "burst": "accept",
    "short": "reply",
    "echo": "echo",
    "pipe": "echo",
    "echo16k": "echo",
    "idle1k": "echo",
    "ping": "echo",
    "bulkin": "discard",
    "bulkout": "chargen",
}

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
