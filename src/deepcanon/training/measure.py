"""Measuring a network while it is trained: every so many steps, and after the last one."""

from __future__ import annotations

from typing import Any, Protocol

import pytorch_lightning as pl

from deepcanon.training.progress import Averages


class Measured(Protocol):
    """A task that can say how good its network is by now."""

    def measure(self) -> dict[str, float]:
        """Name -> value, say of the pictures that were kept out; draws no random number."""


class Measure(pl.Callback):
    """Asks a task that is `Measured`, and hands the values to what is shown and stored.

    They are no averages and stand beside them under their own names until the next time. With
    several processes the first one measures, and the others hear of it.
    """

    def __init__(self, *, every: int, averages: Averages) -> None:
        self.every, self.averages = every, averages

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Measure where it is due."""
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        found = pl_module.measure() if trainer.is_global_zero else {}  # type: ignore[operator]
        if trainer.world_size > 1:
            found = trainer.strategy.broadcast(found)
        pl_module.hear(found)  # type: ignore[operator]
        self.averages.values.update(found)
        if trainer.logger is not None:
            trainer.logger.log_metrics(found, step)
