"""How good a classifier is on labelled pictures, as exported: bytes in, class scores out. No torch.

Whoever reads "0.1 %" wants to know why. A score at chance is therefore looked into: `explain` tests
what the mistakes have in common, and the pictures are prepared in the other ways that networks are
known to want, in case the record does not say what the network was trained with. A file whose nodes
compute as in training is told of whatever the score.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepcanon.classify.crops import Crops
from deepcanon.classify.data.pictures import Pictures, Pixels, Source
from deepcanon.classify.metrics.explain import Cause, above_luck, at_chance, explain
from deepcanon.classify.metrics.report import Report, confusion_matrix, places
from deepcanon.classify.predict import Classifier
from deepcanon.core.errors import BadInput
from deepcanon.core.onnx_file import open_onnx
from deepcanon.nn.preprocessing import CAFFE, INCEPTION, TORCHVISION, Preprocessing

__all__ = ["Split", "evaluate", "match_classes"]

Labels = npt.NDArray[np.int64]

_TRIED = 200  # pictures for each other way to prepare them
_TOP = 5
_LEAST = 1e-12  # a softmax of zero would make the loss infinite
_OTHERS = (
    TORCHVISION,
    CAFFE,
    INCEPTION,
    Preprocessing(name="0 to 1", order="RGB", scale=1.0, mean=(0.0, 0.0, 0.0)),
    Preprocessing(name="0 to 255", order="RGB", scale=255.0, mean=(0.0, 0.0, 0.0)),
)


class Split(StrEnum):
    """The pictures that training left out, or those it saw."""

    VAL = "val"
    TRAIN = "train"


class _Judged(NamedTuple):
    """What was found picture by picture; those that could not be read are in `skipped` alone."""

    labels: Labels
    predicted: Labels
    places: Labels  # of the right class, 0 the best
    losses: npt.NDArray[np.float64]
    skipped: tuple[tuple[str, str], ...]


def evaluate(
    model: Classifier | str | Path,
    source: Source,
    *,
    crops: Crops = Crops.ONE,
    split: Split = Split.VAL,
    count: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Report:
    """Judge a classifier by the pictures of a data set, or by `count` of them, evenly spread.

    ``on_step(name)`` is told of each picture. A picture that cannot be read is passed over and
    named in the report. Raises `BadInput` where the classes are not the network's (see
    `match_classes`), where there is no picture to judge by, and as `Classifier` does.
    """
    began = time.perf_counter()
    classifier = model if isinstance(model, Classifier) else Classifier(model)
    classifier.check_crops(crops)
    classes, findings = match_classes(source.classes, classifier)
    pictures = source.val if split is Split.VAL else source.train
    chosen = _spread(pictures, count, source=source, split=split)
    judged = _judge(classifier, pictures, chosen, classes=classes, crops=crops, on_step=on_step)
    if not judged.labels.size:
        raise BadInput(
            f"not one picture of {source.name} can be read: {judged.skipped[0][1]}",
            hint="deepcanon check-data lists all that are damaged",
        )
    findings += _why(classifier, pictures, chosen, judged, classes=classes)
    names = classifier.classes
    tops = (1, _TOP) if len(names) > _TOP else (1,)
    return Report(
        settings=_settings(classifier, source, crops=crops, split=split),
        classes=names,
        top={k: float((judged.places < k).mean()) for k in tops},
        loss=float(judged.losses.mean()),
        confusion=confusion_matrix(judged.labels, judged.predicted, classes=len(names)),
        findings=tuple(findings),
        skipped=(*source.skipped, *judged.skipped),
        seconds=time.perf_counter() - began,
    )


def match_classes(classes: Sequence[str], classifier: Classifier) -> tuple[Labels, list[Cause]]:
    """The network's class for each class of the data: by name where the network knows them all.

    Where it knows none of them and there are as many, by position, which is a finding to tell of
    (unless the network names no classes). Raises `BadInput` otherwise, naming what it lacks.
    """
    known = {_plain(name): index for index, name in enumerate(classifier.classes)}
    found = [known.get(_plain(name)) for name in classes]
    by_name = [index for index in found if index is not None]
    if len(by_name) == len(classes):
        return np.array(by_name, np.int64), []
    mute = not classifier.record.labels
    if len(classes) == len(classifier.classes) and (mute or not by_name):
        note = Cause(
            "class-names",
            f"none of the classes is named as in the network ({classes[0]}; "
            f"{classifier.classes[0]}), so they are matched by their order",
            "name the class folders as the network's record does",
        )
        return np.arange(len(classes)), [] if mute else [note]
    lacking = [name for name, index in zip(classes, found, strict=True) if index is None]
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    raise BadInput(
        f"the data has {len(classes)} classes and {classifier.path.name} tells "
        f"{len(classifier.classes)} apart; it does not know {', '.join(lacking[:3])}{more}",
        hint=f"it knows {', '.join(classifier.classes[:10])}"
        + (" …" if len(classifier.classes) > 10 else ""),
    )


def _plain(name: str) -> str:
    """What is left of a name when spelling does not count: "Sports_Car" is "sports car"."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(text.replace("_", " ").replace("-", " ").split())


