"""Of many pictures the parts that excite a channel most: M. D. Zeiler, R. Fergus 2014, figure 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.classify.inside.looks import (
    Advance,
    Choice,
    Looks,
    Named,
    as_tensor,
    check_room,
    checked_layers,
    cut,
    facts_of,
    inside,
    label_of,
    title_of,
    view,
)
from deepcanon.classify.inside.projection import run_to
from deepcanon.classify.inside.sheet import Section, Tile, mosaic
from deepcanon.classify.inside.subject import Subject
from deepcanon.core.errors import BadInput
from deepcanon.nn.layer_table import Field

CHANNELS = 16  # how many are shown unless told otherwise
PATCHES = 9  # of a channel, as in the paper's figure
_BATCH = 8


class Peak(NamedTuple):
    """A strong value of a channel: in which picture, and where in the map."""

    value: float
    picture: int
    row: int
    column: int


def peaks(
    maps: Float[Tensor, "c h w"], *, picture: int, count: int, apart: tuple[int, int]
) -> list[list[Peak]]:
    """Of each channel up to ``count`` strong values, the largest first, over zero.

    Two of them are more than ``apart`` (rows, columns) from each other, along one of the axes.
    """
    left = maps.clone()
    channels, height, width = maps.shape
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    found: list[list[Peak]] = [[] for _ in range(channels)]
    for _ in range(min(count, height * width)):
        values, places = left.flatten(1).max(dim=1)
        if not bool((values > 0).any()):
            break
        row, column = places // width, places % width
        for channel, value in enumerate(values.tolist()):
            if value > 0:
                found[channel].append(Peak(value, picture, int(row[channel]), int(column[channel])))
        near = ((rows - row[:, None, None]).abs() <= apart[0]) & (
            (columns - column[:, None, None]).abs() <= apart[1]
        )
        left[near] = 0
    return found


def top_patches(
    subject: Subject,
    pictures: Sequence[Named],
    *,
    layers: Sequence[str],
    choice: Choice,
    advance: Advance,
) -> Looks:
    """Of each layer the channels that pictures excite most, and the patches which do so.

    A picture gives one patch to a channel where there are at least nine pictures, else as many as
    make nine in all, with their centres half a patch apart. Raises as `activations` does.
    """
    names = checked_layers(subject, layers, choice)
    count = len(choice.channels) or choice.count or CHANNELS
    check_room(subject, names, tiles=count, each=PATCHES, tile=choice.tile)
    looks = Looks()
    a_picture = -(-PATCHES // max(1, len(pictures)))
    found: dict[str, list[list[Peak]]] = {
        name: [[] for _ in range(subject.fields[name].output[0])] for name in names
    }
    with torch.no_grad():
        for first in range(0, len(pictures), _BATCH):
            numbers, batch = _read_some(subject, pictures, first, looks, advance=advance)
            if not numbers:
                continue
            maps = run_to(subject.net, subject.prepare(torch.stack(batch)), names)
            for name in names:
                apart = _half(subject.fields[name])
                for number, each in zip(numbers, maps[name], strict=True):
                    more = peaks(each, picture=number, count=a_picture, apart=apart)
                    _merge(found[name], more)
    if not looks.done:
        return looks
    for name in names:
        best = sorted(range(len(found[name])), key=lambda channel: _strength(found[name][channel]))
        chosen = choice.channels or [each for each in best if found[name][each]]
        chosen = chosen if choice.channels else chosen[:count]
        tiles = [
            _patches(subject, pictures, name, each, found[name][each], choice) for each in chosen
        ]
        facts = facts_of(subject, name)
        looks.sections.append(
            Section(title=title_of(subject, name), tiles=tuple(tiles), facts=facts)
        )
    return looks


def _read_some(
    subject: Subject,
    pictures: Sequence[Named],
    first: int,
    looks: Looks,
    *,
    advance: Advance,
) -> tuple[list[int], list[Tensor]]:
    numbers, batch = [], []
    for number in range(first, min(first + _BATCH, len(pictures))):
        try:
            batch.append(as_tensor(view(subject, pictures[number].source)))
        except BadInput as error:
            looks.failures.append((pictures[number].name, error))
        else:
            numbers.append(number)
            looks.done.append(pictures[number].name)
        advance(pictures[number].name)
    return numbers, batch


def _half(seen: Field) -> tuple[int, int]:
    """Half of what a value sees, in places of its map."""
    rows, columns = (
        int(size / (2 * jump)) for size, jump in zip(seen.size, seen.jump, strict=True)
    )
    return rows, columns


def _merge(kept: list[list[Peak]], more: list[list[Peak]]) -> None:
    for channel, peaks_of_one in enumerate(more):
        together = [*kept[channel], *peaks_of_one]
        kept[channel] = sorted(together, key=lambda peak: -peak.value)[:PATCHES]


def _strength(found: Sequence[Peak]) -> float:
    return -found[0].value if found else 0.0


def _patches(
    subject: Subject,
    pictures: Sequence[Named],
    layer: str,
    channel: int,
    found: Sequence[Peak],
    choice: Choice,
) -> Tile:
    cuts, facts = [], []
    for peak in found:
        pixels = view(subject, pictures[peak.picture].source)
        box = inside(subject.fields[layer], peak.row, peak.column, pixels)
        cuts.append(cut(pixels, box))
        facts.append(
            {"picture": pictures[peak.picture].name, "value": peak.value, "box": list(box)}
        )
    blank = np.zeros((1, 1, 3), np.uint8)
    label = label_of(subject, layer, channel)
    label += f": {found[0].value:.3g}" if found else ": silent"
    return Tile(
        pixels=mosaic(cuts or [blank], side=choice.tile, columns=3),
        label=label,
        facts={"channel": channel, "patches": facts},
    )
