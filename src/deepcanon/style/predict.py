"""Repaint photographs with a trained transformation network: no torch, one pass a picture.

    Stylizer("starry-night")("photo.jpg").save("out.png")

The network is a `.onnx` file that carries its record. Its contract: input `picture` uint8
[b, h, w, 3], input `weights` float32 [b, styles] (a row sums to 1), output `stylized` uint8
[b, h, w, 3]; `record.labels` names the styles in the order of the weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepcanon.core.assets import find
from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.images import SUFFIXES, Picture, Source, load, save, shrink
from deepcanon.core.near import did_you_mean
from deepcanon.core.picture import Pixels
from deepcanon.core.record import Record, read_record
from deepcanon.engine.kept import kept_session
from deepcanon.style.color import finish

__all__ = [
    "DEFAULT_STYLE",
    "Stylized",
    "Stylizer",
    "check_strength",
    "check_style_name",
    "parse_style",
    "style_names",
]

DEFAULT_STYLE = "starry-night"
SHIPPED = "multistyle"  # the manifest's name of the network with all shipped styles
# Near a border a network paints things of its own: strips, some twenty pixels deep at most in the
# shipped styles. So it is shown this many mirrored pixels more on each side, which are cut off.
MARGIN = 24


@dataclass(frozen=True, kw_only=True)
class Stylized:
    """A repainted picture: `pixels` uint8 [h, w, 3] RGB; alpha and colour profile of the photo."""

    pixels: Pixels
    alpha: Pixels | None
    icc: bytes | None
    name: str
    style: Mapping[str, float]
    engine: str
    seconds: float

    @property
    def image(self) -> Image.Image:
        """The picture for Pillow, RGB or RGBA, with its colour profile in `info`."""
        whole = self.pixels if self.alpha is None else np.dstack([self.pixels, self.alpha])
        image = Image.fromarray(whole)
        if self.icc is not None:
            image.info["icc_profile"] = self.icc
        return image

    def save(self, path: str | Path, *, quality: int = 95) -> None:
        """Write it whole or not at all, in the format of the ending; see `core.images.save`."""
        save(self.pixels, path, alpha=self.alpha, icc=self.icc, quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """What is known about it but the pixels, ready for JSON. `seconds` is the network alone."""
        height, width = self.pixels.shape[:2]
        return {
            "picture": self.name,
            "width": width,
            "height": height,
            "style": dict(self.style),
            "engine": self.engine,
            "seconds": round(self.seconds, 4),
        }


class Stylizer:
    """Repaints pictures in one style, or in a blend: `Stylizer("starry-night:0.6,udnie:0.4")`.

    `model` is a `.onnx` file with a record, or the name of a shipped network (default: the one with
    all styles), `engine` one of openvino, onnxruntime, torch, or auto. The networks stay loaded for
    the process, so a second Stylizer costs nothing. Raises `BadInput` for unknown styles and
    engines, bad weights, and files without a record.
    """

    def __init__(
        self,
        style: str = DEFAULT_STYLE,
        *,
        model: str | Path | None = None,
        engine: str = "auto",
        threads: int | None = None,
    ) -> None:
        path, record = _open(model)
        self.record = record
        self.weights = parse_style(style, record.labels)
        row = [self.weights.get(name, 0.0) for name in record.labels]
        self._row = np.array([row], dtype=np.float32)
        self._session = kept_session(path, engine=engine, threads=threads)

    @property
    def engine(self) -> str:
        """The engine that runs the network."""
        return self._session.name

    @overload
    def __call__(
        self,
        picture: list[Source | Picture] | tuple[Source | Picture, ...],
        *,
        strength: float = ...,
        keep_color: bool = ...,
        max_size: int | None = ...,
    ) -> list[Stylized]: ...

    @overload
    def __call__(
        self,
        picture: Source | Picture,
        *,
        strength: float = ...,
        keep_color: bool = ...,
        max_size: int | None = ...,
    ) -> Stylized: ...

    def __call__(
        self,
        picture: Source | Picture | list[Source | Picture] | tuple[Source | Picture, ...],
        *,
        strength: float = 1.0,
        keep_color: bool = False,
        max_size: int | None = None,
    ) -> Stylized | list[Stylized]:
        """Repaint one picture, or each of a list (one after the other: memory for one is enough).

        `strength` 0..1 blends with the photograph, `keep_color` keeps its colours, `max_size`
        limits the longer side in pixels; without it the result has the size of the photograph.
        """
        check_strength(strength)
        if max_size is not None and max_size < 1:
            raise BadInput(f"max_size is {max_size}", hint="give the longer side in pixels")
        if isinstance(picture, (list, tuple)):
            return [
                self(each, strength=strength, keep_color=keep_color, max_size=max_size)
                for each in picture
            ]
        if not isinstance(picture, Picture):
            picture = load(picture, max_side=max_size)
        elif max_size is not None:
            picture = shrink(picture, max_side=max_size)
        start = time.perf_counter()
        painted = self._paint(picture)
        seconds = time.perf_counter() - start
        return Stylized(
            pixels=finish(painted, picture.pixels, strength=strength, keep_colors=keep_color),
            alpha=picture.alpha,
            icc=picture.icc,
            name=picture.name,
            style=self.weights,
            engine=self.engine,
            seconds=seconds,
        )

    def _paint(self, picture: Picture) -> Pixels:
        sides = (MARGIN, MARGIN)
        shown = np.pad(picture.pixels, (sides, sides, (0, 0)), mode="reflect")
        feeds: dict[str, npt.NDArray[Any]] = {"picture": shown[None], "weights": self._row}
        painted: Pixels = self._session.run(feeds)["stylized"][0]
        if painted.shape != shown.shape:
            raise Failed(
                f"the network made {painted.shape} of {shown.shape}",
                hint="it breaks the contract of a style network: export it with deepcanon export",
            )
        return painted[MARGIN:-MARGIN, MARGIN:-MARGIN]


def style_names(model: str | Path | None = None) -> list[str]:
    """The styles of a network (default: the shipped one), in the order of its weights."""
    return list(_open(model)[1].labels)


def parse_style(text: str, names: Sequence[str]) -> dict[str, float]:
    """Read "starry-night" or "starry-night:0.6,udnie:0.4" into weights that sum to 1.

    A name without a weight counts 1. Raises `BadInput` for a name that is not in `names` or comes
    twice, and for weights that are negative, not finite numbers, or all zero.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (each.strip() for each in part.partition(":"))
        if name not in names:
            raise _unknown_style(name, names)
        if name in weights:
            raise BadInput(f"the style '{name}' is named twice in '{text}'", hint="name it once")
        weights[name] = _weight(number, name=name) if colon else 1.0
    total = math.fsum(weights.values())
    if total <= 0:
        raise BadInput(
            f"all weights in '{text}' are zero", hint="give one style a weight above zero"
        )
    return {name: weight / total for name, weight in weights.items()}


