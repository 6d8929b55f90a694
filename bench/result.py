"""What was measured: the machine, the measurements, the figures formed of them, and their file."""

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from harness import DISTURBED
from peers import REFERENCE, Server

BEHIND = 0.95  # part of the asked rate below which a paced measurement is remarked on
PERCENTILES = ("p50", "p90", "p99", "p99.9")


def load_average() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def _first_line(*command: str) -> str | None:
    if not shutil.which(command[0]):
        return None
    return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]


def _runtime(*command: str) -> str | None:
    line = _first_line(*command)
    return line and f"{command[0]} {re.search(r'[0-9.]+', line)[0]}"


def _version(module: str) -> str | None:
    for distribution in metadata.packages_distributions().get(module, [module]):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            pass
    return None


def machine(servers: list[Server]) -> dict:
    """What the figures depend on; of runtimes and modules those of *servers*."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in processors if line.startswith("model name")]
    modules = sorted({module for server in servers for module in server.modules})
    names = {server.name for server in servers}
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(command),
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "compiler": _first_line("gcc", "--version"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "node": _runtime("node", "--version") if "node" in names else None,
        "go": _runtime("go", "version") if "go" in names else None,
        "versions": {module: _version(module) for module in modules},
    }


@dataclass
class Result:
    facts: dict
    scenarios: list[str]
    servers: list[str]
    failed: dict[str, str]  # servers that were not measured at all, and why
    measurements: list[dict]

    def __post_init__(self) -> None:
        self.found = {(m["server"], m["scenario"], m["round"]): m for m in self.measurements if "failed" not in m}
        self.rounds = sorted({m["round"] for m in self.measurements})

    @property
    def measured(self) -> list[str]:
        return [server for server in self.servers if server not in self.failed]

    def values(self, server: str, scenario: str, key: str) -> list[float]:
        found = (self.found.get((server, scenario, number)) for number in self.rounds)
        return [m[key] for m in found if m]

    def ratios(self, server: str, scenario: str) -> list[float]:
        """CPU time for an operation against the reference's in the same round."""
        return self._against((server, scenario), (REFERENCE, scenario))

    def growths(self, server: str, scenario: str, smallest: str) -> list[float]:
        """CPU time for an operation against the server's own in scenario *smallest* of the same round."""
        return self._against((server, scenario), (server, smallest))

    def _against(self, one: tuple[str, str], other: tuple[str, str]) -> list[float]:
        pairs = ((self.found.get((*one, number)), self.found.get((*other, number))) for number in self.rounds)
        return [mine["cpu_us"] / theirs["cpu_us"] for mine, theirs in pairs if mine and theirs]

    def latency(self, server: str, scenario: str) -> dict[str, float]:
        """The percentiles that the client saw, in µs: of each the median of the rounds; empty where none was taken."""
        found = (self.found.get((server, scenario, number)) for number in self.rounds)
        taken = [m["latency_us"] for m in found if m and "latency_us" in m]
        return {name: median(latency[name] for latency in taken) for name in PERCENTILES} if taken else {}

    def failures(self) -> list[str]:
        lines = [f"{server}: {reason}" for server, reason in self.failed.items()]
        for m in self.measurements:
            if "failed" in m:
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: failed: {m['failed']}")
            elif "rate" in m and m["rate"] < BEHIND * m["rate_asked"]:
                rates = f"{m['rate']:.0f} of {m['rate_asked']:.0f} MiB/s"
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: fell behind: {rates}")
        if disturbance := self.disturbance():
            lines.append(f"{disturbance}: other programs used the load's core")
        return lines

    def disturbance(self) -> str:
        """How many measurements were disturbed; nothing where none was."""
        disturbed = sum(m["disturbed"] >= DISTURBED for m in self.found.values())
        return f"{disturbed} of {len(self.found)} measurements were disturbed" if disturbed else ""

    def _summary(self, server: str, scenario: str) -> dict:
        ratios = self.ratios(server, scenario)
        return {
            "cpu_us": self.values(server, scenario, "cpu_us"),
            "ratio": ratios,
            "ratio_median": median(ratios) if ratios else None,
            "latency_us": self.latency(server, scenario),
        }

    def save(self, file: Path) -> None:
        content = {
            "facts": self.facts,
            "scenarios": self.scenarios,
            "servers": self.servers,
            "failed": self.failed,
            "failures": self.failures(),
            "summary": {
                scenario: {server: self._summary(server, scenario) for server in self.measured}
                for scenario in self.scenarios
            },
            "measurements": self.measurements,
        }
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> "Result":
        content = json.loads(file.read_text(encoding="utf-8"))
        return cls(*(content[name] for name in ("facts", "scenarios", "servers", "failed", "measurements")))
