"""The table of what is measured: the modules, their sizes, the figures that each gives, and the targets."""

from collections.abc import Callable
from dataclasses import dataclass, field

from peers import C

PAGES = 16  # KiB: what an allocator may shift without keeping anything; a byte for each connection would be 98
QUICK, USUAL, MANY = range(3)


@dataclass(frozen=True)
class Row:
    title: str
    target: str
    cell: Callable[[dict], str]
    met: Callable[[dict], bool]
    noisy: bool = False  # a busy machine changes it


@dataclass(frozen=True)
class Measurement:
    module: str
    rows: tuple[Row, ...]
    timeout: float  # seconds; of one peer in one round
    sizes: dict[str, tuple[int | float, int | float, int | float]] = field(default_factory=dict)  # quick, usual, many
    rounds: int = 1
    times: dict[str, str] = field(default_factory=dict)  # keys of what a noisy machine changes, and their titles
    absent: dict[str, str] = field(default_factory=dict)  # who cannot take part, and why


def count(value: float) -> str:
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def seconds(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.1f}"


def zero(*keys: str) -> Callable[[dict], bool]:
    return lambda found: all(found[key] == 0 for key in keys)


def zeros(*keys: str) -> Callable[[dict], str]:
    return lambda found: ", ".join(count(found[key]) for key in keys)


def survived(found: dict) -> str:
    return f"{found['survived']:.0f} ({found['reached']:.0f} reached)"


def gained_with_error(found: dict) -> str:
    return f"{found['rss_mib']:.0f}{', error' if found['errors'] else ''}"


def taken(found: dict) -> str:
    fuzzed = f", {count(found['fuzz_accepted'])} of {count(found['fuzzed'])} fuzzed" if "fuzzed" in found else ""
    return count(found["accepted"]) + fuzzed


def shut_down(found: dict) -> str:
    told = {0: "no", 1: "once"}.get(found["told"], f"{found['told']:.0f} times")
    return f"{found['cpu_percent']:.0f} %, {count(found['log_lines_per_second'])}, {told}"


