"""Learning-rate curves as functions of the step, for `torch`'s LambdaLR.

All but one are plain functions. `Plateau` has a state, which LambdaLR keeps in the checkpoint, as
it does with every callable that is an object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def constant(*, rise: int = 0) -> Callable[[int], float]:
    """A straight rise over ``rise`` steps, then 1."""

    def factor(step: int) -> float:
        return (step + 1) / rise if step < rise else 1.0

    return factor


def cosine(*, steps: int, rise: int = 0) -> Callable[[int], float]:
    """A straight rise over ``rise`` steps, then half a cosine from 1 to 0 at ``steps``."""

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        share = (step - rise) / max(1, steps - rise)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    return factor


def step(*, at: Sequence[int], drop: float, rise: int = 0) -> Callable[[int], float]:
    """A straight rise over ``rise`` steps, then 1, times ``drop`` from each step of ``at`` on."""

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return float(drop ** sum(step >= each for each in at))

    return factor


def decay(*, every: int, drop: float, rise: int = 0) -> Callable[[int], float]:
    """A straight rise over ``rise`` steps, then 1, times ``drop`` after every so many steps."""

    def factor(step: int) -> float:
        return (step + 1) / rise if step < rise else float(drop ** (step // every))

    return factor


class Plateau:
    """A straight rise over ``rise`` steps, then 1, times ``drop`` when an error falls no more.

    That is when ``patience`` measurements in a row, of which `tell` is told, were none of them
    better than the best before by ``least``, a share of it. The new rate takes effect with the
    next step but one.
    """

    def __init__(self, *, drop: float, patience: int, rise: int = 0, least: float = 1e-4) -> None:
        self.drop, self.patience, self.rise, self.least = drop, patience, rise, least
        self.factor = 1.0
        self.best = math.inf
        self.waited = 0

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        return (step + 1) / self.rise if step < self.rise else self.factor

    def tell(self, error: float) -> None:
        """Take a measurement in; NaN is no improvement."""
        if error < self.best * (1 - self.least):
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.drop, 0
