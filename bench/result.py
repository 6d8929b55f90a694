"""What was measured: the machine, the rounds of a run, and the summary of them that is kept."""

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from harness import DISTURBED
from peers import REFERENCE, Scenario, Server

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


class Spread(NamedTuple):
    """What several rounds come to."""

    least: float
    lower: float  # quartile
    median: float
    upper: float  # quartile
    greatest: float


def spread(values: list[float]) -> Spread | None:
    if not values:
        return None
    quartiles = quantiles(values * 2 if len(values) == 1 else values, n=4, method="inclusive")
    return Spread(*map(short, (min(values), *quartiles, max(values))))


def short(value: float) -> float:
    return float(f"{value:.7g}")


@dataclass(frozen=True)
class Figures:
    """One server in one scenario. The ratio is to the reference in the same round, the growth over the server's own
    cost in the scenario's base."""

    rounds: int  # in which it was measured
    cost: Spread  # µs for an operation
    busy: float  # part of the time that the server's core worked
    ratio: Spread | None = None
    growth: float | None = None
    latency: dict[str, float] = field(default_factory=dict)  # µs, by percentile


@dataclass(frozen=True)
class Rounds:
    """All that one run has measured."""

    facts: dict
    scenarios: dict[str, Scenario]
    servers: list[str]
    failed: dict[str, str]  # servers that were not measured at all, and why
    measurements: list[dict]

    def summary(self) -> "Summary":
        found = {(m["server"], m["scenario"], m["round"]): m for m in self.measurements if "failed" not in m}
        numbers = sorted({m["round"] for m in self.measurements})

        def costs(server: str, scenario: str) -> dict[int, float]:
            return {n: m["cpu_us"] for n in numbers if (m := found.get((server, scenario, n)))}

        def figures(server: str, scenario: str) -> Figures | None:
            taken = [m for n in numbers if (m := found.get((server, scenario, n)))]
            if not taken:
                return None
            cost = costs(server, scenario)
            growth = against(cost, costs(server, base)) if (base := self.scenarios[scenario].base) else []
            latencies = [m["latency_us"] for m in taken if "latency_us" in m]
            return Figures(
                rounds=len(taken),
                cost=spread(list(cost.values())),
                busy=short(median(m["busy"] for m in taken)),
                ratio=spread(against(cost, costs(REFERENCE, scenario))),
                growth=short(median(growth)) if growth else None,
                latency={name: short(median(each[name] for each in latencies)) for name in PERCENTILES if latencies},
            )

        return Summary(
            self.facts,
            len(numbers),
            list(self.scenarios),
            self.failed,
            self._remarks(),
            self._disturbance(),
            {
                server: {scenario: it for scenario in self.scenarios if (it := figures(server, scenario))}
                for server in self.servers
                if server not in self.failed
            },
        )

    def _remarks(self) -> list[str]:
        lines = [f"{server}: {reason}" for server, reason in self.failed.items()]
        for m in self.measurements:
            if "failed" in m:
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: failed: {m['failed']}")
            elif "rate" in m and m["rate"] < BEHIND * m["rate_asked"]:
                rates = f"{m['rate']:.0f} of {m['rate_asked']:.0f} MiB/s"
                lines.append(f"{m['server']}, {m['scenario']}, round {m['round']}: fell behind: {rates}")
        return lines

    def _disturbance(self) -> str:
        good = [m for m in self.measurements if "failed" not in m]
        disturbed = sum(m["disturbed"] >= DISTURBED for m in good)
        return f"{disturbed} of {len(good)} measurements were disturbed" if disturbed else ""

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(self.measurements, indent=1) + "\n", encoding="utf-8")


def against(costs: dict[int, float], others: dict[int, float]) -> list[float]:
    """The ratios of the rounds that both have."""
    return [cost / others[number] for number, cost in costs.items() if number in others]


@dataclass(frozen=True)
class Summary:
    """What the tables and the pictures show."""

    facts: dict
    rounds: int
    scenarios: list[str]
    failed: dict[str, str]
    remarks: list[str]
    disturbance: str  # how many measurements other programs have disturbed; empty where none
    servers: dict[str, dict[str, Figures]]  # in the order of the table, those that were measured; by scenario

    def figures(self, server: str, scenario: str) -> Figures | None:
        return self.servers.get(server, {}).get(scenario)

    def save(self, file: Path) -> None:
        """A line for each server."""
        content = asdict(self, dict_factory=lambda pairs: {name: value for name, value in pairs if value is not None})
        servers = content.pop("servers")
        lines = [f" {dumped(name)}: {dumped(value)}" for name, value in content.items()]
        rows = ",\n".join(f"  {dumped(server)}: {dumped(scenarios)}" for server, scenarios in servers.items())
        lines.append(f' "servers": {{\n{rows}\n }}')
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> "Summary":
        content = json.loads(file.read_text(encoding="utf-8"))
        content["servers"] = {
            server: {scenario: figures_of(values) for scenario, values in scenarios.items()}
            for server, scenarios in content["servers"].items()
        }
        return cls(**content)


def dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def figures_of(values: dict) -> Figures:
    return Figures(**values | {name: Spread(*values[name]) for name in ("cost", "ratio") if name in values})
