"""Opens and closes many connections, behaves badly on them, and looks what is left of it: `make soak`.

A warm-up comes first. Then the connections come in parts; when the last client of a part has gone, the server rests
and says what it holds. Nothing may be gained from the first rest, after the warm-up, to the last: no descriptor, no
object, no memory; and no byte may be lost, doubled or another client's. The exit status is 1 where anything was.

Objects are counted, all of them and those of the package by their class, the native engine's too. Memory is told in
three ways: blocks of the interpreter's allocator, bytes of the system's, and resident KiB, which differ by the gaps
between what is given out. One rest differs from the next by a page or so, up and down; memory that is lost only goes
up. So it is gained where every rest in the second half of the run holds more than each in the first.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from harness import Running, cores, say
from peers import HERE, RESULTS, script
from plots import soak as picture
from result import machine

PATIENCE = 30.0
EXACT = ("descriptors", "objects", "kept")
MEMORY = {"blocks": "blocks", "allocated": "bytes", "kib": "KiB"}
EVERY = 2.0  # seconds between two looks
# The system's allocator keeps nothing back for itself, so that what it has given out is what is used, to the byte.
EXACTLY = "glibc.malloc.tcache_count=0"


class Soaked(Running):
    """The server's process, and the connection over which it says how it is."""

    def __init__(self, engine):
        environment = {"SERVERSOCKET_IMPL": engine, "GLIBC_TUNABLES": EXACTLY}
        super().__init__(script("soaked", "soak_server.py", environment=environment))
        _, self.control_port, self.engine = self.told

    def __enter__(self):
        self.control = socket.create_connection(("127.0.0.1", int(self.control_port)))
        self.lines = self.control.makefile()
        return self

    def state(self, question=b"state"):
        self.control.sendall(question)
        return json.loads(self.lines.readline())

    def at_rest(self):
        """Its state when no client is connected any more."""
        end = time.monotonic() + PATIENCE
        while self.state()["connections"] and time.monotonic() < end:
            time.sleep(0.1)
        return self.state(b"rest")

    def leave(self):
        """Its exit status, when the end of the control connection has ended it."""
        self.lines.close()
        self.control.close()
        return self.process.wait(PATIENCE)


def crowd(server, options, first, total, look):
    """Runs so many clients; what they say in the end."""
    arguments = [server.port, options.seed, first, total, options.at_once]
    process = subprocess.Popen(
        [sys.executable, HERE / "soak_clients.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores()[1]),
    )
    last = 0.0
    found = {"failures": ["the clients ended without a word"], "behaved": {}, "wrong": 0, "compared": 0}
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
    with Soaked(options.engine) as server:
        return soaked(server, options)


def soaked(server, options):
    began = time.monotonic()
    samples = []

    def look(done):
        state = server.state()
        samples.append({"seconds": round(time.monotonic() - began, 1), "done": done, **state})
        if not options.quiet:
            total = options.warm_up + options.connections
            say(f"{done:>9} of {total}: {state['connections']} open, {state['kib']} KiB")

    def part(first, total):
        said.append(crowd(server, options, first, total, look))
        rests.append({"seconds": round(time.monotonic() - began, 1), "done": first + total, **server.at_rest()})

    said, rests = [], []
    part(0, options.warm_up)
    last = options.warm_up + options.connections
    for number in range(options.rests):
        first = options.warm_up + options.connections * number // options.rests
        part(first, options.warm_up + options.connections * (number + 1) // options.rests - first)
    assert rests[-1]["done"] == last
    status = server.leave()
    return {
        "machine": machine([]),
        "engine": server.engine,
        "seed": options.seed,
        "warm_up": options.warm_up,
        "connections": options.connections,
        "seconds": round(time.monotonic() - began, 1),
        "behaved": sum((Counter(each["behaved"]) for each in said[1:]), Counter()),
        "bytes_compared": sum(each["compared"] for each in said),
        "bytes_wrong_in": sum(each["wrong"] for each in said),
        "failures": [failure for each in said for failure in each["failures"]][:100],
        "gained": gained(rests),
        "still_open": rests[-1]["connections"],
        "complaints": server.stderr()[-2000:],
        "status": status,
        "rests": rests,
        "samples": samples,
    }


def gained(rests):
    """What there is more of at the last rest than at the first; of memory, in the second half than in the first."""
    before, after = rests[0], rests[-1]
    found = {name: after[name] - before[name] for name in EXACT}
    kinds = Counter(after["of_the_package"])
    kinds.subtract(before["of_the_package"])
    found["of_the_package"] = {name: number for name, number in kinds.items() if number}
    first, second = halves(rests)
    for name in MEMORY:
        found[name] = statistics.median_low(second[name]) - statistics.median_low(first[name])
    return found


def halves(rests):
    """What the rests of the first and of the second half have told of the memory; the warm-up's is not among them."""
    middle = (len(rests) + 1) // 2
    return [{name: [rest[name] for rest in half] for name in MEMORY} for half in (rests[1:middle], rests[middle:])]


def wrong(result):
    """What must not be, in words."""
    found = list(result["failures"])
    more = result["gained"]
    found += [f"{more[name]} {name} gained" for name in (*EXACT, "of_the_package") if more[name]]
    first, second = halves(result["rests"])
    for name, unit in MEMORY.items():
        if min(second[name]) > max(first[name]):
            found.append(f"{min(second[name]) - max(first[name])} {unit} gained at least, {more[name]} as it seems")
    if result["still_open"]:
        found.append(f"{result['still_open']} connections still open")
    if result["complaints"] or result["status"]:
        found.append(f"exit status {result['status']}: {result['complaints']}")
    return found


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1_000_000, help="after the warm-up (default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=100_000, help="connections (default %(default)s)")
    parser.add_argument("--rests", type=int, default=20, help="parts of the run (default %(default)s)")
    parser.add_argument("--at-once", type=int, default=200, help="connections (default %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run (default: another each time)")
    parser.add_argument("--engine", choices=("native", "pure"), default=os.environ.get("SERVERSOCKET_IMPL", "native"))
    parser.add_argument("--output", type=Path, default=RESULTS / "soak.json", help="a file for the result")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)
    if options.rests < 4:
        parser.error("two halves need 4 rests at least")
    return options


def main():
    options = parse()
    result = soak(options)
    found = wrong(result)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    picture(result).save(options.output.with_suffix(".svg"))
    print(f"{result['connections']} connections, {result['engine']}, seed {result['seed']}, {result['seconds']:.0f} s")
    more, rests = result["gained"], result["rests"]
    print(f"gained after a warm-up of {result['warm_up']}:")
    print(f"  {more['descriptors']} descriptors, {more['objects']} objects, {more['kept']} bytes kept")
    print(f"  {more['kib']} KiB resident: {rests[1]['kib']} at the first rest, {rests[-1]['kib']} at the last")
    print(f"  {more['allocated']} bytes of the system's allocator, {more['blocks']} blocks of the interpreter's")
    print(f"{result['bytes_compared']} bytes compared, wrong in {result['bytes_wrong_in']} connections")
    print("  ".join(f"{name} {number}" for name, number in sorted(result["behaved"].items())))
    for text in found:
        print(f"WRONG: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
