"""Runs the cases of some system calls, each with a reactor of its own, and says which failed.

python one_at_a_time.py CALL...
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from itertools import chain

import shim
from descriptors import descriptors
from peer import Peer
from scenario import Scenario
from table import Case, cases

from serversocket import implementation

CPU_SECONDS = 2.0  # a case takes a hundredth of it


def run(case: Case, peer: Peer) -> None:
    before = descriptors()
    started = time.process_time()
    shim.arm(case.call, case.occurrence, case.times, case.verdict)
    scenario = Scenario(peer, case.expected, hosted=case.hosted)
    scenario.all_steps()
    if shim.failed(case.call):
        shim.off()
        scenario.verify()
        scenario.close()
    else:
        # It is the closing that fails. What comes after it is another reactor.
        scenario.close()
        assert shim.failed(case.call), f"only {shim.made(case.call)} calls were made"
        shim.off()
        scenario = Scenario(peer, (), hosted=case.hosted)
        scenario.verify()
        scenario.close()
    del scenario
    gc.collect()
    after = descriptors()
    assert after == before, f"descriptors before: {before}, after: {after}"
    seconds = time.process_time() - started
    assert seconds < CPU_SECONDS, f"took {seconds:.1f} seconds of CPU time"


def main(*names: str) -> int:
    peer = Peer()
    passed = failed = 0
    gc.collect()
    gc.freeze()
    for case in chain.from_iterable(cases(implementation, call) for call in names):
        try:
            run(case, peer)
            passed += 1
        except Exception:
            shim.off()
            print(f"{case}:\n{traceback.format_exc()}")
            failed += 1
            peer.close()
            peer = Peer()
        gc.collect()
    peer.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