def _spread(pictures: Pictures, count: int | None, *, source: Source, split: Split) -> Labels:
    total = len(pictures)
    if total == 0 and split is Split.VAL:
        raise BadInput(
            f"{source.name} has no pictures held out to judge by",
            hint="deepcanon split DIR --val 0.1 -o OUT holds some out: train on OUT; or "
            "--split train, which flatters a network that was trained on these",
        )
    if total == 0:
        raise BadInput(f"{source.name} has no pictures", hint="name another data set")
    if count is None or count >= total:
        return np.arange(total)
    # Data sets are often sorted by class: the first ones alone would be all of one.
    return np.linspace(0, total - 1, max(1, count)).round().astype(np.int64)


def _judge(
    classifier: Classifier,
    pictures: Pictures,
    chosen: Labels,
    *,
    classes: Labels,
    crops: Crops,
    on_step: Callable[[str], None] | None = None,
) -> _Judged:
    parts: list[tuple[Labels, Labels, Labels, npt.NDArray[np.float64]]] = []
    skipped: list[tuple[str, str]] = []
    for places_, pixels in _batches(
        pictures, chosen, size=classifier.batch(crops), skipped=skipped, on_step=on_step
    ):
        scores = classifier.scores(pixels, crops=crops)
        labels = classes[pictures.labels[places_]]
        right = scores[np.arange(len(labels)), labels].astype(np.float64)
        losses = -np.log(np.maximum(right, _LEAST))
        parts.append((labels, scores.argmax(axis=1), places(scores, labels), losses))
    if not parts:
        nothing = np.empty(0, np.int64)
        return _Judged(nothing, nothing, nothing, np.empty(0), tuple(skipped))
    labels, predicted, ranks, losses = (np.concatenate(each) for each in zip(*parts, strict=True))
    return _Judged(labels, predicted, ranks, losses, tuple(skipped))


def _batches(
    pictures: Pictures,
    chosen: Labels,
    *,
    size: int,
    skipped: list[tuple[str, str]],
    on_step: Callable[[str], None] | None,
) -> Iterator[tuple[Labels, list[Pixels]]]:
    """Pictures with their places, `size` at a time; those that cannot be read go to `skipped`."""
    places_: list[int] = []
    pixels: list[Pixels] = []
    for place in map(int, chosen):
        name = pictures.name(place)
        try:
            pixels.append(pictures[place])
            places_.append(place)
        except BadInput as error:
            skipped.append((name, error.message))
        if on_step is not None:
            on_step(name)
        if len(pixels) == size:
            yield np.array(places_), pixels
            places_, pixels = [], []
    if pixels:
        yield np.array(places_), pixels


_UNEXPLAINED = Cause(
    "chance",
    "the score is no better than a guess's, and none of the known causes explains it",
    "of few pictures no more can be said; else train longer, or look for a rate with find-rate",
)


def _why(
    classifier: Classifier,
    pictures: Pictures,
    chosen: Labels,
    judged: _Judged,
    *,
    classes: Labels,
) -> list[Cause]:
    """What explains a bad score; nothing for one that is merely not good."""
    kept = open_onnx(classifier.path).as_in_training()
    if kept:
        return [
            Cause(
                "training-mode",
                f"{classifier.path.name} computes {' and '.join(kept)} as in training: what it "
                "says of a picture depends on the others of its batch, or on luck",
                "export it again from a network in evaluation mode: net.eval()",
            )
        ]
    names = classifier.classes
    guessing = len(names) > 1 and at_chance(judged.labels, judged.predicted, classes=len(names))
    if guessing:
        other = _other_preprocessing(classifier, pictures, chosen, classes=classes)
        if other:
            return other
    found = explain(judged.labels, judged.predicted, names=names)
    return [_UNEXPLAINED] if guessing and not found else found


def _other_preprocessing(
    classifier: Classifier, pictures: Pictures, chosen: Labels, *, classes: Labels
) -> list[Cause]:
    own = classifier.preprocessing
    few = chosen[np.linspace(0, len(chosen) - 1, min(_TRIED, len(chosen))).round().astype(int)]
    best, best_hits, total = own, 0, 0
    for how in _OTHERS:
        if how.to_dict() | {"name": ""} == own.to_dict() | {"name": ""}:
            continue
        found = _judge(classifier.prepared_as(how), pictures, few, classes=classes, crops=Crops.ONE)
        hits = int((found.places == 0).sum())
        if hits > best_hits:
            best, best_hits, total = how, hits, len(found.labels)
    if not above_luck(best_hits, total, luck=1 / len(classifier.classes)):
        return []
    return [
        Cause(
            "preprocessing",
            f"the network wants its pictures prepared otherwise than its record says "
            f"({own.name}): as {best.name}, {100 * best_hits / total:.1f} % of {total} are right",
            f"export it again, saying so: {best.order}, white is {best.scale:g}, "
            f"mean {list(best.mean)}, std {list(best.std)}",
        )
    ]


def _settings(
    classifier: Classifier, source: Source, *, crops: Crops, split: Split
) -> dict[str, Any]:
    record = classifier.record
    return {
        "model": f"{record.model} {record.variant}",
        "sha256": hashlib.sha256(classifier.path.read_bytes()).hexdigest(),
        "data": source.name,
        "split": split.value,
        "crops": crops.value,
        "side": classifier.side,
        "resize": classifier.resize,
        "preprocessing": classifier.preprocessing.to_dict(),
        "engine": classifier.engine,
        "recorded": {
            # A score that was not finite is kept as NaN, which JSON has no word for.
            name: score if np.isfinite(score) else None
            for name, score in record.scores.items()
        },
    }
