"""Says in time that a run is going wrong: the rate is too high, or nothing is learnt.

Two lines on standard error, once each, and the run goes on: a network without batch norm may stay
at chance for a while and then start to learn.
"""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl

from deepcanon.training.progress import HORIZON, Averages

AFTER = 300  # steps, until which a network may be at chance; half of them in a shorter run
_LEARNT = 0.98  # a loss below this share of chance has learnt something
_RISEN = 1.5  # a loss above so many times chance is no bad luck, if it began lower


class Doubts(pl.Callback):
    """Watches the average of a loss, ``loss``, of which ``chance`` is what guessing costs."""

    def __init__(self, *, averages: Averages, chance: float, quiet: bool) -> None:
        self.averages, self.chance, self.quiet = averages, chance, quiet
        self.told: list[str] = []
        self.first: float | None = None  # the loss that the run began with

    def state_dict(self) -> dict[str, Any]:
        """What was said already is not said again."""
        return {"told": list(self.told), "first": self.first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As it was."""
        self.told = list(state_dict["told"])
        self.first = state_dict.get("first")  # not there in those of earlier versions

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Compare, where enough steps are averaged."""
        step, loss = trainer.global_step, self.averages.values["loss"]
        if self.first is None:
            self.first = loss
        # Where one class has nearly all pictures, guessing costs next to nothing, and every network
        # begins far above it.
        too_high = max(_RISEN * self.chance, self.first)
        after = max(HORIZON, min(AFTER, trainer.max_steps // 2))
        if step >= HORIZON and loss > too_high:
            self._tell(
                "rate",
                f"the loss is {loss:.3g} at step {step}, and guessing costs {self.chance:.3g}",
                hint="the rate is too high: start anew with a tenth of it, or find one with "
                "deepcanon find-rate",
            )
        elif step == after and loss > _LEARNT * self.chance:
            self._tell(
                "chance",
                f"after {step} steps the loss is {loss:.3g}, as if guessed ({self.chance:.3g})",
                hint="if it stays there: are the labels right (deepcanon check-data)? is the rate "
                "(deepcanon find-rate)? a network without batch norm may want a start, or warmup",
            )

    def _tell(self, kind: str, text: str, *, hint: str) -> None:
        if kind not in self.told and not self.quiet:
            self.told.append(kind)
            print(f"\nwarning: {text}\nhint: {hint}", file=sys.stderr, flush=True)
