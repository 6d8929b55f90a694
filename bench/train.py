"""Has an engine that was built to write down what it executes serve each load of the benchmark for a moment.

The compiler makes the released engine by that. It is written when the server's interpreter ends in an orderly way, so
there SIGTERM is made an exception.
"""

import sys
from dataclasses import replace

import harness
from callgrind import engine_server
from peers import COST

SECONDS = 0.7  # of each load
ORDERLY = """
import os, runpy, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    server = engine_server("native")
    interpreter, file = server.command
    orderly = replace(server, command=(interpreter, "-c", ORDERLY, file))
    harness.build()
    if reason := harness.missing(server):
        sys.exit(f"{server.name}: {reason}")
    for name, scenario in COST.items():
        try:
            result = harness.attempt(orderly, scenario, SECONDS, warmup=0.1)
        except harness.Failure as failure:
            sys.exit(f"{name}: {failure}")
        print(f"{name:8} {result['operations']:9,} operations", flush=True)


if __name__ == "__main__":
    main()
