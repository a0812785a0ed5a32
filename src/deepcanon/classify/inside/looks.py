"""What the ways of looking into a network share: which layers and channels, of which pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.classify import crops
from deepcanon.classify.data.pictures import read_pixels
from deepcanon.classify.inside.sheet import Section
from deepcanon.classify.inside.subject import Subject
from deepcanon.core.errors import BadInput
from deepcanon.core.images import MAX_PIXELS, Source
from deepcanon.core.picture import Pixels
from deepcanon.nn.layer_table import Field

Window = tuple[int, int, int, int]  # top, left, bottom, right; the ends not included
Advance = Callable[[str], None]  # is told the name of each picture that is done with

TILE = 96  # side in pixels of a picture on the page


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which channels of a layer are shown, and how large."""

    channels: tuple[int, ...] = ()  # none: the strongest
    count: int | None = None  # how many of the strongest; None: as many as the method usually shows
    tile: int = TILE


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What came of it: sections of the page, pictures that were shown, those that were not."""

    sections: list[Section] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failures: list[tuple[str, BadInput]] = field(default_factory=list)


class Named(NamedTuple):
    """A picture to show, and what to call it."""

    name: str
    source: Source


# --- layers --------------------------------------------------------------------------------------


def default_layers(subject: Subject) -> list[str]:
    """A shallow, a middle and a deep layer: ReLUs where there are any, else convolutions."""
    parts = dict(subject.net.named_modules())
    for kind in (nn.ReLU, nn.Conv2d, nn.Linear):
        names = [
            name
            for name, seen in subject.fields.items()
            if isinstance(parts[name], kind) and (len(seen.output) == 3 or kind is nn.Linear)
        ]
        if names:
            return list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]]))
    raise BadInput(f"{subject.model} has no layer to look into", hint="name one with --layer")


def checked_layers(subject: Subject, layers: Sequence[str], choice: Choice) -> list[str]:
    """The layers from the shallow to the deep, by their own names, without repeats."""
    order = list(subject.fields)
    names = sorted({subject.layer(each) for each in layers}, key=order.index)
    for name in names:
        if len(subject.fields[name].output) not in (1, 3):
            raise BadInput(f"{name} gives no maps", hint="name another layer with --layer")
        check_channels(subject, name, choice.channels)
    return names


def check_channels(subject: Subject, layer: str, channels: Sequence[int]) -> None:
    """Raise BadInput for a channel that a layer has not."""
    there = subject.fields[layer].output[0]
    wrong = [channel for channel in channels if not 0 <= channel < there]
    if wrong:
        raise BadInput(
            f"{subject.title(layer)} has no channel {wrong[0]}",
            hint=f"its channels are 0 to {there - 1}",
        )


def check_room(
    subject: Subject, layers: Sequence[str], *, tiles: int, each: int, tile: int
) -> None:
    """Raise BadInput for a page of more pixels than a picture may have.

    A layer has at most ``tiles`` tiles, and at most one a channel; a tile is ``each`` squares of
    ``tile`` x ``tile`` pixels.
    """
    shown = sum(min(tiles, subject.fields[layer].output[0]) for layer in layers)
    if shown * each * tile**2 > MAX_PIXELS:
        raise BadInput(
            f"the page would have more than {MAX_PIXELS / 1e6:.0f} million pixels",
            hint="name fewer pictures, or show less with --layer, --count and --tile",
        )


# --- words ---------------------------------------------------------------------------------------


def title_of(subject: Subject, layer: str) -> str:
    """The layer, its output, and how much of the picture a value of it sees."""
    seen = subject.fields[layer]
    size = "x".join(map(str, seen.output[1:]))
    maps = f"{seen.output[0]} channels of {size}" if size else f"{seen.output[0]} values"
    if seen.size[0] >= subject.side and seen.size[1] >= subject.side:
        return f"{subject.title(layer)}: {maps}, each sees the whole picture"
    return f"{subject.title(layer)}: {maps}, each value sees {seen.size[1]}x{seen.size[0]} pixels"


def facts_of(subject: Subject, layer: str) -> dict[str, Any]:
    """What is known of a layer, for JSON."""
    seen = subject.fields[layer]
    return {
        "layer": layer,
        "name": subject.title(layer),
        "output": list(seen.output),
        "sees": list(seen.size),
    }


def label_of(subject: Subject, layer: str, channel: int) -> str:
    """The class that a score is of, where its name is known; else the channel's number."""
    seen = subject.fields[layer]
    if seen.output == subject.fields[""].output == (len(subject.labels),):
        return subject.labels[channel]
    return str(channel)


# --- pictures ------------------------------------------------------------------------------------


def view(subject: Subject, source: Source) -> Pixels:
    """What the network is shown of a picture, [side, side, 3]. Raises BadInput as `read_pixels`."""
    return crops.one(read_pixels(source), side=subject.side, resize=subject.resize)


def as_tensor(pixels: Pixels) -> Float[Tensor, "3 h w"]:
    """RGB in 0..1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def inside(seen: Field, row: int, column: int, pixels: Pixels) -> Window:
    """What a value sees of the picture itself: (top, left, bottom, right), at least a pixel."""
    height, width = pixels.shape[:2]
    top, left, bottom, right = seen.box(row, column)
    top, left = min(max(0, top), height - 1), min(max(0, left), width - 1)
    return top, left, max(top + 1, min(height, bottom)), max(left + 1, min(width, right))


def cut(pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
    """The part of [h, w, c] in a window."""
    top, left, bottom, right = window
    return pixels[top:bottom, left:right]
