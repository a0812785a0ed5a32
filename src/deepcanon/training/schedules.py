"""Learning-rate curves as plain functions of the step, for `torch`'s LambdaLR."""

from __future__ import annotations

import math
from collections.abc import Callable


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
