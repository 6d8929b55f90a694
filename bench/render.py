"""Writes the tables and the pictures of what was measured anew, beside the summaries that they show.

    python bench/render.py [SUMMARY.json...]

Without arguments those in bench/results. The same summary gives the same files, byte for byte.
"""

import sys
from pathlib import Path

import plots
import report
from peers import GROWTH, RECORDED
from result import Summary

# The pictures of a summary, by its name.
PICTURES = {
    "costs": {"costs": plots.costs, "latency": plots.latency},
    "growth": {"growth": plots.growth},
}


def render(file: Path) -> str:
    """Write all that shows the summary in *file*; return its tables."""
    summary = Summary.load(file)
    text = (report.growth if summary.scenarios[0] in GROWTH else report.cost)(summary)
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    for name, draw in PICTURES.get(file.stem, {}).items():
        if picture := draw(summary):
            picture.save(file.with_name(f"{name}.svg"))
    return text


def main() -> None:
    recorded = [file for file in sorted(RECORDED.glob("*.json")) if file.with_suffix(".md").exists()]
    for file in map(Path, sys.argv[1:]) if sys.argv[1:] else recorded:
        render(file)
        print(file, file=sys.stderr)


if __name__ == "__main__":
    main()
