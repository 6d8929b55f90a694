"""Measures the CPU time that servers spend on an operation, as a ratio to a server in C.

Every round measures every server in every scenario, one after the other, so that whatever disturbs the machine for a
while disturbs all of them; a ratio is formed within its round, and the median of the rounds is reported.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

import harness
from harness import say
from peers import COST, GROWTH, GROWTH_SERVERS, NAMED, REFERENCE, RESULTS, SERVERS, Server, some_of
from render import render
from result import Rounds, load_average, machine


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true", help="measure how echo's cost grows with the connections")
    parser.add_argument("--servers", type=some_of(NAMED), metavar="A,B", help=", ".join(NAMED))
    parser.add_argument("--scenarios", type=some_of(COST), metavar="A,B", help=", ".join(COST))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=0.2, help="seconds of load before each measurement")
    parser.add_argument("--quick", action="store_true", help="two short rounds: to see that all runs, not to compare")
    parser.add_argument("--no-install", action="store_true", help="do not pip-install servers that are missing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder (default: bench/build/results)")
    parser.add_argument("--name", help="of the files in it (default: costs, or growth)")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.warmup = 2, 0.2, 0.1
    if chosen.rounds < 1 or chosen.seconds <= 0 or chosen.warmup < 0:
        parser.error("rounds and seconds must be positive")
    if chosen.growth and chosen.scenarios:
        parser.error("--growth has its own scenarios")
    chosen.name = chosen.name or ("growth" if chosen.growth else "costs")
    chosen.servers = chosen.servers or list(GROWTH_SERVERS if chosen.growth else NAMED)
    chosen.scenarios = GROWTH if chosen.growth else {name: COST[name] for name in chosen.scenarios or COST}
    return chosen


def prepare(chosen: argparse.Namespace) -> tuple[list[Server], dict[str, str]]:
    """The servers that can be measured, and why the others cannot. The reference is always among them."""
    ready, failed = [], {}
    roles = {scenario.role for scenario in chosen.scenarios.values()}
    for server in SERVERS:
        if server.name not in {*chosen.servers, REFERENCE}:
            continue
        reason = harness.missing(server)
        if reason and server.modules and server.installable and not chosen.no_install:
            say(f"{server.name}: installing {', '.join(server.modules)}")
            harness.install(server)
            reason = harness.missing(server)
        if reason:
            failed[server.name] = f"skipped: {reason}"
        else:
            try:
                harness.verify(server, roles)
                ready.append(server)
            except harness.Failure as failure:
                failed[server.name] = str(failure)
        say(f"{server.name}: {failed.get(server.name, 'correct')}")
    if REFERENCE in failed:
        sys.exit(f"no measurement without {REFERENCE}")
    return ready, failed


def measure_all(chosen: argparse.Namespace, servers: list[Server]) -> list[dict]:
    measurements = []
    total = chosen.rounds * len(chosen.scenarios) * len(servers)
    for number in range(chosen.rounds):
        # Each round begins with another server, so that none always follows the same one, or comes first.
        first = number * len(servers) // chosen.rounds
        for scenario in chosen.scenarios:
            for server in servers[first:] + servers[:first]:
                measurement = {"round": number + 1, "scenario": scenario, "server": server.name}
                try:
                    taken = harness.measure(server, chosen.scenarios[scenario], chosen.seconds, chosen.warmup)
                    measurement = taken | measurement
                    outcome = f"{measurement['cpu_us']:10.2f} µs"
                except harness.Failure as failure:
                    measurement["failed"] = outcome = str(failure)
                measurements.append(measurement)
                say(f"{len(measurements):5}/{total}  round {number + 1}  {scenario:11} {server.name:20} {outcome}")
    return measurements


def main() -> int:
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    harness.allow_many_files()
    harness.build()
    if len(set.union(*harness.cores())) < 2:
        say("only one core: server and load share it, and the figures say little")
    try:
        servers, failed = prepare(chosen)
        started = time.time()
        facts = machine(servers) | {"load_average_before": load_average()}
        measurements = measure_all(chosen, servers)
    except KeyboardInterrupt:
        say("interrupted: nothing was stored")
        return 130
    facts |= {"load_average_after": load_average(), "took_seconds": round(time.time() - started)}
    rounds = Rounds(facts, chosen.scenarios, [server.name for server in servers], failed, measurements)
    for folder in (RESULTS, chosen.results):
        folder.mkdir(parents=True, exist_ok=True)
    rounds.save(RESULTS / f"{chosen.name}-rounds.json")
    summary = chosen.results / f"{chosen.name}.json"
    rounds.summary().save(summary)
    print(render(summary))
    return 1 if any("failed" in measurement for measurement in measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
