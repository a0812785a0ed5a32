"""What one pass is worth: the iterations of descent that reach the objective of a trained network.

The comparison of Johnson et al. 2016 (§4.1 and fig. 5): a transform network and an optimisation of
the picture minimise the same objective, so they can be measured by it. For photographs that
training left out, the mean objective of what the network paints (through `Stylizer`: the exported
file, bytes out) is set against the mean objective of L-BFGS after 0, 1, 2, ... iterations; the
first iteration whose mean is no higher is what one pass is worth. The paper finds 50 to 100.

*What differs from the paper*: the descent starts from the photograph, not from noise, which is a
better start and makes the count smaller. The paper clips the picture to the range of bytes at each
iteration; here the objective is that of the clipped picture, which comes to the same constraint.
L-BFGS without a line search does not fall at each iteration, so the best picture so far counts.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.core import images
from deepcanon.core.assets import find
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels
from deepcanon.core.record import Record, read_record
from deepcanon.style import repaint
from deepcanon.style.data import left_out, load_picture
from deepcanon.style.features import FeatureNet
from deepcanon.style.predict import Stylizer
from deepcanon.style.scores import Score
from deepcanon.style.task import PerceptualLoss, Weighting
from deepcanon.training import provenance

__all__ = [
    "Comparison",
    "Photo",
    "Precision",
    "Training",
    "photographs",
    "square",
]

HISTORY = 20  # of L-BFGS: 32 MB a photograph at 256 x 256, all photographs descend side by side


class Precision(StrEnum):
    """What the feature network computes in; Gram matrices and losses are always float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"  # faster, but its noise slows the descent, which flatters the network


