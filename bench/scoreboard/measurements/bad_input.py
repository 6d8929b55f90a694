"""Ports and addresses that should be refused. No name server is asked: peers that look names up have no network."""

import json

from harness import answer
from peers import OURS, PURE, Peer

# For those who look names up.
NAMESPACE = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


def measure(peer: Peer, fuzzed: int = 1_000_000) -> dict:
    """Figures: `accepted` of the corpus, `details`: which; for us `fuzz_accepted` of `fuzzed` more."""
    ours = peer.name in (OURS, PURE)
    taken = json.loads(answer(peer.server, "bind", wrapper=() if ours else NAMESPACE))
    figures = {"accepted": len(taken), "details": taken}
    if ours:
        report = json.loads(answer(peer.server, "fuzz", f"{fuzzed}\n"))
        figures |= {"fuzz_accepted": len(report["taken"]), "fuzzed": fuzzed}
        figures["details"] += report["taken"][:20]
    return figures
