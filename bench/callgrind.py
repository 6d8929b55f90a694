"""Counts the instructions a server executes, in user space, for an accepted connection and for an echoed message.

Each figure is the difference between a run of 2N operations and one of N, divided by N: start and end cancel out.
Instructions repeat where times do not, so a change of one per cent is seen; the kernel's share is not.

For our own engines the counts of `burst` and `ping` are kept in results/instructions.json, which a test compares with.
There nothing depends on who is quicker, server or load: in a burst all connections wait before the first is accepted,
and with one message in flight every turn of the loop has one.

What Python code costs depends on where its names lie in memory: the interpreter finds attributes through a cache that
goes by addresses, and two names that meet there cost 2 % of a message. So pure is counted in several layouts of the
memory, each shifted by some more variables of the environment, and the least is taken.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path

import harness
from peers import COST, NAMED, RECORDED, REFERENCE, SERVERS, Server

KEPT = RECORDED / "instructions.json"
GUARDED = ("burst", "ping")
COLUMNS = {"burst": "a connection", "echo": "a message", "ping": "a message alone"}

# The allocator and the hashing of strings must be the same in both runs.
STEADY = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}

OPERATIONS = {"native": 4096, "pure": 1024}
LAYOUTS = {"native": 1, "pure": 6}
TOLERANCE = 0.03  # how far a count may be from the recorded one

# Run in an interpreter that has the engine: prints the compilers of the extension, Cython's and C's.
COMPILERS = r"""
import re, sys
import serversocket._core as core
cython = next(name for name in sys.modules if name.startswith("_cython_"))
found = re.findall(rb"(GCC): \([^)]*\) ([\d.]+)|(clang) version ([\d.]+)", open(core.__file__, "rb").read())
name, version = cython.strip("_").split("_", 1)
compilers = {" ".join(part.decode() for part in compiler if part) for compiler in found}
print(name.capitalize() + " " + version.replace("_", "."), *sorted(compilers), sep="; ")
"""


def instructions(server: Server, scenario: str, operations: int) -> int:
    """All instructions of a server that starts, serves *operations* and is ended."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "callgrind.out"
        valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--log-file={folder}/log")
        with harness.Running(server, COST[scenario].role, wrapper=valgrind) as running:
            limits = ("--ops", str(operations), "--seconds", "300", "--grace", "60")
            result = harness.load(running, *COST[scenario].load, *limits, timeout=400)
        if result["operations"] != operations:
            raise harness.Failure(f"{result['operations']} operations instead of {operations}")
        return int(re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.MULTILINE)[1])


def per_operation(server: Server, scenario: str, operations: int) -> float:
    once, twice = (instructions(server, scenario, count) for count in (operations, 2 * operations))
    return (twice - once) / operations


def engine_server(engine: str) -> Server:
    """The server with an engine as it is installed."""
    return NAMED[{"native": "serversocket-source", "pure": "serversocket-pure"}[engine]]


def guarded(engine: str, scenario: str, enough: float = 0) -> float:
    """The least count of all layouts; no more than one is needed where that is `enough`."""
    known = engine_server(engine)
    least = float("inf")
    for layout in range(LAYOUTS[engine]):
        shifted = {f"SHIFT_{number}": "x" * 37 for number in range(4 * layout)}
        server = replace(known, environment=known.environment | shifted)
        least = min(least, per_operation(server, scenario, OPERATIONS[engine]))
        if least <= enough:
            break
    return round(least, 1)


def environment(engine: str) -> str:
    """All that an engine's counts depend on: the interpreter and how it was built, libc, the extension's compilers."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    parts = [
        engine,
        f"{platform.python_implementation()} {platform.python_version()} {sysconfig.get_config_var('SOABI')}",
        platform.python_compiler() + (" with profile" if optimised else ""),
        " ".join(platform.libc_ver()),
    ]
    if engine == "native":
        told = subprocess.run(
            [sys.executable, "-c", COMPILERS],
            env=os.environ | engine_server(engine).environment,
            capture_output=True,
            text=True,
        )
        if told.returncode:
            raise harness.Failure(harness.last_line(told.stderr))
        parts.append(told.stdout.strip())
        settings = ("CFLAGS", "SERVERSOCKET_SANITIZE", "SERVERSOCKET_TRACE")
        parts += [f"{name}={os.environ[name]}" for name in settings if os.environ.get(name)]
    return "; ".join(parts)


def recorded() -> dict[str, dict[str, float]]:
    """The kept counts: by environment, then by scenario."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def record(engines: list[str]) -> None:
    """Count *engines* in this environment, and keep that beside what is kept of others."""
    kept = recorded()
    for engine in engines:
        where = environment(engine)
        kept[where] = {scenario: guarded(engine, scenario) for scenario in GUARDED}
        print(where, kept[where], flush=True)
    KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


def check(engine: str, scenario: str) -> None:
    """Print as JSON what is recorded for this environment, and where something is, what is counted now."""
    where = environment(engine)
    before = recorded().get(where, {}).get(scenario)
    now = None if before is None else guarded(engine, scenario, enough=before * (1 + TOLERANCE))
    print(json.dumps({"environment": where, "recorded": before, "counted": now, "tolerance": TOLERANCE}))


def show(servers: list[Server], operations: int) -> None:
    print(f"{'instructions for':20}", *(f"{title:>16}" for title in COLUMNS.values()))
    for server in servers:
        if reason := harness.missing(server):
            raise harness.Failure(f"{server.name}: {reason}")
        counts = (per_operation(server, scenario, operations) for scenario in COLUMNS)
        print(f"{server.name:20}", *(f"{count:16.1f}" for count in counts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"of {', '.join(NAMED)}")
    parser.add_argument("--ops", type=int, default=5000, metavar="N", help="the N above (default: 5000)")
    parser.add_argument("--record", action="store_true", help="count our engines that are there, and keep the counts")
    parser.add_argument("--check", nargs=2, metavar=("ENGINE", "SCENARIO"), help="count one again; JSON, for the test")
    chosen = parser.parse_args()
    chosen.servers = chosen.servers or [REFERENCE, "serversocket-source"]
    if unknown := set(chosen.servers) - set(NAMED):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    os.environ.update(STEADY)
    harness.START_TIMEOUT, harness.STOP_TIMEOUT = 120, 60
    harness.build()
    try:
        if chosen.record:
            record([engine for engine in OPERATIONS if not harness.missing(engine_server(engine))])
        elif chosen.check:
            check(*chosen.check)
        else:
            show([server for server in SERVERS if server.name in chosen.servers], chosen.ops)
    except harness.Failure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
