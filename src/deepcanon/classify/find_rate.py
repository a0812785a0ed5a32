"""The learning-rate finder for classifiers: `deepcanon find-rate RECIPE`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import default_collate

from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.task import make_optimizer
from deepcanon.classify.train import prepare
from deepcanon.training import precision
from deepcanon.training.find_rate import Found, sweep


def find_rate(
    recipe: ClassifierRecipe,
    *,
    steps: int,
    least: float,
    most: float,
    quiet: bool,
    advance: Callable[[str], None],
) -> Found:
    """Try rates from ``least`` to ``most`` on the recipe's data, network, optimiser and batch.

    Mixup and the average are left out. ``advance`` is told of each step. Raises BadInput as
    training does, and Failed when the loss falls at no rate.
    """
    prepared = prepare(recipe, quiet=quiet)
    task, samples = prepared.task, prepared.samples
    task.net.train()
    optimizer = make_optimizer(task.net, recipe=recipe)
    half = precision.resolve(recipe.precision) == "bfloat16"
    taken = 0

    def step(rate: float) -> float:
        nonlocal taken
        first = taken * recipe.batch
        pictures, labels = default_collate([samples[first + i] for i in range(recipe.batch)])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = task.judge(pictures, labels).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip:
            nn.utils.clip_grad_norm_(task.net.parameters(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        task.constrain()
        taken += 1
        advance(f"rate {rate:.2g}, loss {loss.item():.3g}")
        return loss.item()

    return sweep(step, steps=steps, least=least, most=most)