class Photo(NamedTuple):
    """A photograph to measure with: its file's name, uint8 [side, side, 3]."""

    name: str
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a record says of how its network was trained: the objective and the paintings.

    Of a network that a style was added to, the objective is that of the style that was added last;
    the paintings are all that the records on the way name.
    """

    weighting: Weighting
    paintings: Mapping[str, str]  # style -> file
    painting_side: int  # shorter side of the paintings, pixels
    content_weights: Mapping[str, float]  # of the styles that have one of their own

    @classmethod
    def of(cls, record: Record) -> Training:
        """Read the recipe of a record. Raises BadInput when it does not say all of it."""
        recipe = record.recipe
        try:
            paintings = _paintings(recipe, record.labels)
            if not paintings:
                raise KeyError("styles")
            weighting = Weighting.of(recipe)
            side = int(recipe["painting_side"])
            own = recipe.get("content_weights") or {}
            content_weights = {style: float(weight) for style, weight in own.items()}
        except KeyError as missing:
            raise BadInput(
                f"the record of {record.model} {record.variant} does not say its {missing.args[0]}",
                hint="evaluate a network that deepcanon train made: its record holds the recipe",
            ) from missing
        except (AttributeError, TypeError, ValueError) as wrong:
            raise BadInput(
                f"the recipe of {record.model} {record.variant} cannot be read: {wrong}",
                hint="evaluate a network that deepcanon train made: its record holds the recipe",
            ) from wrong
        return cls(
            weighting=weighting,
            paintings=paintings,
            painting_side=side,
            content_weights=content_weights,
        )

    def of_style(self, style: str) -> Weighting:
        """The objective of one style."""
        own = self.content_weights.get(style, self.weighting.content_weight)
        return self.weighting._replace(content_weight=own)


def _paintings(recipe: Mapping[str, Any], labels: Sequence[str]) -> dict[str, str]:
    """Style -> painting, of the labels whose painting a recipe, or the one it built on, names."""
    painting = recipe.get("painting")
    if painting and labels:  # one style was added, the last one
        return {**_paintings(recipe.get("base") or {}, labels[:-1]), labels[-1]: str(painting)}
    named = recipe.get("styles") or {}
    return {style: str(named[style]) for style in labels if style in named}


def square(pixels: Pixels, *, side: int) -> Pixels:
    """The middle of a picture, its shorter side brought to `side`: uint8 [side, side, 3]."""
    pixels = images.resize(pixels, short_side=side)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side].copy()


def photographs(
    source: str | Path,
    *,
    count: int,
    side: int,
    on_skip: Callable[[str], None] | None = None,
) -> list[Photo]:
    """Up to `count` photographs, cut to side x side.

    Of a folder, those that training leaves out (`style.data.left_out`); of a file or a glob, the
    first ones. One that cannot be read is skipped, which ``on_skip(complaint)`` is told. Raises
    BadInput when there are none, or none can be read.
    """
    if count < 1 or side < 1:
        raise BadInput(f"{count} photographs of {side} pixels", hint="ask for 1 or more of each")
    found = [Path(place) for place in images.find([source])]
    if Path(source).is_dir():
        found = left_out(found)
        if not found:
            raise BadInput(
                f"{source} has no photograph that training leaves out",
                hint=f"take more of them; if none was trained on, say so: '{source}/*'",
            )
    read: list[Photo] = []
    skipped: list[BadInput] = []
    for path in found:
        if len(read) == count:
            break
        try:
            read.append(Photo(path.name, square(images.load(path).pixels, side=side)))
        except BadInput as error:
            skipped.append(error)
            if on_skip is not None:
                on_skip(error.message)
    if not read:
        raise skipped[0]
    return read


class Comparison:
    """One pass of a network against descent, on the same photographs and objective.

    `model` is a `.onnx` file or the name of a shipped network; its record says the objective.
    `paintings` is the folder with the painting of each style. `styles` are those that can be
    measured: the record names their paintings. Raises BadInput for a record without a recipe and
    for feature networks without its taps.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        photos: Sequence[Photo],
        paintings: str | Path,
        features: FeatureNet,
        iterations: int = 60,
        precision: Precision = Precision.FLOAT32,
        engine: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.path = find(model)
        self.record = read_record(self.path)
        self.training = Training.of(self.record)
        self.photos = photos
        self.paintings = Path(paintings)
        self.features = features
        self.iterations = iterations
        self.precision = Precision(precision)
        self.engine, self.threads = engine, threads
        if iterations < 1 or not photos:
            raise BadInput(
                f"{iterations} iterations on {len(photos)} photographs measure nothing",
                hint="give 1 or more of each",
            )

    @property
    def styles(self) -> list[str]:
        """The styles whose paintings the record names, in the network's order."""
        return list(self.training.paintings)

    def settings(self, *, features: str) -> dict[str, Any]:
        """All that the scores depend on, ready for JSON; `features` is the name of the network."""
        return {
            "model": f"{self.record.model} {self.record.variant}",
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "features": "+".join(Path(part).name for part in features.split("+")),
            "objective": {
                **self.training.weighting._asdict(),
                "style_taps": dict(self.training.weighting.style_taps),
                "content_weights": dict(self.training.content_weights),
            },
            "painting_side": self.training.painting_side,
            "photos": [photo.name for photo in self.photos],
            "side": self.photos[0].pixels.shape[0],
            "iterations": self.iterations,
            "history": HISTORY,
            "precision": self.precision.value,
            "engine": self._stylizer(self.styles[0]).engine,
        }

    def measure(self, style: str, *, on_step: Callable[[int, str], None] | None = None) -> Score:
        """The score of one style. ``on_step(iteration, detail)`` is told of each iteration.

        Raises BadInput for a style whose painting is not known or not there.
        """
        painting = load_picture(self.painting(style), short_side=self.training.painting_side)
        stylizer = self._stylizer(style)
        with self._precision():
            loss = PerceptualLoss(
                self.features, [painting], weighting=self.training.of_style(style)
            )
        starts = [repaint.to_tensor(photo.pixels) for photo in self.photos]
        objectives = [self._objective(loss, start) for start in starts]
        painted = []
        with torch.no_grad():
            for photo, objective in zip(self.photos, objectives, strict=True):
                picture = repaint.to_tensor(stylizer(photo.pixels).pixels)
                painted.append(repaint.Losses.of(objective(picture)))
        goal = statistics.fmean(each.total for each in painted)
        curve = []
        for done, mean in enumerate(_descents(starts, objectives, iterations=self.iterations)):
            curve.append(mean)
            if on_step is not None:
                on_step(done, f"loss {mean:.4g}, one pass {goal:.4g}")
            if mean <= goal:
                break
        return Score(
            style=style,
            painting=self.training.paintings[style],
            total=goal,
            content=statistics.fmean(each.content for each in painted),
            style_loss=statistics.fmean(each.style for each in painted),
            tv=statistics.fmean(each.variation for each in painted),
            spread=statistics.pstdev(each.total for each in painted),
            iterations=len(curve) - 1 if curve[-1] <= goal else None,
            curve=tuple(curve),
            date=provenance.today(),
            hardware=provenance.hardware(),
        )

    def _stylizer(self, style: str) -> Stylizer:
        return Stylizer(style, model=self.path, engine=self.engine, threads=self.threads)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        with torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=self.precision is Precision.BFLOAT16
        ):
            yield

    def _objective(
        self, loss: PerceptualLoss, photo: Float[Tensor, "1 3 h w"]
    ) -> repaint.Objective:
        share = torch.ones(1, 1)
        with self._precision():
            content = loss.content(photo)

        def objective(picture: Float[Tensor, "1 3 h w"]) -> repaint.Terms:
            with self._precision():
                terms = loss(picture.clamp(0, 1), content, share)
            return repaint.Terms(*(term.sum() for term in terms))

        return objective

    def painting(self, style: str) -> Path:
        """The file of a style's painting, or one of the same stem.

        Raises BadInput when the record names none, or there is none in the folder.
        """
        if style not in self.training.paintings:
            raise BadInput(
                f"the record names no painting for the style '{style}'",
                hint=f"it does for {', '.join(self.styles)}",
            )
        found = self._find_painting(style)
        if found is None:
            name = Path(self.training.paintings[style]).name
            raise BadInput(
                f"{self.paintings} has no {name}, the painting of '{style}'",
                hint="name the folder of the paintings that the network was trained on",
            )
        return found

    def has_painting(self, style: str) -> bool:
        """Whether `painting` finds the one of a style in `styles`.

        Raises BadInput where the folder is not there, or holds no picture at all.
        """
        return self._find_painting(style) is not None

    def _find_painting(self, style: str) -> Path | None:
        wanted = self.paintings / self.training.paintings[style]
        if wanted.exists():
            return wanted
        others = map(Path, images.find([self.paintings]))
        stem = wanted.stem.lower()
        return next((place for place in others if place.stem.lower() == stem), None)


def _descents(
    starts: Sequence[Float[Tensor, "1 3 h w"]],
    objectives: Sequence[repaint.Objective],
    *,
    iterations: int,
) -> Iterator[float]:
    """The mean over the photographs of the best total so far, after 0, 1, ... iterations.

    All descend side by side, so that whoever has seen enough can stop.
    """
    # A step reports the loss it started from: one more of them reports on the last iteration.
    runs = [
        repaint.descend(
            start, objective, optimiser=repaint.LBFGS(history=HISTORY), iterations=iterations + 1
        )
        for start, objective in zip(starts, objectives, strict=True)
    ]
    best = [float("inf")] * len(runs)
    for steps in zip(*runs, strict=True):
        best = [min(low, step.losses.total) for low, step in zip(best, steps, strict=True)]
        yield statistics.fmean(best)
