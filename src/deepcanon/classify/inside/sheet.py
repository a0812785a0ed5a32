"""Pictures of what is inside a network: arrays as grey or colour, laid out in titled sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from deepcanon.core.images import resize
from deepcanon.core.lettering import cut, font
from deepcanon.core.picture import Pixels

__all__ = ["Section", "Tile", "as_colour", "as_grey", "draw", "fit", "mosaic"]

Floats = npt.NDArray[np.floating[Any]]

_PAPER, _INK, _EMPTY = (250, 250, 248), (40, 40, 40), (225, 225, 225)
_GAP, _LABEL, _TITLE = 6, 16, 26  # pixels; the latter two are the heights of lines
_WIDEST = 1200  # pixels of a page, unless one tile is wider


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture [h, w, 3] with its label, and what is known of it, ready for JSON."""

    pixels: Pixels
    label: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Tiles under a title, and what is known of all of them, ready for JSON."""

    title: str
    tiles: tuple[Tile, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The facts, for JSON."""
        return {
            "title": self.title,
            **self.facts,
            "tiles": [dict(tile.facts) for tile in self.tiles],
        }


def as_grey(values: Floats) -> Pixels:
    """A map [h, w] from its least value (or zero, if that is less), black, to its largest, white.

    So a map of zeros is black, and one that is signed shows its zero in between.
    """
    low = min(0.0, float(values.min()))
    span = float(values.max()) - low
    scaled = np.zeros(values.shape) if span <= 0 else (values - low) / span
    return np.repeat(np.rint(255 * scaled).astype(np.uint8)[..., None], 3, axis=2)


def as_colour(values: Floats) -> Pixels:
    """Signed values [h, w, 3], zero in the middle grey, the largest of either sign at the end."""
    most = float(np.abs(values).max())
    scaled = np.zeros(values.shape) if most == 0 else values / most
    return np.rint(127.5 + 127.5 * scaled).astype(np.uint8)


def fit(pixels: Pixels, side: int) -> Pixels:
    """The picture with its longer side at ``side`` pixels; what is enlarged keeps its pixels."""
    height, width = pixels.shape[:2]
    if max(height, width) >= side:
        return resize(pixels, long_side=side)
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))


def mosaic(pictures: Sequence[Pixels], *, side: int, columns: int) -> Pixels:
    """Pictures in rows, each fitted into ``side`` x ``side`` pixels, with one pixel between."""
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + 1) - 1, rows * (side + 1) - 1), _EMPTY)
    for place, pixels in enumerate(pictures):
        row, column = divmod(place, columns)
        tile = Image.fromarray(fit(pixels, side))
        corner = column * (side + 1), row * (side + 1)
        page.paste(
            tile, (corner[0] + (side - tile.width) // 2, corner[1] + (side - tile.height) // 2)
        )
    return np.asarray(page)


def draw(sections: Sequence[Section], *, title: str) -> Pixels:
    """The page: title, then each section in rows of tiles as large as they are; uint8 [h, w, 3]."""
    tiles = [tile for section in sections for tile in section.tiles]
    width = max((tile.pixels.shape[1] for tile in tiles), default=_WIDEST) + _GAP
    most = max((len(section.tiles) for section in sections), default=1)
    columns = min(max(1, _WIDEST // width), most)
    texts = [title, *(section.title for section in sections)]
    needed = min(_WIDEST, max(round(font(14).getlength(text)) for text in texts) + 2 * _GAP)
    page_width = max(_GAP + columns * width, needed)
    heights = [_height(section, columns) for section in sections]
    page = Image.new("RGB", (page_width, _TITLE + sum(heights) + _GAP), _PAPER)
    ink = ImageDraw.Draw(page)
    ink.text(
        (_GAP, _TITLE / 2),
        cut(title, page_width - 2 * _GAP, 16),
        fill=_INK,
        font=font(16),
        anchor="lm",
    )
    top = _TITLE
    for section, height in zip(sections, heights, strict=True):
        text = cut(section.title, page_width - 2 * _GAP, 14)
        ink.text((_GAP, top + _TITLE / 2), text, fill=_INK, font=font(14), anchor="lm")
        _place(page, ink, section, top=top + _TITLE, columns=columns, width=width)
        top += height
    return np.asarray(page)


def _height(section: Section, columns: int) -> int:
    rows = -(-len(section.tiles) // columns)
    return _TITLE + rows * _row(section)


def _row(section: Section) -> int:
    tallest = max((tile.pixels.shape[0] for tile in section.tiles), default=0)
    return tallest + _LABEL + _GAP


def _place(
    page: Image.Image,
    ink: ImageDraw.ImageDraw,
    section: Section,
    *,
    top: int,
    columns: int,
    width: int,
) -> None:
    tall = _row(section)
    for place, tile in enumerate(section.tiles):
        row, column = divmod(place, columns)
        left, upper = _GAP + column * width, top + row * tall
        page.paste(Image.fromarray(tile.pixels), (left, upper))
        at = (left + tile.pixels.shape[1] / 2, upper + tile.pixels.shape[0] + _LABEL / 2)
        ink.text(at, cut(tile.label, width - _GAP, 11), fill=_INK, font=font(11), anchor="mm")
