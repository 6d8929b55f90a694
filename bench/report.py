"""From measurements to tables, and the facts about the machine they hold for."""

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from harness import DISTURBED
from peers import REFERENCE, Server

COST = f"""\
Server CPU time for an operation, user and kernel: µs for {REFERENCE}, the others as a ratio to it in the same round
(median of the rounds; lower is better). An operation of bulkin and bulkout is one MiB."""
SPREAD = "Least and greatest of the rounds."
BUSY = "How busy the server's core was. Below 100 % the cost contains falling asleep and waking up."
LATENCY = "Latency in µs, median / 99 %. It follows from the number in flight; compare within a column only."

BEHIND = 0.95  # part of the asked rate below which a paced measurement is remarked on


def load_average() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def _first_line(*command: str) -> str | None:
    if not shutil.which(command[0]):
        return None
    return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]


def _version(module: str) -> str | None:
    for distribution in metadata.packages_distributions().get(module, [module]):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            pass
    return None


def machine(servers: Iterable[Server]) -> dict:
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in processors if line.startswith("model name")]
    modules = sorted({module for server in servers for module in server.modules})
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
        "node": _first_line("node", "--version"),
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

    def values(self, server: str, scenario: str, key: str) -> list[float]:
        found = (self.found.get((server, scenario, number)) for number in self.rounds)
        return [m[key] for m in found if m]

    def ratios(self, server: str, scenario: str) -> list[float]:
        """CPU time for an operation against the reference's in the same round."""
        pairs = (
            (self.found.get((server, scenario, number)), self.found.get((REFERENCE, scenario, number)))
            for number in self.rounds
        )
        return [mine["cpu_us"] / reference["cpu_us"] for mine, reference in pairs if mine and reference]

    def failures(self) -> list[str]:
        lines = [f"{server}: {reason}" for server, reason in self.failed.items()]
        for m in self.measurements:
            if "failed" in m:
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: failed: {m['failed']}")
            elif "rate" in m and m["rate"] < BEHIND * m["rate_asked"]:
                rates = f"{m['rate']:.0f} of {m['rate_asked']:.0f} MiB/s"
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: fell behind: {rates}")
        if disturbed := sum(m["disturbed"] >= DISTURBED for m in self.found.values()):
            lines.append(
                f"{disturbed} of {len(self.found)} measurements were disturbed: other programs used the load's core"
            )
        return lines

    def _cell(self, server: str, scenario: str, value: Callable[[str, str], str]) -> str:
        if server in self.failed:
            return "-"
        failed = any("failed" in m for m in self.measurements if m["server"] == server and m["scenario"] == scenario)
        if not self.values(server, scenario, "cpu_us"):
            return "failed"
        return value(server, scenario) + (" failed" if failed else "")

    def _table(self, title: str, servers: list[str], value: Callable[[str, str], str]) -> str:
        rows = [[title, *self.scenarios]]
        rows += [[server, *(self._cell(server, scenario, value) for scenario in self.scenarios)] for server in servers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def _cost(self, server: str, scenario: str) -> str:
        if server == REFERENCE:
            return f"{median(self.values(server, scenario, 'cpu_us')):.2f} µs"
        ratios = self.ratios(server, scenario)
        return f"{median(ratios):.2f}" if ratios else "no reference"

    def _spread(self, server: str, scenario: str) -> str:
        if server == REFERENCE:
            values = self.values(server, scenario, "cpu_us")
        else:
            values = self.ratios(server, scenario) or [float("nan")]
        return f"{min(values):.2f}-{max(values):.2f}"

    def _busy(self, server: str, scenario: str) -> str:
        return f"{median(self.values(server, scenario, 'busy')):.0%}"

    def _latency(self, server: str, scenario: str) -> str:
        measured = (self.found.get((server, scenario, number)) for number in self.rounds)
        found = [m["latency_us"] for m in measured if m and "latency_us" in m]
        if not found:
            return "-"
        return f"{median(m['p50'] for m in found):.0f} / {median(m['p99'] for m in found):.0f}"

    def markdown(self) -> str:
        facts = self.facts
        versions = ", ".join(f"{module} {version}" for module, version in facts["versions"].items() if version)
        lines = [
            f"{facts['date']}, `{facts['command']}`, {len(self.rounds)} rounds",
            f"{facts['cpu']}, {facts['cores']} cores; {facts['kernel']}; {facts['libc']}; {facts['compiler']}",
            f"{facts['python']}; node {facts['node']}; {versions}",
            f"load average {facts['load_average_before']} before, {facts['load_average_after']} after",
        ]
        measured = [server for server in self.servers if server not in self.failed]
        parts = [
            "# Benchmark results",
            "\n".join(f"* {line}" for line in lines),
            COST,
            self._table("cost", self.servers, self._cost),
            SPREAD,
            self._table("spread", measured, self._spread),
            BUSY,
            self._table("busy", measured, self._busy),
            LATENCY,
            self._table("latency", measured, self._latency),
        ]
        if failures := self.failures():
            parts += ["Failures and remarks", "\n".join(f"* {line}" for line in failures)]
        return "\n\n".join(parts) + "\n"

    def json(self) -> str:
        summary = {
            scenario: {
                server: {
                    "cpu_us": self.values(server, scenario, "cpu_us"),
                    "ratio": self.ratios(server, scenario),
                    "ratio_median": median(self.ratios(server, scenario)) if self.ratios(server, scenario) else None,
                }
                for server in self.servers
                if server not in self.failed
            }
            for scenario in self.scenarios
        }
        content = {
            "facts": self.facts,
            "failures": self.failures(),
            "summary": summary,
            "measurements": self.measurements,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
