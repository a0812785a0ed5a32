"""Why a score may be at chance although the network is not: what the mistakes have in common.

Each check is a hypothesis that says what would be right instead, tested on the pictures: labels
that are one too high or too low, classes in another order than the network's, one class for nearly
all pictures. A hypothesis is reported only where it explains far more than luck would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Cause", "above_luck", "assignment", "at_chance", "explain"]

Labels = npt.NDArray[np.int64]

_SIGMAS = 4.0  # what luck does less than once in 10,000 sets of pictures
_GAIN = 0.1  # of the pictures: what another order of classes must mend to be worth a word
_NEARLY_ALL = 0.9
_MOST = 0.8  # of what the best order of classes explains: then moving them by one is that order
_SHOWN = 5  # classes named in one line at most


class Cause(NamedTuple):
    """What seems to be wrong, and what to do about it. `kind` is one word for machines."""

    kind: str
    message: str
    hint: str


def above_luck(hits: int, count: int, *, luck: float) -> bool:
    """Whether `hits` of `count` are more than a guess that is right with `luck` would have."""
    if count == 0:
        return False
    return bool(hits / count > luck + _SIGMAS * (luck * (1 - luck) / count) ** 0.5)


def at_chance(labels: Labels, predicted: Labels, *, classes: int) -> bool:
    """Whether the predictions [n] are no better than guesses at the labels [n]."""
    hits = int((labels == predicted).sum())
    return not above_luck(hits, len(labels), luck=1 / classes)


def explain(labels: Labels, predicted: Labels, *, names: Sequence[str]) -> list[Cause]:
    """What the predictions [n] for pictures of the labels [n] look like, where they look wrong.

    Nothing for a network that is merely not good. `names` are those of the classes.
    """
    count, classes = len(labels), len(names)
    if count == 0 or classes < 2:
        return []
    found = _shifted(labels, predicted, classes=classes)
    if not found:
        found = _reordered(labels, predicted, names=names)
    return found or _collapsed(labels, predicted, names=names)


def _shifted(labels: Labels, predicted: Labels, *, classes: int) -> list[Cause]:
    hits = int((labels == predicted).sum())
    luck = max(1 / classes, 2 * hits / len(labels))
    for offset, what, mend in (
        (-1, "one too high", "they seem to start at 1: subtract 1 from each label"),
        (1, "one too low", "a class seems to be missing at the start: add 1 to each label"),
    ):
        shifted = int((labels + offset == predicted).sum())
        if luck >= 1 or not above_luck(shifted, len(labels), luck=luck):
            continue
        # Another order of the classes also moves some of them by one.
        if shifted > _MOST * _hits_in_the_best_order(labels, predicted, classes=classes):
            return [
                Cause(
                    "labels-shifted",
                    f"the labels are {what}: {_share(hits, len(labels))} of the pictures are "
                    f"right, and {_share(shifted, len(labels))} of them with labels moved by one",
                    mend,
                )
            ]
    return []


def _reordered(labels: Labels, predicted: Labels, *, names: Sequence[str]) -> list[Cause]:
    """Fitted on every other picture and tested on the rest: a fit on all would flatter itself."""
    classes = len(names)
    fit, test = slice(0, None, 2), slice(1, None, 2)
    best = assignment(_counts(labels[fit], predicted[fit], classes=classes))
    mended = best[labels[test]]
    total = len(mended)
    before = int((labels[test] == predicted[test]).sum())
    after = int((mended == predicted[test]).sum())
    luck = max(1 / classes, before / total if total else 0)
    if not above_luck(after, total, luck=luck) or after - before < _GAIN * total:
        return []
    moved = [index for index in np.unique(labels) if best[index] != index]
    pairs_said = [f"{names[index]} is taken for {names[best[index]]}" for index in moved[:_SHOWN]]
    rest = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
    return [
        Cause(
            "class-order",
            f"the classes stand in another order than the network's: {', '.join(pairs_said)}{rest};"
            f" put right, {_share(after, total)} of the pictures would be, not "
            f"{_share(before, total)}",
            "name the class folders as the network's record does, or put its labels in order",
        )
    ]


def _hits_in_the_best_order(labels: Labels, predicted: Labels, *, classes: int) -> int:
    counts = _counts(labels, predicted, classes=classes)
    return int(counts[np.arange(classes), assignment(counts)].sum())


def _counts(labels: Labels, predicted: Labels, *, classes: int) -> Labels:
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def _collapsed(labels: Labels, predicted: Labels, *, names: Sequence[str]) -> list[Cause]:
    taken = np.bincount(predicted, minlength=len(names))
    favourite = int(taken.argmax())
    shown = int((labels == favourite).sum())
    if taken[favourite] < _NEARLY_ALL * len(labels) or shown > len(labels) / 2:
        return []
    return [
        Cause(
            "one-class",
            f"{_share(int(taken[favourite]), len(labels))} of the pictures are taken for "
            f"{names[favourite]}",
            "its training collapsed, or it was exported before the statistics of its batch norms "
            "settled",
        )
    ]


def assignment(gain: npt.NDArray[np.integer]) -> Labels:
    """The column for each row of a square matrix, each taken once, with the largest sum.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), O(n³).
    """
    size = len(gain)
    cost = -gain.astype(np.float64)
    # Row and column 0 stand for "none yet", so all is shifted by one.
    row_price, column_price = np.zeros(size + 1), np.zeros(size + 1)
    row_of = np.zeros(size + 1, np.int64)
    for row in range(1, size + 1):
        row_of[0] = row
        column = 0
        least = np.full(size + 1, np.inf)
        came_from = np.zeros(size + 1, np.int64)
        used = np.zeros(size + 1, bool)
        while row_of[column] != 0:
            used[column] = True
            here = row_of[column]
            reach = cost[here - 1] - row_price[here] - column_price[1:]
            closer = ~used[1:] & (reach < least[1:])
            least[1:][closer] = reach[closer]
            came_from[1:][closer] = column
            open_columns = np.where(used, np.inf, least)
            open_columns[0] = np.inf
            following = int(open_columns.argmin())
            step = least[following]
            row_price[row_of[used]] += step
            column_price[used] -= step
            least[~used] -= step
            column = following
        while column != 0:
            previous = came_from[column]
            row_of[column] = row_of[previous]
            column = previous
    best = np.empty(size, np.int64)
    best[row_of[1:] - 1] = np.arange(size)
    return best


def _share(hits: int, count: int) -> str:
    return f"{100 * hits / count:.1f} %"
