"""What a network has learnt to see, as pictures (row C6): sections for `deepcanon visualize`.

============== =====================================================================================
filters        the weights of a convolution; those of the first are little pictures (A. Krizhevsky
               et al. 2012, figure 3)
activations    the maps of a layer for one picture, brightest where the filter found its pattern
deconvnet      what of the picture a channel's strongest value came from: see `projection`, and
guided         beside it the part of the picture that the value sees
top-patches    of many pictures the parts that excite a channel most (M. D. Zeiler, R. Fergus 2014,
               figure 2, right)
============== =====================================================================================

Layers are shown from the shallow to the deep: the first see parts, the last see wholes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deepcanon.classify.inside.looks import (
    Advance,
    Choice,
    Looks,
    Named,
    as_tensor,
    check_channels,
    check_room,
    checked_layers,
    cut,
    facts_of,
    inside,
    label_of,
    title_of,
    view,
)
from deepcanon.classify.inside.projection import Rule, project, run_to, strongest
from deepcanon.classify.inside.sheet import Section, Tile, as_colour, as_grey, fit, mosaic
from deepcanon.classify.inside.subject import Subject
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels

FILTERS, MAPS, CHANNELS = 256, 64, 16  # how many are shown unless told otherwise


# --- filters -------------------------------------------------------------------------------------


def _convolution(subject: Subject, layer: str | None) -> tuple[str, nn.Conv2d]:
    parts = dict(subject.net.named_modules())
    all_of_them = [name for name in subject.fields if isinstance(parts[name], nn.Conv2d)]
    if not all_of_them:
        raise BadInput(
            f"{subject.model} {subject.variant} has no convolution", hint="choose another method"
        )
    name = all_of_them[0] if layer is None else subject.layer(layer)
    part = parts[name]
    if not isinstance(part, nn.Conv2d):
        some = ", ".join(subject.title(each) for each in all_of_them[:4])
        raise BadInput(
            f"{layer} is a {type(part).__name__}, which has no filters",
            hint=f"name a convolution, such as {some}",
        )
    return name, part


def filters(subject: Subject, *, layer: str | None = None, choice: Choice) -> Section:
    """The weights of a convolution, by default the first, one tile a filter.

    Filters that read a picture are in its colours, each by its own largest weight, with zero in the
    middle grey; of others each input channel is a grey square, at most 64 of them. Raises BadInput
    for a layer that is no convolution.
    """
    name, part = _convolution(subject, layer)
    weights = part.weight.detach().float()
    check_channels(subject, name, choice.channels)
    count = len(choice.channels) or choice.count or FILTERS
    check_room(subject, [name], tiles=count, each=1, tile=choice.tile)
    chosen = choice.channels or range(min(len(weights), count))
    reads_picture = weights.shape[1] == 3 and part.in_channels == 3
    backwards = reads_picture and subject.preprocessing.order == "BGR"
    tiles = []
    for channel in chosen:
        weight = weights[channel].numpy()
        if reads_picture:
            coloured = as_colour((weight[::-1] if backwards else weight).transpose(1, 2, 0))
            shown = fit(coloured, choice.tile)
        else:
            shown = _slices(weight, choice.tile)
        tiles.append(Tile(pixels=shown, label=str(channel), facts={"channel": int(channel)}))
    size = "x".join(map(str, weights.shape[2:]))
    title = f"{subject.title(name)}: {len(tiles)} of {len(weights)} filters, "
    title += f"{size} over {weights.shape[1]} channels"
    return Section(title=title, tiles=tuple(tiles), facts=facts_of(subject, name))


def _slices(weight: npt.NDArray[Any], tile: int, *, most: int = 64) -> Pixels:
    """The weights of a filter [c, h, w], an input channel a square, all by one largest weight."""
    shown = weight[:most]
    height, width = weight.shape[1:]
    columns = int(np.ceil(np.sqrt(len(shown))))
    rows = -(-len(shown) // columns)
    grid = np.zeros((rows * (height + 1), columns * (width + 1)))
    for place, each in enumerate(shown):
        top, left = (place // columns) * (height + 1), (place % columns) * (width + 1)
        grid[top : top + height, left : left + width] = each
    return fit(as_colour(np.repeat(grid[:-1, :-1, None], 3, axis=2)), tile)


# --- one picture after another -------------------------------------------------------------------


def activations(
    subject: Subject,
    pictures: Sequence[Named],
    *,
    layers: Sequence[str],
    choice: Choice,
    advance: Advance,
) -> Looks:
    """Of each picture the maps of layers, the strongest first, each by its own largest value.

    Raises BadInput for a layer or a channel that is not there, and for more than fits on a page;
    Failed for a network whose values are not finite. Pictures that cannot be read are among the
    failures.
    """
    names = checked_layers(subject, layers, choice)
    count = len(choice.channels) or choice.count or MAPS
    check_room(subject, names * len(pictures), tiles=count, each=1, tile=choice.tile)

    def of_one(pixels: Pixels, name: str) -> list[Section]:
        with torch.no_grad():
            found = run_to(subject.net, subject.prepare(as_tensor(pixels)[None]), names)
        sections = []
        for layer in names:
            maps = found[layer][0]
            chosen = choice.channels or strongest(maps, count=count)
            tiles = [_picture(pixels, name, choice)]
            for channel in chosen:
                plane = maps[channel].numpy()
                peak = float(plane.max())
                label = f"{label_of(subject, layer, channel)}: {peak:.3g}"
                facts = {"channel": int(channel), "largest": peak, "mean": float(plane.mean())}
                tiles.append(
                    Tile(pixels=fit(as_grey(plane), choice.tile), label=label, facts=facts)
                )
            sections.append(_section(subject, layer, tiles, name))
        return sections

    return _each(subject, pictures, of_one, advance=advance)


def projections(
    subject: Subject,
    pictures: Sequence[Named],
    *,
    layers: Sequence[str],
    rule: Rule,
    choice: Choice,
    advance: Advance,
) -> Looks:
    """Of each picture what channels of layers found in it, and beside it where they looked.

    Both are cut to what the channel's strongest value sees. Raises as `activations` does.
    """
    names = checked_layers(subject, layers, choice)
    count = len(choice.channels) or choice.count or CHANNELS
    check_room(subject, names * len(pictures), tiles=count, each=2, tile=choice.tile)

    def of_one(pixels: Pixels, name: str) -> list[Section]:
        sections = []
        for layer in names:
            tiles = [_picture(pixels, name, choice)]
            found = project(
                subject.net,
                as_tensor(pixels),
                layer=layer,
                rule=rule,
                channels=choice.channels or None,
                count=count,
                prepare=subject.prepare,
            )
            for each in found:
                box = inside(subject.fields[layer], each.row, each.column, pixels)
                signed = as_colour(cut(each.pixels.permute(1, 2, 0).numpy(), box))
                pair = mosaic([signed, cut(pixels, box)], side=choice.tile, columns=2)
                label = f"{label_of(subject, layer, each.channel)}: {each.value:.3g}"
                facts = {"channel": each.channel, "value": each.value, "box": list(box)}
                tiles.append(Tile(pixels=pair, label=label, facts=facts))
            sections.append(_section(subject, layer, tiles, name))
        return sections

    return _each(subject, pictures, of_one, advance=advance)


def _picture(pixels: Pixels, name: str, choice: Choice) -> Tile:
    return Tile(pixels=fit(pixels, choice.tile), label=name, facts={"picture": name})


def _section(subject: Subject, layer: str, tiles: Sequence[Tile], picture: str) -> Section:
    return Section(
        title=title_of(subject, layer),
        tiles=tuple(tiles),
        facts={**facts_of(subject, layer), "picture": picture},
    )


def _each(
    subject: Subject,
    pictures: Sequence[Named],
    of_one: Callable[[Pixels, str], list[Section]],
    *,
    advance: Advance,
) -> Looks:
    looks = Looks()
    for picture in pictures:
        try:
            pixels = view(subject, picture.source)
        except BadInput as error:
            looks.failures.append((picture.name, error))
        else:
            looks.sections.extend(of_one(pixels, picture.name))
            looks.done.append(picture.name)
        advance(picture.name)
    return looks