def check_style_name(name: str, *, setting: str) -> None:
    """Raise `BadInput` for a name that `parse_style`, or --style, could not be given.

    `setting` is the setting of a recipe that says the name, for the hint.
    """
    strange = next((sign for sign in ",:/" if sign in name), None)
    if not name.strip():
        complaint = "the name of a style is blank"
    elif name != name.strip():
        complaint = f"the style name '{name}' begins or ends with a blank"
    elif strange is not None:
        complaint = f"the style name '{name}' has a '{strange}' in it, so --style cannot say it"
    elif Path(name).suffix.lower() in SUFFIXES:
        complaint = f"the style name '{name}' ends like a picture file, so --style would open one"
    else:
        return
    raise BadInput(complaint, hint=f"choose another name: --set {setting}")


def _weight(number: str, *, name: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    # The upper limit keeps the sum finite, and float32 able to hold the smaller of two weights.
    if not 0 <= weight <= 1e6:
        raise BadInput(
            f"the weight '{number}' of the style '{name}' is not a number from 0 to a million",
            hint="write a blend as starry-night:0.6,udnie:0.4",
        )
    return weight


def _unknown_style(name: str, names: Sequence[str]) -> BadInput:
    hint = did_you_mean(name, names, otherwise=f"the styles are {', '.join(names)}")
    return BadInput(f"there is no style '{name}'", hint=hint)


def check_strength(strength: float) -> None:
    """Raise `BadInput` unless it is a number from 0 to 1."""
    if not 0 <= strength <= 1:
        raise BadInput(f"the strength is {strength}", hint="give a number from 0 to 1")


def _open(model: str | Path | None) -> tuple[Path, Record]:
    """The file of a network and its record, which must be that of a style network."""
    path = find(SHIPPED if model is None else model)
    if path.suffix.lower() != ".onnx":
        raise BadInput(
            f"{path} is not a .onnx file", hint="make one of a checkpoint with deepcanon export"
        )
    record = read_record(path)
    if record.domain != "style" or not record.labels:
        raise BadInput(
            f"{path} is not a style network: its record says {record.model}, {record.domain}",
            hint="give --model a file that deepcanon train or export wrote for a style",
        )
    return path, record
