"""A learning rate to begin with: the range test.

L. N. Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, §3.3,
https://arxiv.org/abs/1506.01186.

The rate grows from step to step and the loss is watched: where it falls fastest, the rate is good;
where it begins to rise, too high. *What differs from the paper*: the rate grows geometrically, not
linearly, over few steps; the loss is averaged; and the steepest fall is taken, where the paper
reads off a range by eye. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from deepcanon.core.chart import Chart, Line, Pixels, Scale, Stroke, draw
from deepcanon.core.errors import Failed

_FADE = 0.9  # share of the average that a step keeps
_WORSE = 3.0  # a loss so many times the best ends the test
_SETTLED = 5  # steps, before which the average says little
_WIDTH = 4  # steps to either side, over which a slope is taken


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rates that were tried, the averaged loss at each, and the rate where it falls fastest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def plot(self, *, title: str) -> Pixels:
        """The curve and the suggestion; uint8 [h, w, 3]."""
        lowest = int(np.argmin(self.losses))
        low = self.losses[lowest]
        # What comes after the lowest loss is shown as far as the axis reaches: it may run away.
        high = max(self.losses[: lowest + 1]) + 0.5 * (self.losses[0] - low)
        after = self.losses[lowest:]
        end = lowest + next((i for i, loss in enumerate(after) if loss > high), len(after))
        chosen = Line(
            name=f"suggested: {self.suggestion:.2g}",
            points=[(self.suggestion, low), (self.suggestion, high)],
            stroke=Stroke.DASHED,
        )
        curve = Line(
            name="loss, averaged",
            points=list(zip(self.rates[:end], self.losses[:end], strict=True)),
        )
        return draw(
            Chart(
                title=title,
                x="learning rate",
                y="loss",
                lines=[curve, chosen],
                x_scale=Scale.LOG,
            )
        )


def sweep(step: Callable[[float], float], *, steps: int, least: float, most: float) -> Found:
    """Call ``step`` (train one step at a rate, give the loss before it) with growing rates.

    Ends early where the loss runs away. Raises Failed when it falls nowhere.
    """
    growth = (most / least) ** (1 / (steps - 1))
    rates: list[float] = []
    losses: list[float] = []
    average, weight = 0.0, 0.0
    for number in range(steps):
        rate = least * growth**number
        loss = step(rate)
        if not math.isfinite(loss):
            break
        average = _FADE * average + (1 - _FADE) * loss
        weight = _FADE * weight + (1 - _FADE)
        rates.append(rate)
        losses.append(average / weight)
        if number > _SETTLED and losses[-1] > _WORSE * min(losses):
            break
    return Found(rates=tuple(rates), losses=tuple(losses), suggestion=steepest(rates, losses))


def steepest(rates: list[float], losses: list[float]) -> float:
    """The rate at which the loss falls fastest, by the logarithm of the rate.

    Only as far as the lowest loss: beyond, it falls from a height that was too high a rate's.
    Raises Failed when the loss falls nowhere.
    """
    end = int(np.argmin(losses)) + 1 if losses else 0
    places = range(_SETTLED, end)
    logs = np.log(rates[:end])
    slopes = {}
    for place in places:
        begin, stop = max(0, place - _WIDTH), min(end, place + _WIDTH + 1)
        if stop - begin > 2:
            slopes[place] = float(np.polyfit(logs[begin:stop], losses[begin:stop], 1)[0])
    best = min(slopes, key=lambda place: slopes[place], default=None)
    if best is None or slopes[best] >= 0:
        raise Failed(
            "the loss falls at no rate",
            hint="begin with lower ones (--least), take more steps (--steps), or look at the data "
            "with deepcanon check-data",
        )
    return rates[best]
