"""The servers that are compared: those of the benchmark, and scripts for what only a scoreboard asks."""

import os
from dataclasses import dataclass, replace

from harness import Running
from peers import HERE, SERVERS, Server, script

BENCHMARK = {server.name: server for server in SERVERS}
BENCHMARK_ROLES = ("reply",)
SCRIPTS = HERE / "scoreboard" / "servers"


@dataclass(frozen=True)
class Peer:
    name: str
    benchmark: Server
    crowd: str  # the role that echoes to more clients than it can serve
    special: Server | None  # None: it takes part with what the benchmark's server can do

    def server(self, role: str) -> Server:
        return self.special if self.special and role not in BENCHMARK_ROLES else self.benchmark


def peer(name: str, benchmark: str, file: str | None = None, *arguments: str, crowd: str = "echo") -> Peer:
    server = BENCHMARK[benchmark]
    if file is None:
        return Peer(name, server, crowd, None)
    # The scripts take their command line and their constants from the benchmark's.
    paths = (str(HERE / "servers"), os.environ.get("PYTHONPATH"))
    environment = server.environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    special = script(name, f"../scoreboard/servers/{file}", *server.modules, arguments=arguments)
    return Peer(name, server, crowd, replace(special, environment=environment))


OURS = "serversocket"
PURE = f"{OURS} (pure)"
C = "C (epoll)"
PEERS = {
    each.name: each
    for each in (
        peer(OURS, "serversocket-source", "serversocket_server.py"),
        peer(PURE, "serversocket-pure", "serversocket_server.py"),
        peer("asyncio", "asyncio-protocol", "asyncio_server.py", crowd="echo-default-backlog"),
        peer("uvloop", "uvloop-protocol", "asyncio_server.py", "uvloop"),
        peer("gevent", "gevent", "gevent_server.py"),
        peer("Twisted", "twisted", "twisted_server.py"),
        peer("trio", "trio", "trio_server.py"),
        peer(C, "c-epoll"),
    )
}


def start(peer: Peer, role: str) -> Running:
    """The server of *peer* in *role*, running."""
    return Running(peer.server(role), role)
