"""What happens between two steps: progress, checkpoints, a gentle stop, a look for NaN."""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from deepcanon.core.errors import Failed
from deepcanon.training.resume import LAST, save


class RandomState(pl.Callback):
    """Puts every random generator into the checkpoint, and takes it out again."""

    def state_dict(self) -> dict[str, Any]:
        """The generators of Python, numpy and torch."""
        kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)  # type: ignore[misc]
        return {
            "python": random.getstate(),
            "numpy": (kind, torch.from_numpy(keys.copy()), place, has_gauss, gauss),
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue each generator where it stood."""
        version, words, gauss = state_dict["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, place, has_gauss, normal = state_dict["numpy"]
        np.random.set_state((kind, keys.numpy(), place, has_gauss, normal))
        torch.set_rng_state(state_dict["torch"])


class StopGently(pl.Callback):
    """Checkpoints every so many steps, at the end, and on the first Ctrl-C (after its step)."""

    def __init__(self, folder: Path, *, every: int, recipe: dict[str, Any]) -> None:
        self.folder, self.every, self.recipe = folder, every, recipe
        self._before: Any = None
        self._asked = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on the first Ctrl-C only asks; the second one interrupts at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            self._asked = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            print("stopping after this step; Ctrl-C again stops at once", file=sys.stderr)

        try:
            self._before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread: there is no Ctrl-C to catch
            self._before = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """A checkpoint where one is due."""
        done = trainer.global_step >= (trainer.max_steps or 0)
        if self._asked or done or trainer.global_step % self.every == 0:
            save(trainer, self.folder / LAST, recipe=self.recipe)
        if self._asked:
            trainer.should_stop = True

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class StopOnNaN(pl.Callback):
    """Ends a run whose loss is no number, naming the step, before it poisons a checkpoint."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Look at the step's loss."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and not bool(torch.isfinite(loss).all()):
            raise Failed(
                f"the loss became {loss.item()} at step {trainer.global_step}",
                hint="the last checkpoint is sound: resume it with a lower learning rate",
            )


class Progress(pl.Callback):
    """One line on a terminal, rewritten; a line every 100 steps elsewhere; nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.start = 0.0
        self.first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.start, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Step, losses, time left."""
        if self.quiet:
            return
        terminal, step = sys.stderr.isatty(), trainer.global_step
        steps = trainer.max_steps
        if not terminal and step % 100 and step != steps:
            return
        each = (time.monotonic() - self.start) / max(1, step - self.first)
        losses = "  ".join(
            f"{name} {float(value):.4g}"
            for name, value in trainer.callback_metrics.items()
            if not name.endswith("_step")
        )
        left = int(each * (steps - step))
        line = (
            f"step {step}/{steps}  {losses}  {each:.2f} s a step, {left // 60}:{left % 60:02d} left"
        )
        print(
            f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr
        )
        if terminal and step == steps:
            print(file=sys.stderr)
        sys.stderr.flush()
