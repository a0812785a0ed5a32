"""Labelled pictures that a network of one layer tells apart, and curves to judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcanon.reproduce.curves import Curve, End, Point


def two_classes(path: Path, *, train: int = 24, test: int = 12, side: int = 32) -> Path:
    """An .npz of dark (class 0) and bright (class 1) noise, in turn."""
    random = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 2
        noise = random.integers(0, 90, (count, side, side, 3))
        arrays[f"{name}_images"] = (noise + 160 * labels[:, None, None, None]).astype(np.uint8)
        arrays[f"{name}_labels"] = labels
    np.savez(path, **arrays)
    return path


def curve(
    running: Sequence[float],
    held_out: Sequence[float] = (),
    *,
    train_error: float | None = 0.1,
    held_out_error: float | None = 0.2,
    end: End = End.STEPS,
    every: int = 10,
    seconds: float = 1.0,
) -> Curve:
    """Points ``every`` so many steps, each of which took ``seconds``."""

    def points(errors: Sequence[float]) -> list[Point]:
        steps = [(place + 1) * every for place in range(len(errors))]
        return [
            Point(step, step * seconds, error) for step, error in zip(steps, errors, strict=True)
        ]

    return Curve(
        parameters=10,
        multiply_adds=20,
        end=end,
        running=points(running),
        held_out=points(held_out),
        train_error=train_error,
        held_out_error=held_out_error,
    )
