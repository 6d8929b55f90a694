"""Ports and addresses that should be refused. No name server is asked: peers that look names up have no network."""

import json
import os
import subprocess

from harness import Failure, last_line

from scoreboard.peers import OURS, PURE, Peer

# For those who look names up.
NAMESPACE = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


def measure(peer: Peer, fuzzed: int = 1_000_000) -> dict:
    """Figures: `accepted` of the corpus, `details`: which; for us `fuzz_accepted` of `fuzzed` more."""
    taken = json.loads(answer(peer, "bind"))
    figures = {"accepted": len(taken), "details": taken}
    if peer.name in (OURS, PURE):
        report = json.loads(answer(peer, "fuzz", f"{fuzzed}\n"))
        figures |= {"fuzz_accepted": len(report["taken"]), "fuzzed": fuzzed}
        figures["details"] += report["taken"][:20]
    return figures


def answer(peer: Peer, role: str, question: str = "") -> str:
    """What the server's script prints."""
    server = peer.server(role)
    wrapper = () if peer.name in (OURS, PURE) else NAMESPACE
    done = subprocess.run(
        [*wrapper, *server.command, role],
        env=os.environ | server.environment,
        input=question,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise Failure(last_line(done.stderr))
    return done.stdout
