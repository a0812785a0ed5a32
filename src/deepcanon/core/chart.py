"""Charts with Pillow: lines with axes, ticks, a legend, linear or logarithmic scales; bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from deepcanon.core.lettering import cut, font

__all__ = ["Chart", "Line", "Scale", "Stroke", "draw", "draw_bars", "ticks"]

Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float]

_PAPER, _INK, _FAINT, _GRID = (255, 255, 255), (40, 40, 40), (110, 110, 110), (228, 228, 228)
# Okabe & Ito 2008: eight colours that the colour-blind tell apart, without the yellow, which is
# too pale for a line.
_COLOURS = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (0, 0, 0),
)
_FINE = 3  # drawn so many times as large, then shrunk: smooth lines
_SMALL, _LARGE = 12, 15  # of text, pixels
_DASH = (7, 5)  # pixels drawn, pixels left out
_ROW = 20  # of the legend, pixels
_SAMPLE = 26  # of a line in the legend, pixels


class Scale(StrEnum):
    """How an axis runs."""

    LINEAR = "linear"
    LOG = "log"  # points that are not above zero are left out


class Stroke(StrEnum):
    """How a line is drawn."""

    SOLID = "solid"
    DASHED = "dashed"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named sequence of (x, y). ``colour`` is a place in the palette; None: the line's own."""

    name: str
    points: Sequence[Point]
    stroke: Stroke = Stroke.SOLID
    colour: int | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One pair of axes. A range that is None is that of the points."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    x_scale: Scale = Scale.LINEAR
    y_scale: Scale = Scale.LINEAR
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


class _Axis(NamedTuple):
    """Values from ``low`` to ``high`` lie on pixels from ``begin`` to ``end``."""

    scale: Scale
    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.low, self.high
        if self.scale is Scale.LOG:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)


def draw(*charts: Chart, width: int = 560, height: int = 420) -> Pixels:
    """The charts side by side, each ``width`` x ``height`` pixels; uint8 [height, all widths, 3].

    Points with a coordinate that is not finite are left out.
    """
    if not charts:
        raise ValueError("there is no chart to draw")
    return np.concatenate([_draw(each, width, height) for each in charts], axis=1)


def draw_bars(shares: Sequence[tuple[str, float]], *, title: str, width: int = 560) -> Pixels:
    """A row for each name: a bar as long as its share of 1, and the share; uint8 [h, width, 3]."""
    small = font(_SMALL)
    names = [cut(name, 0.4 * width, _SMALL) for name, _ in shares]
    left = 19 + max((small.getlength(name) for name in names), default=0)
    longest = width - 24 - left - small.getlength("100.0 %")
    page = Image.new("RGB", (width, 44 + _ROW * len(shares)), _PAPER)
    pen = ImageDraw.Draw(page)
    said = cut(title, width - 24, _LARGE)
    pen.text((12, 18), said, fill=_INK, font=font(_LARGE), anchor="lm")
    for row, (name, (_, share)) in enumerate(zip(names, shares, strict=True)):
        y, end = 34 + _ROW * (row + 0.5), left + share * longest
        pen.text((left - 7, y), name, fill=_INK, font=small, anchor="rm")
        pen.rectangle((left, y - 6, end, y + 6), fill=_COLOURS[0])
        pen.text((end + 7, y), f"{100 * share:.1f} %", fill=_FAINT, font=small, anchor="lm")
    return np.asarray(page)


def ticks(low: float, high: float, *, scale: Scale = Scale.LINEAR, most: int = 7) -> list[float]:
    """Round numbers from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten.

    On a logarithmic scale powers of ten, and between them 2 and 5 where there are few. At most
    ``most`` where that is possible.
    """
    if scale is Scale.LOG:
        return _log_ticks(low, high, most=most)
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(
        power * each for each in (1, 2, 5, 10, 20) if span / (power * each) <= most - 1 + 1e-9
    )
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    # Ten digits: 3 * 0.1 is to be 0.3.
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def _log_ticks(low: float, high: float, *, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9) + 1)
    inside = (low * (1 - 1e-9), high * (1 + 1e-9))
    for steps in ((1, 2, 5), (1,)):
        found = [step * 10.0**power for power in powers for step in steps]
        found = [each for each in found if inside[0] <= each <= inside[1]]
        if len(found) <= most:
            break
    return found[:: math.ceil(len(found) / most)] if len(found) > 1 else [low, high]


def _draw(chart: Chart, width: int, height: int) -> Pixels:
    shown = [_visible(line, chart) for line in chart.lines]
    rows = _legend(chart.lines, room=width - 24)
    top = 34 + _ROW * len(rows) + 26
    x_low, x_high = _range([x for each in shown for x, _ in each], chart.x_range, chart.x_scale)
    y_low, y_high = _range([y for each in shown for _, y in each], chart.y_range, chart.y_scale)
    y_ticks = ticks(y_low, y_high, scale=chart.y_scale)
    left = 22 + max((font(_SMALL).getlength(_text(each)) for each in y_ticks), default=0)
    across = _Axis(chart.x_scale, x_low, x_high, left, width - 24)
    up = _Axis(chart.y_scale, y_low, y_high, height - 50, top)
    image = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
    pen = ImageDraw.Draw(image)
    _grid(pen, across, up, y_ticks=y_ticks)
    layer = image.copy()
    for place, (line, points) in enumerate(zip(chart.lines, shown, strict=True)):
        path = [(across(x), up(y)) for x, y in points]
        _stroke(ImageDraw.Draw(layer), path, colour=_colour(line, place), stroke=line.stroke)
    # What is outside of a range that was given ends at the axes; dots on them stay round.
    box = [round(each * _FINE) for each in (left - 4, top - 4, width - 20, height - 46)]
    image.paste(layer.crop((box[0], box[1], box[2], box[3])), (box[0], box[1]))
    _border(pen, across, up)
    for row, names in enumerate(rows):
        for place, at in names:
            y = 34 + _ROW * (row + 0.5)
            line = chart.lines[place]
            sample = [(at, y), (at + _SAMPLE, y)]
            _stroke(pen, sample, colour=_colour(line, place), stroke=line.stroke)
    page = image.resize((width, height), Image.Resampling.BOX)
    _write(page, chart, across, up, y_ticks=y_ticks, rows=rows)
    return np.asarray(page)


