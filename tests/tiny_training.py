"""A task that everything happens to which a resumed run can get wrong, and ways to stop it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from deepcanon.training import schedules
from deepcanon.training.fit import Run, fit
from deepcanon.training.resume import read

STEPS = 6
RECIPE = {"steps": STEPS, "photos": "photos", "weights": {"style": 1.0, "content": 0.5}}


class TinyTask(pl.LightningModule):
    """Draws from every random generator, has buffers, and averages its weights after each step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1)
        )
        self.average = nn.Buffer(torch.zeros(4, 3))
        self.seen: list[list[float]] = []

    def training_step(self, batch: Tensor, step: int) -> Tensor:
        self.seen.append(batch[:, 0].tolist())
        noise = torch.randn(()) + np.random.rand() + random.random()
        loss = (self.net(batch) + noise).square().mean()
        self.log_dict({"loss": loss})
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.lerp_(self.net[0].weight.detach(), 0.3)  # type: ignore[arg-type]
        torch.rand(3)  # a task may look at its weights, and draw

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        shape = LambdaLR(optimizer, schedules.cosine(steps=STEPS, warmup=2))
        return [optimizer], [{"scheduler": shape, "interval": "step"}]


class Numbers:
    """Sample ``index`` is three numbers, the first of them ``index``."""

    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([float(index), float(index % 3), 1.0])


class At(pl.Callback):
    """Calls something when so many steps are taken."""

    def __init__(self, step: int, call: Callable[[pl.Trainer], object]) -> None:
        self.step, self.call = step, call

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        torch.rand(1)  # a preview may draw, too
        if trainer.global_step == self.step:
            self.call(trainer)


def press_ctrl_c(trainer: pl.Trainer) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def crash(trainer: pl.Trainer) -> None:
    raise RuntimeError("the power went")


def train(
    folder: Path,
    *,
    resume: bool = False,
    task: pl.LightningModule | None = None,
    recipe: dict[str, Any] = RECIPE,
    inputs: dict[str, str] | None = None,
    at: At | None = None,
    every: int = 100,
    quiet: bool = True,
) -> bool:
    """`fit` with the tiny task; a callback that does nothing when none is given."""
    run = Run(folder=folder, steps=STEPS, batch=2, seed=5, checkpoint_every=every, quiet=quiet)
    return fit(
        task if task is not None else TinyTask(),
        Numbers(),
        run=run,
        recipe=recipe,
        inputs=inputs,
        resume=resume,
        callbacks=[at or At(-1, crash)],
    )


def assert_same_state(one: Path, two: Path) -> None:
    """Weights, averages, optimiser, schedule and random generators, to the last bit."""
    first, second = read(one), read(two)
    assert first["global_step"] == second["global_step"]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks"):
        _assert_same(first[part], second[part], where=part)


def _assert_same(one: Any, two: Any, *, where: str) -> None:
    assert type(one) is type(two), where
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            _assert_same(one[key], two[key], where=f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), where
        for place, (a, b) in enumerate(zip(one, two, strict=True)):
            _assert_same(a, b, where=f"{where}.{place}")
    elif isinstance(one, Tensor):
        assert one.dtype == two.dtype and torch.equal(one, two), where
    else:
        assert one == two, where
