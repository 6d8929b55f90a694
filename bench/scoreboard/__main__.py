"""Measures what servers survive; the tables go to stdout, to a folder of results, and to the page on reliability."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import harness
from harness import say
from peers import PEERS, RESULTS, some_of
from result import load_average, machine

from scoreboard import measure
from scoreboard.board import PAGE, Board, put_on_page
from scoreboard.rows import MANY, MEASUREMENTS, QUICK, USUAL


def options() -> argparse.Namespace:
    modules = [measurement.module for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser(prog="scoreboard", description=__doc__)
    parser.add_argument("--rows", type=some_of(modules), default=modules, metavar="A,B", help=", ".join(modules))
    parser.add_argument("--peers", type=some_of(PEERS), default=list(PEERS), metavar="A,B", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, help="of every measurement that is repeated")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const=QUICK, dest="size", help="only to see that all runs")
    size.add_argument(
        "--many", action="store_const", const=MANY, dest="size", help="a million connections, 1,000 SIGINT"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder (default: bench/build/results)")
    parser.add_argument("--page", type=Path, help=f"the page to be changed; after a whole run {PAGE.name}")
    parser.set_defaults(size=USUAL)
    return parser.parse_args()


def missing(peers: list[str]) -> dict[str, str]:
    """Why peers cannot be run here."""
    reasons = {name: harness.missing(PEERS[name].server) for name in peers}
    return {name: reason for name, reason in reasons.items() if reason}


def measure_all(measurements: list, peers: list[str], rounds: int | None, size: int) -> dict:
    found = {}
    for measurement in measurements:
        taking_part = [peer for peer in peers if peer not in measurement.absent]
        by_peer = found[measurement.module] = {peer: [] for peer in taking_part}
        sizes = {name: values[size] for name, values in measurement.sizes.items()}
        repeated = min(measurement.rounds, rounds or measurement.rounds)
        for number in range(repeated):
            # Each round begins with another one, so that none always follows the same one.
            first = number * len(taking_part) // repeated
            for peer in taking_part[first:] + taking_part[:first]:
                began = time.monotonic()
                figures = measure.taken(measurement.module, peer, sizes, measurement.timeout)
                by_peer[peer].append(figures)
                took = time.monotonic() - began
                say(f"{measurement.module} {number + 1}/{repeated}  {peer}  {took:.1f} s  {figures}")
    return found


def main() -> int:
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    harness.build()
    for name, reason in missing(chosen.peers).items():
        say(f"{name} is left out: {reason}")
        chosen.peers.remove(name)
    if not chosen.peers:
        say("no peer is left to be measured")
        return 2
    measurements = [measurement for measurement in MEASUREMENTS if measurement.module in chosen.rows]
    facts = machine([PEERS[name].server for name in chosen.peers]) | {"load_average_before": load_average()}
    facts["command"] = " ".join(["scoreboard", *sys.argv[1:]])
    facts["sizes"] = {m.module: {name: values[chosen.size] for name, values in m.sizes.items()} for m in measurements}
    rounds = measure_all(measurements, chosen.peers, chosen.rounds, chosen.size)
    facts["load_average_after"] = load_average()
    board = Board(facts, measurements, chosen.peers, rounds)
    markdown = board.markdown()
    print(markdown)
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "reliability.md").write_text(f"# Scoreboard of reliability\n\n{markdown}", encoding="utf-8")
    content = {"facts": facts, "unmet": board.unmet(), "found": board.found, "rounds": rounds}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (chosen.results / "reliability.json").write_text(text + "\n", encoding="utf-8")
    whole = len(measurements) == len(MEASUREMENTS) and len(chosen.peers) == len(PEERS) and chosen.size != QUICK
    if chosen.page or whole:
        put_on_page(markdown, chosen.page or PAGE)
    for line in board.unmet():
        say(f"target not reached: {line}")
    return 1 if board.unmet() else 0


if __name__ == "__main__":
    sys.exit(main())