MEASUREMENTS = (
    Measurement(
        "faults",
        (
            Row(
                "faults of system calls survived, one injected at a time, of {faults:.0f}",
                "all",
                survived,
                lambda found: found["survived"] == found["faults"],
            ),
        ),
        timeout=600,
        sizes={"count": (6, 48, 48)},
    ),
    Measurement(
        "exhaustion",
        (
            Row(
                "out of descriptors: log lines/s",
                "at most 1",
                lambda found: count(found["log_lines_per_second"]),
                lambda found: found["log_lines_per_second"] <= 1,
            ),
            Row(
                "p99 of an established connection meanwhile, ms",
                "0.6",
                lambda found: milliseconds(found["p99_ms"]),
                lambda found: found["p99_ms"] <= 0.6,
                noisy=True,
            ),
            Row(
                "waiting clients told meanwhile, %",
                "all",
                lambda found: f"{found['told_percent']:.0f}",
                lambda found: found["told_percent"] == 100,
            ),
            Row(
                "recovery after it, s",
                "below 0.01",
                lambda found: seconds(found["recovery_s"]),
                lambda found: found["recovery_s"] < 0.01,
                noisy=True,
            ),
        ),
        timeout=60,
        sizes={"seconds": (0.5, 3.0, 3.0)},
        rounds=5,
        times={"p99_ms": "out of descriptors: p99, ms", "recovery_s": "recovery, s"},
    ),
    Measurement(
        "flood",
        (
            Row(
                "p99 of an established connection in a flood of connects, ms",
                "at most 5",
                lambda found: milliseconds(found["p99_ms"]),
                lambda found: found["p99_ms"] <= 5,
                noisy=True,
            ),
        ),
        timeout=60,
        sizes={"seconds": (0.3, 2.0, 2.0)},
        rounds=5,
        times={"p99_ms": "flood: p99, ms", "connections_per_second": "flood: connects/s"},
    ),
    Measurement(
        "churn",
        (
            Row(
                "{connections:,.0f} connections opened and closed: descriptors left, KiB of RSS gained",
                "0, 0",
                zeros("descriptors", "rss_kib"),
                lambda found: found["descriptors"] == 0 and found["rss_kib"] <= PAGES,
            ),
        ),
        timeout=900,
        sizes={"connections": (2_000, 100_000, 1_000_000)},
    ),
    Measurement(
        "resets",
        (
            Row(
                "{resets:,.0f} resets at random stages: descriptors left, log lines",
                "0, 0",
                zeros("descriptors", "log_lines"),
                zero("descriptors", "log_lines"),
            ),
        ),
        timeout=180,
        sizes={"resets": (500, 20_000, 20_000)},
    ),
    Measurement(
        "bytes_kept",
        (
            Row(
                "bytes lost, doubled or wrong while half of 240 connections are killed; with half-close",
                "0; 0",
                lambda found: f"{count(found['lost'])}; {count(found['lost_half_close'])}",
                zero("lost", "lost_half_close"),
            ),
        ),
        timeout=90,
        sizes={"connections": (20, 240, 240)},
    ),
    Measurement(
        "slow_reader",
        (
            Row(
                "256 MiB offered to a reader that never reads: MiB of RSS gained (cap of serversocket: 16)",
                "the cap, an error",
                gained_with_error,
                # The piece that was refused is in the program's hands.
                lambda found: found["rss_mib"] <= 17.5 and found["errors"] == 1,
            ),
        ),
        timeout=60,
        absent={C: "its program keeps no output: it writes what it has read"},
    ),
    Measurement(
        "idle",
        (
            Row(
                "RSS for an idle connection, KiB ({connections:,.0f} of them)",
                "at most 1.0",
                lambda found: f"{found['rss_kib']:.2f}",
                lambda found: found["rss_kib"] <= 1.0,
            ),
        ),
        timeout=60,
        sizes={"connections": (200, 5000, 5000)},
        rounds=3,
        times={"rss_kib": "idle connection: RSS, KiB"},
    ),
    Measurement(
        "bad_input",
        (
            Row(
                "bad ports and addresses wrongly accepted, of 98",
                "0",
                taken,
                lambda found: found["accepted"] == found["fuzz_accepted"] == 0,
            ),
        ),
        timeout=400,
        sizes={"fuzzed": (2_000, 1_000_000, 1_000_000)},
        absent={C: "takes no address"},
    ),
    Measurement(
        "outside_shutdown",
        (
            Row(
                "listener shut down from outside: CPU, log lines/s, the program told",
                "0 %, 0, once",
                shut_down,
                lambda found: found["cpu_percent"] < 1 and not found["log_lines_per_second"] and found["told"] == 1,
            ),
        ),
        timeout=60,
        sizes={"seconds": (1.0, 2.0, 2.0)},
    ),
    Measurement(
        "raising_handlers",
        (
            Row(
                "handlers that raise, {connections:,.0f} connections: descriptors left, clients hung",
                "0, 0",
                zeros("descriptors", "hung"),
                zero("descriptors", "hung"),
            ),
        ),
        timeout=120,
        sizes={"connections": (30, 600, 600)},
        absent={C: "its handlers cannot raise"},
    ),
    Measurement(
        "forks",
        (
            Row(
                "parent still works after a forked child ended its copy, of 3",
                "3",
                lambda found: f"{found['passed']:.0f}",
                lambda found: found["passed"] == 3,
            ),
        ),
        timeout=90,
        absent={C: "its program does not fork"},
    ),
    Measurement(
        "interrupts",
        (
            Row(
                "SIGINT under load swallowed, of {interrupts:,.0f}",
                "0",
                lambda found: count(found["swallowed"]),
                zero("swallowed"),
            ),
        ),
        timeout=1200,
        sizes={"interrupts": (3, 150, 1000)},
        absent={C: "the system ends it"},
    ),
    Measurement(
        "exits",
        (
            Row(
                "exit with live sockets: bad exits or noise, of {exits:,.0f}",
                "0",
                lambda found: count(found["bad"]),
                zero("bad"),
            ),
        ),
        timeout=180,
        sizes={"exits": (6, 30, 30)},
        absent={C: "has no interpreter to end"},
    ),
    Measurement(
        "batches",
        (
            Row(
                "events delivered to a socket closed earlier in the same batch, of {closed:,.0f}",
                "0",
                lambda found: count(found["late"]),
                zero("late"),
            ),
        ),
        timeout=300,
        sizes={"connections": (1_000, 100_000, 100_000)},
        absent={C: "its program closes no connection but the one it serves"},
    ),
)
