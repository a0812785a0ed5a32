"""How a network learnt, and what follows of it: curves, claims, a verdict. No torch.

Errors are shares of pictures, 0 to 1. *Running* is the training error of the batches as they are
trained on: augmented, with dropout, by a network that changes meanwhile. *At the end* is that of
the finished network in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

__all__ = [
    "Claim",
    "Curve",
    "End",
    "Point",
    "below",
    "diverged",
    "first_at",
    "margin",
    "percent",
    "verdict",
]


class Point(NamedTuple):
    """An error after so many steps, and seconds of training (without those of measuring)."""

    step: int
    seconds: float
    error: float


class End(StrEnum):
    """Why a contestant trained no further."""

    STEPS = "all steps"
    GOAL = "reached the goal"
    DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is known of one contestant."""

    parameters: int
    multiply_adds: int  # of one picture
    end: End
    running: Sequence[Point]  # means since the point before
    held_out: Sequence[Point]  # on the pictures that are watched
    train_error: float | None  # at the end; None: it diverged
    held_out_error: float | None  # at the end, on all pictures that were held out

    @property
    def late(self) -> float:
        """The running error over the last tenth of the steps; infinite if it diverged."""
        if self.end is End.DIVERGED or not self.running:
            return math.inf
        last = self.running[-1].step
        found = [point.error for point in self.running if point.step > 0.9 * last]
        return sum(found) / len(found)

    @property
    def judged(self) -> float:
        """The held-out error at the end; infinite if it diverged."""
        return math.inf if self.held_out_error is None else self.held_out_error

    @property
    def gap(self) -> float:
        """How much worse it does on what it has not seen; infinite if it diverged."""
        return math.inf if self.train_error is None else self.judged - self.train_error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "end": self.end.value,
            "running": [list(point) for point in self.running],
            "held_out": [list(point) for point in self.held_out],
            "train_error": self.train_error,
            "held_out_error": self.held_out_error,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Curve:
        """The inverse. Raises KeyError, TypeError or ValueError for something else."""
        return cls(
            parameters=content["parameters"],
            multiply_adds=content["multiply_adds"],
            end=End(content["end"]),
            running=[Point(*each) for each in content["running"]],
            held_out=[Point(*each) for each in content["held_out"]],
            train_error=content["train_error"],
            held_out_error=content["held_out_error"],
        )


class Claim(NamedTuple):
    """A sentence of the paper as it can be checked here, and what was seen."""

    text: str
    holds: bool
    seen: str


def first_at(points: Sequence[Point], error: float) -> Point | None:
    """Where a curve first is at ``error`` or below; None for never."""
    return next((point for point in points if point.error <= error), None)


def margin(first: float, second: float, *, count: int) -> float:
    """Two standard errors of the difference of two shares, each of ``count`` pictures.

    What is closer together may be chance. Another seed moves a network by more than this counts.
    """
    if not math.isfinite(first + second):
        return 0.0
    return 2 * math.sqrt((first * (1 - first) + second * (1 - second)) / count)


def below(better: float, worse: float, *, count: int) -> bool:
    """Whether an error is lower than another, by more than `margin`; not where one is infinite."""
    there = math.isfinite(better + worse)
    return there and worse - better > margin(better, worse, count=count)


def diverged(curves: Mapping[str, Curve]) -> list[Claim]:
    """What is to be said, in place of all else, of contestants that ought not to diverge and did.

    A curve of theirs may have no point at all.
    """
    lost = [name for name, curve in curves.items() if curve.end is End.DIVERGED]
    return [Claim(f"{name} trains to the end", False, "diverged") for name in lost]


def percent(share: float) -> str:
    """0.3456 -> "34.6 %"."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "none: diverged"


def verdict(claims: Sequence[Claim]) -> str:
    """ "reproduced", or what was not."""
    failed = [f"{claim.text} ({claim.seen})" for claim in claims if not claim.holds]
    if not failed:
        return "reproduced"
    return f"not reproduced at this scale: {'; '.join(failed)}"
