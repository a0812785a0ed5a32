"""The pictures that all contestants of `contest` are trained on and judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepcanon.classify.augment import Augmentation, longest_short_side
from deepcanon.classify.data.pictures import Kept, Labels, Picked, Pictures
from deepcanon.classify.data.sources import held_back, open_source
from deepcanon.classify.train import measured
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import Preprocessing

__all__ = ["SIDE", "Shared", "even", "open_shared"]

SIDE = 32  # pixels, CIFAR's
_WATCHED = 1000  # held-out pictures that are measured on while a contestant is trained
_JUDGED = 10_000  # held-out pictures at the end
_SEEN = 2000  # training pictures at the end


class Shared(NamedTuple):
    """What all contestants share."""

    name: str
    classes: int
    train: Kept
    seen: Pictures  # some of `train`, measured on at the end
    judged: Pictures
    watched: Pictures  # some of `judged`
    preprocessing: Preprocessing

    @property
    def how(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {**self.preprocessing.to_dict(), "side": SIDE, "resize": SIDE}


def open_shared(data: str | Path, *, count: int, seed: int) -> Shared:
    """The pictures of `data`, of which up to `count` are trained on.

    Raises BadInput where `open_source` does, and for data without a training picture.
    """
    source = open_source(data)
    if not len(source.train):
        raise BadInput(f"{data} has no picture to train on", hint="add some to train/")
    train, held_out = source.train, source.val
    if not len(held_out):
        held = held_back(train.labels, one_in=10, seed=seed)
        train, held_out = Picked(train, np.flatnonzero(~held)), Picked(train, np.flatnonzero(held))
    used = Kept(
        Picked(train, even(train.labels, count=count, seed=seed)),
        short_side=longest_short_side(Augmentation.CIFAR, side=SIDE),
    )
    judged = Kept(Picked(held_out, even(held_out.labels, count=_JUDGED, seed=seed)))
    return Shared(
        name=source.name,
        classes=len(source.classes),
        train=used,
        seen=Picked(used, range(min(_SEEN, len(used)))),
        judged=judged,
        watched=Picked(judged, range(min(_WATCHED, len(judged)))),
        preprocessing=measured(used),
    )


def even(labels: Labels, *, count: int, seed: int) -> NDArray[np.int64]:
    """Places of up to ``count`` labels, drawn in turn from each class that has some left."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turns = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        ours = labels[order] == label
        turns[ours] = np.arange(ours.sum())
    return order[np.argsort(turns, kind="stable")][:count]