def _visible(line: Line, chart: Chart) -> list[Point]:
    """The points that have a place on the axes."""
    found = [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    if chart.x_scale is Scale.LOG:
        found = [(x, y) for x, y in found if x > 0]
    if chart.y_scale is Scale.LOG:
        found = [(x, y) for x, y in found if y > 0]
    return found


def _range(
    values: Sequence[float], given: tuple[float, float] | None, scale: Scale
) -> tuple[float, float]:
    """From the least to the greatest; never empty."""
    logarithmic = scale is Scale.LOG
    low, high = given or (min(values, default=1.0), max(values, default=1.0))
    if low < high:
        return low, high
    if logarithmic:
        return low / 2, low * 2
    return low - (abs(low) or 1) / 2, low + (abs(low) or 1) / 2


def _legend(lines: Sequence[Line], *, room: float) -> list[list[tuple[int, float]]]:
    """Rows of (place of a line, where its sample begins)."""
    rows: list[list[tuple[int, float]]] = [[]]
    at = 12.0
    for place, line in enumerate(lines):
        wide = _SAMPLE + 6 + font(_SMALL).getlength(line.name)
        if rows[-1] and at + wide > room:
            rows.append([])
            at = 12.0
        rows[-1].append((place, at))
        at += wide + 18
    return rows


def _grid(pen: ImageDraw.ImageDraw, across: _Axis, up: _Axis, *, y_ticks: Sequence[float]) -> None:
    for each in y_ticks:
        y = up(each) * _FINE
        pen.line((across.begin * _FINE, y, across.end * _FINE, y), fill=_GRID, width=_FINE)
    for each in ticks(across.low, across.high, scale=across.scale):
        x = across(each) * _FINE
        pen.line((x, up.begin * _FINE, x, up.end * _FINE), fill=_GRID, width=_FINE)


def _border(pen: ImageDraw.ImageDraw, across: _Axis, up: _Axis) -> None:
    left, right, bottom, top = (
        each * _FINE for each in (across.begin, across.end, up.begin, up.end)
    )
    pen.line((left, top, left, bottom, right, bottom), fill=_FAINT, width=_FINE)


def _stroke(
    pen: ImageDraw.ImageDraw, path: Sequence[Point], *, colour: tuple[int, int, int], stroke: Stroke
) -> None:
    """Through all the points; a single one is a dot."""
    fine = [(x * _FINE, y * _FINE) for x, y in path]
    if not fine:
        return
    if len(fine) == 1:
        ((x, y),) = fine
        reach = 3 * _FINE
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
        return
    pieces = [fine] if stroke is Stroke.SOLID else _dashes(fine)
    for piece in pieces:
        pen.line(piece, fill=colour, width=2 * _FINE, joint="curve")


def _dashes(path: Sequence[Point]) -> list[list[Point]]:
    """A path cut into dashes, of the same length around corners."""
    pieces: list[list[Point]] = []
    drawn, left_out = (each * _FINE for each in _DASH)
    walked = 0.0  # since the last dash began
    for (x0, y0), (x1, y1) in pairwise(path):
        length = math.hypot(x1 - x0, y1 - y0)
        done = 0.0
        while done < length:
            on = walked < drawn
            step = min((drawn if on else drawn + left_out) - walked, length - done)
            if on:
                begin, end = (
                    (x0 + (x1 - x0) * at / length, y0 + (y1 - y0) * at / length)
                    for at in (done, done + step)
                )
                if walked and pieces:
                    pieces[-1].append(end)
                else:
                    pieces.append([begin, end])
            done += step
            walked += step
            if walked >= drawn + left_out - 1e-6:
                walked = 0.0
    return pieces


def _write(
    page: Image.Image,
    chart: Chart,
    across: _Axis,
    up: _Axis,
    *,
    y_ticks: Sequence[float],
    rows: Sequence[Sequence[tuple[int, float]]],
) -> None:
    pen = ImageDraw.Draw(page)
    small = font(_SMALL)
    pen.text((12, 18), chart.title, fill=_INK, font=font(_LARGE), anchor="lm")
    for row, names in enumerate(rows):
        for place, at in names:
            where = (at + _SAMPLE + 6, 34 + _ROW * (row + 0.5))
            pen.text(where, chart.lines[place].name, fill=_INK, font=small, anchor="lm")
    pen.text((12, up.end - 16), chart.y, fill=_FAINT, font=small, anchor="lm")
    for each in y_ticks:
        pen.text((across.begin - 7, up(each)), _text(each), fill=_FAINT, font=small, anchor="rm")
    for each in ticks(across.low, across.high, scale=across.scale):
        where = (across(each), up.begin + 12)
        pen.text(where, _text(each), fill=_FAINT, font=small, anchor="mm")
    middle = ((across.begin + across.end) / 2, up.begin + 34)
    pen.text(middle, chart.x, fill=_FAINT, font=small, anchor="mm")


def _text(value: float) -> str:
    """A tick's number: 1,500, 0.25, 20M."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:,.10g}"


def _colour(line: Line, place: int) -> tuple[int, int, int]:
    return _COLOURS[(place if line.colour is None else line.colour) % len(_COLOURS)]
