"""One photograph in every style, and pictures side by side on one page with their names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from deepcanon.core.lettering import Font, cut, font
from deepcanon.core.picture import Picture, Pixels
from deepcanon.style.predict import Stylized, Stylizer, style_names

__all__ = ["contact_sheet", "every_style"]

_PAPER = (250, 250, 248)
_INK = (40, 40, 40)
_SMALLEST = 8  # of a label, in pixels
_PAGE_SHAPE = 1.5  # width by height of the page aimed at


def every_style(
    picture: Picture,
    *,
    model: str | Path | None = None,
    engine: str = "auto",
    threads: int | None = None,
    strength: float = 1.0,
    keep_color: bool = False,
) -> Iterator[tuple[str, Stylized]]:
    """Repaint a picture in each style of a network, in the network's order; see `Stylizer`."""
    for name in style_names(model):
        stylizer = Stylizer(name, model=model, engine=engine, threads=threads)
        yield name, stylizer(picture, strength=strength, keep_color=keep_color)


def contact_sheet(tiles: Sequence[tuple[str, Pixels]], *, columns: int | None = None) -> Pixels:
    """Lay out (label, uint8 [h, w, 3]) tiles in rows; the page is uint8 [h, w, 3].

    All tiles get the room of the largest. Without `columns` the grid is chosen that leaves little
    paper empty and is a little wider than it is high.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    height = max(pixels.shape[0] for _, pixels in tiles)
    width = max(pixels.shape[1] for _, pixels in tiles)
    gap = max(8, min(height, width) // 24)
    size = max(11, width // 22)
    line = size * 2
    if columns is None:
        columns = _columns(len(tiles), width=width + gap, height=height + line)
    rows = math.ceil(len(tiles) / columns)
    page = (gap + columns * (width + gap), gap + rows * (height + line))
    sheet = Image.new("RGB", page, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (label, pixels) in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = gap + column * (width + gap), gap + row * (height + line)
        tile = Image.fromarray(pixels)
        sheet.paste(tile, (left + (width - tile.width) // 2, top + height - tile.height))
        centre = (left + width / 2, top + height + line / 2)
        text, letters = _fit(label, width, size)
        draw.text(centre, text, fill=_INK, font=letters, anchor="mm")
    return np.asarray(sheet)


def _columns(count: int, *, width: int, height: int) -> int:
    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        shape = columns * width / (rows * height)
        empty = rows * columns / count - 1
        return abs(math.log(shape / _PAGE_SHAPE)) + 4 * empty

    return min(range(1, count + 1), key=badness)


def _fit(label: str, width: int, size: int) -> tuple[str, Font]:
    """The label at `size`, smaller where it would be wider than its tile, cut where that is so."""
    length = font(size).getlength(label)
    if length > width:
        size = max(_SMALLEST, int(size * width / length))
    return cut(label, width, size), font(size)
