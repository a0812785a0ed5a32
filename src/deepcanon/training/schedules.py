"""Learning-rate curves as functions of the step, for `torch`'s LambdaLR.

All but one are plain functions. `Plateau` has a state, which LambdaLR keeps in the checkpoint, as
it does with every callable that is an object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def constant(*, warmup: int = 0) -> Callable[[int], float]:
    """A straight rise over ``warmup`` steps, then 1."""

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else 1.0

    return factor


def cosine(*, steps: int, warmup: int = 0) -> Callable[[int], float]:
    """A straight rise over ``warmup`` steps, then half a cosine from 1 to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    return factor


def step(*, at: Sequence[int], drop: float, warmup: int = 0) -> Callable[[int], float]:
    """A straight rise over ``warmup`` steps, then 1, times ``drop`` from each step of ``at`` on."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return float(drop ** sum(step >= each for each in at))

    return factor


def decay(*, every: int, drop: float, warmup: int = 0) -> Callable[[int], float]:
    """A straight rise over ``warmup`` steps, then 1, times ``drop`` after every so many steps."""

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else float(drop ** (step // every))

    return factor


class Plateau:
    """A straight rise over ``warmup`` steps, then 1, times ``drop`` when an error falls no more.

    That is when ``patience`` measurements in a row, of which `tell` is told, were none of them
    better than the best before by ``least``, a share of it. The new rate takes effect with the
    next step but one.
    """

    def __init__(self, *, drop: float, patience: int, warmup: int = 0, least: float = 1e-4) -> None:
        self.drop, self.patience, self.warmup, self.least = drop, patience, warmup, least
        self.factor = 1.0
        self.best = math.inf
        self.waited = 0

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        return (step + 1) / self.warmup if step < self.warmup else self.factor

    def tell(self, error: float) -> None:
        """Take a measurement in; NaN is no improvement."""
        if error < self.best * (1 - self.least):
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.drop, 0
