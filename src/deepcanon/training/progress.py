"""How a run is doing: averaged losses, a line for people, a table for later."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from deepcanon.core.atomic import write_whole

HORIZON = 50  # steps: one batch's loss says little
EVERY = 25  # steps between two rows of the table
_FEW = 10  # steps, after which it can be told how long a run will take


class Averages(pl.Callback):
    """Averages over the last steps of what a task logs; part of the checkpoint."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def state_dict(self) -> dict[str, Any]:
        """Averages, and how many steps each has seen."""
        return {"values": dict(self.values), "counts": dict(self._counts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on averaging."""
        self.values, self._counts = dict(state_dict["values"]), dict(state_dict["counts"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Take this step in: a plain mean at first, later a fading one."""
        for name, value in trainer.callback_metrics.items():
            if name.endswith("_step"):  # Lightning's second name for what is logged twice
                continue
            count = min(self._counts.get(name, 0) + 1, HORIZON)
            before = self.values.get(name, 0.0)
            self.values[name] = before + (float(value) - before) / count
            self._counts[name] = count


class Table(pl.Callback):
    """Writes the averages as a CSV file that a resumed run continues."""

    def __init__(self, path: Path, *, averages: Averages) -> None:
        self.path, self.averages = path, averages
        self.rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows up to the checkpoint; an interrupted run may have written later ones."""
        if trainer.global_step and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("step", "").isdigit()]
            self.rows = [row for row in rows if int(row["step"]) <= trainer.global_step]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """A row where one is due."""
        step = trainer.global_step
        if step % EVERY and step != trainer.max_steps:
            return
        self.rows.append({"step": step, **self.averages.values})
        text = io.StringIO(newline="")
        columns = dict.fromkeys(name for row in self.rows for name in row)
        table = csv.DictWriter(text, [*columns], restval="")
        table.writeheader()
        table.writerows(self.rows)
        with write_whole(self.path) as file:
            file.write(text.getvalue().encode())


class Progress(pl.Callback):
    """One line on a terminal, rewritten; elsewhere one every 100 steps; nothing when quiet.

    Elsewhere there is one after the first few steps too: it says how long the run will take.
    """

    def __init__(self, *, averages: Averages, quiet: bool) -> None:
        self.averages, self.quiet = averages, quiet
        self.start = 0.0
        self.first = 0
        self._unfinished = False  # whether the cursor stands behind a line that may be rewritten

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Step, losses, time left."""
        if self.quiet:
            return
        step, steps = trainer.global_step, trainer.max_steps
        terminal = sys.stderr.isatty()
        if not terminal and step % 100 and step not in (self.first + _FEW, steps):
            return
        each = (time.monotonic() - self.start) / max(1, step - self.first)
        text = line(step, steps, losses=self.averages.values, seconds=each)
        if not terminal:
            say(text)
            return
        # A line that the terminal wraps could not be rewritten.
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)
        self._unfinished = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the line to itself."""
        if self._unfinished:
            print(file=sys.stderr, flush=True)
            self._unfinished = False

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """The same, before an error is told."""
        self.on_train_end(trainer, pl_module)


def say(text: str) -> None:
    """A line for whoever waits, on standard error."""
    print(text, file=sys.stderr, flush=True)


def line(step: int, steps: int, *, losses: Mapping[str, float], seconds: float) -> str:
    """``step 20/100  style 0.5  0.25 s a step, 0:20 left``."""
    shown = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
    minutes, rest = divmod(round(seconds * (steps - step)), 60)
    left = f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:00"
    return f"step {step}/{steps}  {shown}  {seconds:.2f} s a step, {left} left"
