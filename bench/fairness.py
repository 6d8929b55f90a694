"""How long a host's timer waits while clients flood a server in its loop, and how long clients wait for a busy host.

    python bench/fairness.py [--seconds N] [--rounds N] [--hosts asyncio,trio,…]

For each host that is installed: the gaps between the ticks of a timer of one millisecond, at rest, under a flood of
messages and under one of connections; and the round trip of a message, at rest and while tasks of the host spin.
Prints a table in Markdown; of several rounds the median of each figure. What is missing is named below it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import monotonic, sleep

import report
from harness import Failure, Running, build, load, missing, say
from peers import Server, script, some_of
from result import machine

SPINNING = 50
WARMUP = 0.3
#: What each has to import.
HOSTS = {
    "asyncio": (),
    "uvloop": ("uvloop",),
    "trio": ("trio",),
    "tk": ("tkinter",),
    "qt": ("PySide6",),
    "glib": (),
    "gevent": ("gevent",),
}


@dataclass(frozen=True)
class Measurement:
    """One column: what the load does, in which role of the server, and beside how many tasks that spin."""

    title: str
    role: str
    load: str | None = None
    spinning: int = 0
    ticks: bool = True  # the host's timer is looked at; otherwise the round trips


MEASUREMENTS = (
    Measurement("ticks at rest", "echo"),
    Measurement("under messages", "echo", "pipe"),
    Measurement("under connections", "accept", "accept"),
    Measurement("echo, host at rest", "echo", "ping", ticks=False),
    Measurement(f"echo, {SPINNING} tasks spin", "echo", "ping", spinning=SPINNING, ticks=False),
)


def measure(server: Server, it: Measurement, seconds: float) -> tuple[float, float]:
    """The 99th percentile and the worst, in milliseconds."""
    with Running(server, str(it.spinning), it.role) as running:
        begin = monotonic() + WARMUP
        if it.load is None:
            sleep(WARMUP + seconds)
        else:
            arguments = ("--seconds", str(seconds), "--warmup", str(WARMUP))
            result = load(running, it.load, *arguments, timeout=seconds + 30, stopping=False)
        end = monotonic() - 0.01
        running.check()
        if not it.ticks:
            return result["latency_us"]["p99"] / 1000, result["latency_us"]["max"] / 1000
        running.process.terminate()
        times = [time for time in json.loads(running.process.stdout.readline()) if begin <= time <= end]
    gaps = sorted(1000 * (after - before) for before, after in zip([begin, *times], [*times, end], strict=True))
    return gaps[len(gaps) * 99 // 100], gaps[-1]


@contextmanager
def display() -> Iterator[None]:
    """One for Tk, where there is none and Xvfb is installed."""
    if "DISPLAY" in os.environ:
        yield
        return
    reading, writing = os.pipe()
    try:
        command = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp"]
        server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        os.close(reading)
        os.close(writing)
        yield
        return
    os.close(writing)
    with os.fdopen(reading) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=some_of(HOSTS), default=list(HOSTS), metavar="A,B", help=", ".join(HOSTS))
    arguments = parser.parse_args()
    build()
    cells, failures = {}, []
    servers = {
        name: script(f"in {name}", "hosted.py", "serversocket", *HOSTS[name], arguments=(name,))
        for name in arguments.hosts
    }
    with display():
        for name, server in servers.items():
            try:
                if reason := missing(server):
                    raise Failure(reason)
                cells[name] = {it.title: figures(server, it, arguments) for it in MEASUREMENTS}
            except Failure as failure:
                failures.append(f"{name} was not measured: {failure}")
    columns = {it.title: it.title for it in MEASUREMENTS}
    print(report.table("host", columns, cells, lambda host, title: cells[host][title]))
    facts = machine(list(servers.values()))
    about = [facts["date"][:10], *report.hardware(facts), *report.runtimes(facts), *report.modules(facts)]
    print(f"\n{', '.join(about)}; milliseconds, 99 % / worst, median of {arguments.rounds} rounds.")
    print(*failures, sep="\n")
    return bool(failures)


def figures(server: Server, it: Measurement, arguments: argparse.Namespace) -> str:
    rounds = [measure(server, it, arguments.seconds) for _ in range(arguments.rounds)]
    told = " / ".join(f"{median(values):.2f}" for values in zip(*rounds, strict=True))
    say(f"{server.name}: {it.title} {told}")
    return told


if __name__ == "__main__":
    sys.exit(main())
