"""Descents against the clock: who is how low how soon, as one judge measures them all.

A `Track` is a descent with the pictures it passed, a `Curve` what a judge makes of those when the
clock has stopped. L-BFGS without a line search does not fall at each iteration, so on a curve the
best picture so far counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.style.repaint import LBFGS, Adam, Objective, descend

__all__ = ["Curve", "Track", "judged", "timed"]

Picture = Float[Tensor, "1 3 h w"]


@dataclass(frozen=True, kw_only=True)
class Track:
    """The pictures after some `iterations` of a descent, and the seconds each of them came at.

    `each` is how long every single iteration took.
    """

    iterations: list[int]
    seconds: list[float]
    pictures: list[Picture]
    each: list[float]

    def then(self, other: Track, *, at: int) -> Track:
        """This track up to iteration `at`, which must be one of its own, and `other` from there."""
        here = self.iterations.index(at)
        return Track(
            iterations=self.iterations[:here] + [at + each for each in other.iterations],
            seconds=self.seconds[:here] + [self.seconds[here] + each for each in other.seconds],
            pictures=self.pictures[:here] + other.pictures,
            each=self.each[:at] + other.each,
        )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The judge's loss of the best picture so far, at iterations and seconds of a track."""

    iterations: list[int]
    seconds: list[float]
    losses: list[float]

    def points(self) -> Iterator[tuple[int, float, float]]:
        """(iteration, seconds, loss), one after the other."""
        return zip(self.iterations, self.seconds, self.losses, strict=True)

    def at(self, iteration: int) -> tuple[float, float]:
        """(seconds, loss) at an iteration that was kept."""
        place = self.iterations.index(iteration)
        return self.seconds[place], self.losses[place]

    def reaches(self, loss: float) -> tuple[int, float] | None:
        """(iteration, seconds) of the first picture that is as good; None: none is."""
        for iteration, seconds, found in self.points():
            if found <= loss:
                return iteration, seconds
        return None


def timed(
    start: Picture,
    objective: Callable[[], Objective],
    *,
    optimiser: LBFGS | Adam,
    iterations: int,
    keep: Iterable[int],
    on_step: Callable[[int], None] | None = None,
) -> Track:
    """Descend from `start` and keep the pictures after the iterations `keep` (0 is the start).

    The clock starts before ``objective()`` is made, targets and all, and stands while
    ``on_step(iteration)`` is told. Raises what `repaint.descend` raises.
    """
    kept = set(keep)
    track = Track(iterations=[], seconds=[], pictures=[], each=[])
    began = time.perf_counter()
    steps = descend(start, objective(), optimiser=optimiser, iterations=iterations)
    clock = time.perf_counter() - began
    picture = start
    for done in range(iterations + 1):
        if done > 0:
            began = time.perf_counter()
            picture = next(steps).picture
            track.each.append(time.perf_counter() - began)
            clock += track.each[-1]
            if on_step is not None:
                on_step(done)
        if done in kept:
            track.iterations.append(done)
            track.seconds.append(clock)
            track.pictures.append(picture)
    return track


def judged(track: Track, judge: Objective) -> Curve:
    """What `judge` says of the pictures of a track, clipped to 0..1."""
    best, losses = float("inf"), []
    with torch.no_grad():
        for picture in track.pictures:
            best = min(best, judge(picture.clamp(0, 1)).total.item())
            losses.append(best)
    return Curve(iterations=track.iterations, seconds=track.seconds, losses=losses)
