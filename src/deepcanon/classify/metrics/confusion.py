"""A confusion matrix as a picture: rows are the right classes, columns the predicted ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from deepcanon.core.lettering import cut, font
from deepcanon.core.picture import Pixels

__all__ = ["draw_confusion"]

_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_RIGHT, _WRONG = (33, 102, 172), (178, 24, 43)  # blue and red that the colour-blind tell apart
_NAMED = 60  # classes: with more of them names and numbers would be too small to read
_NUMBERED = 30
_LONGEST_NAME = 200  # pixels
_NARROWEST = 440  # pixels: what is written above and below a small matrix


def draw_confusion(
    confusion: npt.NDArray[np.int64], *, classes: Sequence[str], title: str = ""
) -> Pixels:
    """The matrix [classes, classes] of counts, uint8 [h, w, 3].

    The depth of a colour is the share of its row, blue on the diagonal and red elsewhere; the
    numbers are counts.
    """
    count = len(classes)
    cell = max(2, min(44, 1200 // count))
    size = 13 if cell >= 20 else 10
    named = count <= _NAMED
    names = [cut(name, _LONGEST_NAME, size) for name in classes] if named else []
    margin = 16 + max((round(font(size).getlength(name)) for name in names), default=0)
    head = 28 if title else 8
    side = count * cell
    width = max(_NARROWEST, margin + side + 16)
    page = Image.new("RGB", (width, head + side + margin + 28), _PAPER)
    page.paste(Image.fromarray(_cells(confusion, cell)), (margin, head))
    draw = ImageDraw.Draw(page)
    draw.rectangle((margin - 1, head - 1, margin + side, head + side), outline=_INK)
    if title:
        room = page.width - 16
        draw.text((8, 14), cut(title, room, 14), fill=_INK, font=font(14), anchor="lm")
    for index, name in enumerate(names):
        middle = round((index + 0.5) * cell)
        at = (margin - 8, head + middle)
        draw.text(at, name, fill=_INK, font=font(size), anchor="rm")
        _draw_upright(page, name, x=margin + middle, top=head + side + 8, size=size)
    if count <= _NUMBERED:
        _draw_counts(draw, confusion, cell=cell, left=margin, top=head)
    said = cut("rows: the right class, columns: what it was taken for", page.width - 16, 11)
    draw.text((8, page.height - 12), said, fill=_INK, font=font(11), anchor="lm")
    return np.asarray(page)


def _cells(confusion: npt.NDArray[np.int64], cell: int) -> Pixels:
    shown = confusion.sum(axis=1, keepdims=True)
    share = (confusion / np.maximum(shown, 1))[..., None]
    on_diagonal = np.eye(len(confusion), dtype=bool)[..., None]
    colour = np.where(on_diagonal, np.array(_RIGHT), np.array(_WRONG))
    # The square root lifts the rare mistakes, which are what one looks for, off the paper.
    depth = np.sqrt(share)
    shades: Pixels = np.rint((1 - depth) * np.array(_PAPER) + depth * colour).astype(np.uint8)
    large: Pixels = shades.repeat(cell, axis=0).repeat(cell, axis=1)
    return large


def _draw_counts(
    draw: ImageDraw.ImageDraw, confusion: npt.NDArray[np.int64], *, cell: int, left: int, top: int
) -> None:
    shown = np.maximum(confusion.sum(axis=1), 1)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            dark = count / shown[row] > 0.25
            text = str(count)
            letters = font(max(7, min(13, int(1.5 * (cell - 4) / len(text)))))
            middle = (left + round((column + 0.5) * cell), top + round((row + 0.5) * cell))
            draw.text(middle, text, fill=_PAPER if dark else _INK, font=letters, anchor="mm")


def _draw_upright(page: Image.Image, name: str, *, x: int, top: int, size: int) -> None:
    """Text that reads from the bottom to the top, ending below the column at `x`."""
    letters = font(size)
    line = Image.new("RGB", (max(1, round(letters.getlength(name))), size + 6), _PAPER)
    ImageDraw.Draw(line).text((0, line.height / 2), name, fill=_INK, font=letters, anchor="lm")
    page.paste(line.transpose(Image.Transpose.ROTATE_90), (x - line.height // 2, top))
