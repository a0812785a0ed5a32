"""What a classifier got right, in numbers: top-k, a table of the classes, the confusion matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepcanon.classify.metrics.explain import Cause
from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput

__all__ = ["ClassScore", "Mistake", "Report", "confusion_matrix", "per_class", "places"]

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.int64]


class ClassScore(NamedTuple):
    """One class: how many pictures it has, which share of them was found (recall), which share of
    what was taken for it is it (precision), and the harmonic mean of the two (F1).

    None where nothing can be said: no picture of the class, or none taken for it.
    """

    name: str
    pictures: int
    recall: float | None
    precision: float | None
    f1: float | None


class Mistake(NamedTuple):
    """So many `pictures` of `shown` were taken for `taken_for`."""

    shown: str
    taken_for: str
    pictures: int


def places(scores: Floats, labels: Labels) -> Labels:
    """The place of the right class among the scores [n, classes] of each picture, 0 for the best.

    Of equal scores the class with the smaller number comes first. Raises `BadInput` for a label
    that is no class, `ValueError` for scores that are not finite numbers.
    """
    count = scores.shape[1]
    _check(labels, count)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number")
    right = np.take_along_axis(scores, labels[:, None], axis=1)
    before = (scores == right) & (np.arange(count) < labels[:, None])
    found: Labels = ((scores > right) | before).sum(axis=1, dtype=np.int64)
    return found


def confusion_matrix(labels: Labels, predicted: Labels, *, classes: int) -> Counts:
    """How many pictures of each class (rows) were taken for each class (columns).

    Raises `BadInput` for a label or a prediction that is no class.
    """
    _check(labels, classes)
    _check(predicted, classes)
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.astype(np.int64).reshape(classes, classes)


def per_class(confusion: Counts, *, names: Sequence[str]) -> list[ClassScore]:
    """The table of the classes, in their order, from a confusion matrix."""
    shown, taken, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    table = []
    for index, name in enumerate(names):
        hits, rows, columns = int(right[index]), int(shown[index]), int(taken[index])
        table.append(
            ClassScore(
                name=name,
                pictures=rows,
                recall=hits / rows if rows else None,
                precision=hits / columns if columns else None,
                f1=2 * hits / (rows + columns) if rows and columns else None,
            )
        )
    return table


def _check(labels: Labels, classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise BadInput(
            f"a picture has the label {wrong[0]}, and the network tells {classes} classes apart",
            hint=f"labels go from 0 to {classes - 1}; those that start at 1 are one too high",
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """The scores of one classifier on one set of pictures, and what they depend on.

    `top` holds the shares for k = 1, and for 5 where there are more than five classes; `loss` is
    the mean cross-entropy in nats of the (averaged) softmax; `confusion` [classes, classes] counts
    pictures by right class (rows) and predicted class (columns). `skipped` are pictures that could
    not be read, with the reason: they are in no number. `seconds` is the whole measurement.
    """

    settings: Mapping[str, Any]
    classes: tuple[str, ...]
    top: Mapping[int, float]
    loss: float
    confusion: Counts
    findings: tuple[Cause, ...]
    skipped: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def count(self) -> int:
        """How many pictures were judged."""
        return int(self.confusion.sum())

    def table(self) -> list[ClassScore]:
        """The classes one by one."""
        return per_class(self.confusion, names=self.classes)

    def mistakes(self, limit: int = 10) -> list[Mistake]:
        """What is mistaken for what most often, at most `limit` of them."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [
            Mistake(self.classes[row], self.classes[column], int(wrong[row, column]))
            for row, column in zip(rows, columns, strict=True)
            if wrong[row, column]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "settings": dict(self.settings),
            "pictures": self.count,
            **{f"top{k}": share for k, share in self.top.items()},
            "loss": self.loss,
            "classes": [each._asdict() for each in self.table()],
            "mistakes": [each._asdict() for each in self.mistakes()],
            "confusion": {"rows": "right class", "counts": self.confusion.tolist()},
            "findings": [each._asdict() for each in self.findings],
            "skipped": [{"picture": name, "error": why} for name, why in self.skipped],
            "seconds": round(self.seconds, 3),
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all. Raises what `write_whole` raises."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        with write_whole(path) as file:
            file.write((text + "\n").encode("utf-8", errors="backslashreplace"))
