"""Counts the instructions a server executes, in user space, for an accepted connection and for an echoed message.

Each figure is the difference between a run of 2N operations and one of N, divided by N: start and end cancel out.
Instructions repeat where times do not, so a change of one per cent is seen; the kernel's share is not.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import harness
from peers import REFERENCE, SCENARIOS, SERVERS, Server

# The allocator and the hashing of strings must be the same in both runs.
STEADY = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def instructions(server: Server, scenario: str, operations: int) -> int:
    """All instructions of a server that starts, serves *operations* and is ended."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "callgrind.out"
        valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--log-file={folder}/log")
        with harness.Running(server, SCENARIOS[scenario], wrapper=valgrind) as running:
            limits = ("--ops", str(operations), "--seconds", "300", "--grace", "60")
            result = harness.load(running, scenario, *limits, timeout=400, pids=False)
        if result["operations"] != operations:
            raise harness.Failure(f"{result['operations']} operations instead of {operations}")
        return int(re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.MULTILINE)[1])


def per_operation(server: Server, scenario: str, operations: int) -> float:
    once, twice = (instructions(server, scenario, count) for count in (operations, 2 * operations))
    return (twice - once) / operations


def main() -> int:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"of {', '.join(names)}")
    parser.add_argument("--ops", type=int, default=5000, metavar="N", help="the N above (default: 5000)")
    chosen = parser.parse_args()
    chosen.servers = chosen.servers or [REFERENCE, "serversocket-native"]
    if unknown := set(chosen.servers) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    os.environ.update(STEADY)
    harness.START_TIMEOUT, harness.STOP_TIMEOUT = 120, 60
    harness.build()
    status = 0
    print(f"{'instructions for':20} {'a connection':>14} {'a message':>14}")
    for server in SERVERS:
        if server.name not in chosen.servers:
            continue
        try:
            if reason := harness.missing(server):
                raise harness.Failure(reason)
            accepted, echoed = (per_operation(server, scenario, chosen.ops) for scenario in ("accept", "echo"))
            print(f"{server.name:20} {accepted:14.1f} {echoed:14.1f}", flush=True)
        except harness.Failure as failure:
            print(f"{server.name:20} {failure}", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
