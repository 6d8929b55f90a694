"""Opens and closes many connections, behaves badly on them, and looks what is left of it: `make soak`.

A warm-up comes first; what the process holds when the last client of it has gone is what it is compared with when the
last client of all has gone. Nothing may be gained: no descriptor, no object, no memory; no byte may be lost, doubled or
somebody else's. The exit status is 1 where anything was. Memory is what the allocator has given out; what is resident
stands beside it, and differs by the gaps between what is given out.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parent
sys.path.insert(0, str(BENCH))

from harness import cores  # noqa: E402
from result import machine  # noqa: E402

RESULTS = BENCH / "results"
PATIENCE = 30.0
GAINS = ("descriptors", "objects", "blocks", "allocated", "kib", "kept")
EVERY = 2.0  # seconds between two looks
LEEWAY = 65536  # bytes: by what free lists and tables differ from one moment to the next


class Server:
    """The server's process, and the connection over which it says how it is."""

    def __init__(self, engine):
        environment = {**os.environ, "SERVERSOCKET_IMPL": engine}
        self.process = subprocess.Popen(
            [sys.executable, HERE / "server.py"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores()[0]),
        )
        port, control, self.engine = self.process.stdout.readline().split()
        self.port = int(port)
        self.control = socket.create_connection(("127.0.0.1", int(control)))
        self.lines = self.control.makefile()

    def state(self, question=b"state"):
        self.control.sendall(question)
        return json.loads(self.lines.readline())

    def at_rest(self):
        """Its state when nobody is connected any more."""
        end = time.monotonic() + PATIENCE
        while self.state()["connections"] and time.monotonic() < end:
            time.sleep(0.1)
        return self.state(b"rest")

    def stop(self):
        """What it has said on its error output, and its exit status."""
        self.control.close()
        self.lines.close()
        _, complaints = self.process.communicate(timeout=PATIENCE)
        return complaints, self.process.returncode


def crowd(server, options, first, total, look):
    """Runs so many clients; what they say in the end."""
    arguments = [server.port, options.seed, first, total, options.at_once]
    process = subprocess.Popen(
        [sys.executable, HERE / "clients.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores()[1]),
    )
    last = 0.0
    found = {"failures": ["the clients ended without a word"], "behaved": {}}
    for line in process.stdout:
        said = json.loads(line)
        if "done" not in said:
            found = said
        elif time.monotonic() - last >= EVERY:
            last = time.monotonic()
            look(first + said["done"])
    process.wait()
    return found


def soak(options):
    server = Server(options.engine)
    began = time.monotonic()
    samples = []

    def look(done):
        state = server.state()
        samples.append({"seconds": round(time.monotonic() - began, 1), "done": done, **state})
        if not options.quiet:
            total = options.warm_up + options.connections
            print(f"{done:>9} of {total}: {state['connections']} open, {state['kib']} KiB", file=sys.stderr)

    warm_up = crowd(server, options, 0, options.warm_up, look)
    before = server.at_rest()
    behaved = crowd(server, options, options.warm_up, options.connections, look)
    after = server.at_rest()
    complaints, status = server.stop()
    return {
        "machine": machine([]),
        "engine": server.engine,
        "seed": options.seed,
        "warm_up": options.warm_up,
        "connections": options.connections,
        "seconds": round(time.monotonic() - began, 1),
        "behaved": behaved["behaved"],
        "failures": (warm_up["failures"] + behaved["failures"])[:100],
        "gained": {name: after[name] - before[name] for name in GAINS},
        "still_open": after["connections"],
        "before": before,
        "after": after,
        "complaints": complaints[-2000:],
        "status": status,
        "samples": samples,
    }


def wrong(result):
    """What must not be, in words."""
    found = list(result["failures"])
    gained = result["gained"]
    found += [f"{gained[name]} {name} gained" for name in ("descriptors", "objects", "kept") if gained[name]]
    if gained["allocated"] > LEEWAY:
        found.append(f"{gained['allocated']} bytes gained")
    if result["still_open"]:
        found.append(f"{result['still_open']} connections still open")
    if result["complaints"] or result["status"]:
        found.append(f"exit status {result['status']}: {result['complaints']}")
    return found


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_000_000, help="after the warm-up (default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=20_000, help="connections (default %(default)s)")
    parser.add_argument("--at-once", type=int, default=200, help="connections (default %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run (default: another each time)")
    parser.add_argument("--engine", choices=("native", "pure"), default=os.environ.get("SERVERSOCKET_IMPL", "native"))
    parser.add_argument("--output", type=Path, help="a file for the result (default: bench/results/soak.json)")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args(arguments)


def main():
    options = parse()
    result = soak(options)
    found = wrong(result)
    output = options.output or RESULTS / "soak.json"
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['connections']} connections, {result['engine']}, seed {result['seed']}, {result['seconds']:.0f} s")
    print("gained:", ", ".join(f"{number} {name}" for name, number in result["gained"].items()))
    print("  ".join(f"{name} {number}" for name, number in sorted(result["behaved"].items())))
    for text in found:
        print(f"WRONG: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
