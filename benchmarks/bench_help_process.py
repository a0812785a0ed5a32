"""`deepcanon --help`, the whole process: the aim is less than 0.3 s."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sidebyside import Spread, in_turn, machine, process, table, two_cores

AIM = 0.3
HELP = "deepcanon --help"
COMMAND = "deepcanon stylize --help"
BARE = "python -c pass"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    wanted = parser.parse_args(words)
    two_cores()
    found = in_turn(
        {name: process(_command(name)) for name in (HELP, COMMAND, BARE)},
        rounds=wanted.rounds,
    )
    rows = []
    for name, runs in found.items():
        seconds = Spread.of([run.seconds for run in runs])
        memory = Spread.of([run.megabytes for run in runs])
        rows.append([f"`{name}`", seconds.text(digits=3), f"{memory.middle:.0f}"])
    print(machine("deepcanon", "click"))
    print(f"medians of {wanted.rounds} (least-largest); aim: {HELP} in less than {AIM} s\n")
    print(table(["process", "seconds", "peak MB"], rows))
    return 0


def _command(text: str) -> list[str | Path]:
    """The command that the words stand for in this environment."""
    program, *words = text.split()
    script = Path(sys.executable).with_name("deepcanon")
    if program == "deepcanon" and script.exists():
        return [script, *words]
    module = ["-m", "deepcanon"] if program == "deepcanon" else []
    return [sys.executable, *module, *words]


if __name__ == "__main__":
    sys.exit(main())
