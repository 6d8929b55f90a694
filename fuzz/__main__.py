"""Fuzzes one target with atheris: ``python fuzz TARGET [libFuzzer's options]``."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
TARGETS = ("addresses", "byte_array", "connection", "dispatch", "typed_reads")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python fuzz {{{','.join(TARGETS)}}} [options of libFuzzer]")
    name = sys.argv.pop(1)
    sys.path.insert(0, str(HERE))
    logging.disable()
    with atheris.instrument_imports(include=["serversocket"]):
        target = importlib.import_module(name)
    corpus = HERE / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    # What is found is kept beside the corpus, not in it: it is added by hand, minimised.
    found = HERE / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    atheris.Setup([*sys.argv, f"-artifact_prefix={found}/", str(found), str(corpus)], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
