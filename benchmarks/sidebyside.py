"""Ours and the peer in turn, in one run: timing, ratios pair by pair, tables in Markdown.

This module and the scripts that start processes import nothing heavy: Linux counts the size of a
process that starts another into the other's peak memory.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, TypeVar

Sample = TypeVar("Sample")

THREADS = 2
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# What no user has set: threads (how many processors there are is told by `two_cores` all the same),
# and that modules be compiled anew in each process, as those that pip installed are not.
_UNUSUAL = (*_THREAD_VARIABLES, "PYTHONDONTWRITEBYTECODE")


class Process(NamedTuple):
    """What a whole process cost: wall seconds, and its largest resident memory in MB."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Spread:
    """Least, median and largest of some figures."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """The spread of one figure or more."""
        return cls(min(figures), statistics.median(figures), max(figures))

    def text(self, unit: float = 1.0, *, digits: int = 2) -> str:
        """ "0.71 (0.68-0.80)", each figure divided by `unit`."""
        low, middle, high = (
            f"{figure / unit:.{digits}f}" for figure in (self.low, self.middle, self.high)
        )
        return f"{middle} ({low}-{high})"


def two_cores(threads: int = THREADS) -> None:
    """Let this process, and those it starts, have as many processors as threads, and say so."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def in_turn(
    contenders: Mapping[str, Callable[[], Sample]],
    *,
    rounds: int,
    warm_up: int = 1,
    rest: float = 0.0,
) -> dict[str, list[Sample]]:
    """Call every contender once a round, in another order each round; the first ones are dropped.

    `rest` seconds pass before each call: threads that spin after a run would slow the next one.
    """
    names = list(contenders)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    for round_ in range(warm_up + rounds):
        shift = round_ % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(rest)
            sample = contenders[name]()
            if round_ >= warm_up:
                found[name].append(sample)
    return found


def seconds(call: Callable[[], object]) -> Callable[[], float]:
    """How long a call takes, as a contender; an untimed call goes before, to warm the caches."""

    def timed() -> float:
        call()
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return timed


def process(command: Sequence[str | Path]) -> Callable[[], Process]:
    """A whole process as a contender, in the environment that a user has.

    Raises RuntimeError, with what it said, when it fails.
    """
    usual = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}

    def started() -> Process:
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(word) for word in command],
            env=usual,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stderr is not None
        said = child.stderr.read()  # at its end the process is, too
        _, status, used = os.wait4(child.pid, 0)
        elapsed = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stderr.close()
        if child.returncode != 0:
            raise RuntimeError(f"{command}: {said.decode(errors='replace')}")
        unit = 1 if platform.system() == "Darwin" else 1024  # of ru_maxrss, in bytes
        return Process(elapsed, used.ru_maxrss * unit / 1e6)

    return started


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours / theirs, round by round."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])


def machine(*packages: str) -> str:
    """Processor, processors used, Python and the packages that matter, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [
        _processor(),
        f"{cores} of {os.cpu_count()} cores",
        f"Python {platform.python_version()}",
    ]
    return ", ".join([*parts, *(f"{name} {_version(name)}" for name in packages)])


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, *rows]]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
