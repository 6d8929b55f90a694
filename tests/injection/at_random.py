"""Serves clients while every system call fails with a small probability, then looks whether all is well.

python at_random.py SEED PROBABILITY CONNECTIONS hosted|own
"""

from __future__ import annotations

import gc
import sys
from collections import Counter

import shim
from descriptors import descriptors
from peer import Peer
from scenario import IDLE_TURNS, KINDS, Scenario
from table import calls, cases

from serversocket import implementation

BATCH = 16


def main(seed: str, probability: str, connections: str, loop: str) -> None:
    peer = Peer()
    expected = set()
    for call in calls(implementation):
        for error in dict.fromkeys((case.verdict, case.expected) for case in cases(implementation, call)):
            shim.offer(call, error[0])
            expected |= error[1]
    gc.collect()
    before = descriptors()
    outcomes: Counter[str] = Counter()
    shim.chance(int(seed), float(probability))
    scenario = Scenario(peer, expected, hosted=loop == "hosted")
    while outcomes.total() < int(connections):
        scenario.bind_another()
        scenario.wait()
        for kind in KINDS:
            served = scenario.serve(kind, BATCH)
            scenario.accept(kind, served)
            outcomes.update(served)
        dialled = scenario.dial()
        scenario.accept("dial", {dialled: 1})
        outcomes[dialled] += 1
        assert not scenario.unexpected, scenario
        assert scenario.idle_turns < IDLE_TURNS, scenario
        scenario.idle_turns = 0
        scenario.told.clear()
    failed = sum(map(shim.failed, calls(implementation)))
    shim.off()
    scenario.told.append("what was cleared")
    scenario.verify()
    scenario.close()
    del scenario
    gc.collect()
    after = descriptors()
    assert after == before, f"descriptors before: {before}, after: {after}"
    peer.close()
    print(f"{dict(outcomes)}, {failed} calls failed")
    assert outcomes["complete"] > outcomes.total() / 4, "hardly anything was served"
    assert failed > int(connections) * float(probability), "hardly anything failed"


if __name__ == "__main__":
    main(*sys.argv[1:])
