"""Stand-in data: seeded, generated pictures for tests, demos and smoke runs without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from deepcanon.core.images import save
from deepcanon.core.landscape import Field, Pixels, Size, ink, landscape, noise, sides, to_bytes

__all__ = ["SHAPES", "painting", "photo", "picture_folder", "shape", "shape_folder"]

_SUPERSAMPLE = 2

_PALETTES = [
    ["#12355b", "#2f6690", "#81c3d7", "#f4d35e", "#ee964b", "#f95738", "#0b132b"],
    ["#5f0f40", "#9a031e", "#fb8b24", "#e36414", "#0f4c5c", "#f5e0b7", "#1b1b2f"],
    ["#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51", "#fefae0", "#14213d"],
    ["#22223b", "#4a4e69", "#c9ada7", "#f2e9e4", "#b5179e", "#4361ee", "#4cc9f0"],
]


def photo(seed: int, size: Size = 256) -> Pixels:
    """A landscape like a photograph: sky, sun, clouds, mountains, a lake, houses and trees.

    `size` is a side or (height, width) in pixels; returns uint8 [h, w, 3]. The same seed and size
    give the same picture.
    """
    return landscape(seed, size)


def painting(seed: int, size: Size = 256) -> Pixels:
    """An abstract painting: strokes of a few colours that follow a swirling field.

    `size` is a side or (height, width) in pixels; returns uint8 [h, w, 3].
    """
    rng = np.random.default_rng(seed)
    height, width = sides(size)
    h, w = height * _SUPERSAMPLE, width * _SUPERSAMPLE
    palette = np.array([_hex(each) for each in _PALETTES[rng.integers(len(_PALETTES))]], np.float32)
    rng.shuffle(palette)
    side = max(h, w)
    angle = noise(rng, (h, w), cells=3, octaves=3) * 2.4 * np.pi + _swirls(rng, (h, w))
    tone = noise(rng, (h, w), cells=4, octaves=4)
    # Equal shares: the tone's rank picks the colour, so that no seed gives a nearly plain picture.
    rank = np.searchsorted(np.quantile(tone, np.linspace(0, 1, len(palette) + 1)[1:-1]), tone)

    canvas = Image.fromarray(to_bytes(palette[rank] * 0.8))
    relief = Image.new("L", (w, h), 128)
    draw, lift = ImageDraw.Draw(canvas), ImageDraw.Draw(relief)
    for thickness in (0.045, 0.028, 0.016):
        count = int(0.9 / thickness**2 * (h * w / side**2))
        for y, x in zip(rng.integers(0, h, count), rng.integers(0, w, count), strict=True):
            base = palette[rank[y, x]]
            if rng.random() < 0.06:
                base = palette[rng.integers(len(palette))]
            _stroke(rng, draw, lift, angle, at=(x, y), thickness=thickness * side, colour=base)
    pixels = np.asarray(canvas, np.float32) / 255
    grain = noise(rng, (h, w), cells=max(8, side // 6), octaves=2)
    bumps = (
        np.asarray(relief.filter(ImageFilter.GaussianBlur(1.2)), np.float32) / 255 + 0.05 * grain
    )
    slope = np.gradient(bumps, axis=0) + np.gradient(bumps, axis=1)
    lit = pixels * (1 + 1.1 * np.clip(slope, -0.25, 0.25))[..., None]
    image = Image.fromarray(to_bytes(lit)).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(image)


def picture_folder(folder: str | Path, n: int, seed: int = 0, *, size: Size = 256) -> list[Path]:
    """Write `n` photos as JPEG files into `folder` (made when missing); returns their paths."""
    paths = [Path(folder) / f"photo-{i:04d}.jpg" for i in range(n)]
    for i, path in enumerate(paths):
        save(photo(seed * 100_003 + i, size), path)
    return paths


# fmt: off
SHAPES = (
    "disc", "ring", "square", "frame", "triangle", "cross", "star", "stripes", "bars", "checks",
)
# fmt: on


def shape(label: int, seed: int | Sequence[int], size: Size = 32) -> Pixels:
    """A picture of one of `SHAPES`: its place, size, turn and colours are drawn from the seed.

    Light on dark or dark on light, with noise, so that neither colour nor brightness tells the
    class. `size` is a side or (height, width) in pixels; returns uint8 [h, w, 3].
    """
    rng = np.random.default_rng([*([seed] if isinstance(seed, int) else seed), label])
    height, width = (4 * side for side in sides(size))
    reach = min(height, width) * rng.uniform(0.28, 0.42)
    centre = rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)
    turn = rng.uniform(-0.25, 0.25)  # radians: stripes never turn into bars
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * reach
    mask = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(mask)
    for outline, fill in _outlines(SHAPES[label]):
        draw.polygon([(x, y) for x, y in (np.asarray(outline) @ axes + centre).tolist()], fill=fill)
    inside = np.asarray(mask.resize((width // 4, height // 4), Image.Resampling.BOX), np.float32)
    dark, light = rng.uniform(0, 100, 3), rng.uniform(155, 255, 3)
    back, front = (dark, light) if rng.random() < 0.5 else (light, dark)
    pixels = back + (front - back) * (inside / 255)[..., None]
    return to_bytes((pixels + rng.normal(0, 12, pixels.shape)) / 255)


def shape_folder(folder: str | Path, *, each: int, seed: int = 0, size: Size = 32) -> list[Path]:
    """Write `each` PNG pictures of all `SHAPES` into `folder`/SHAPE; returns their paths."""
    paths = []
    for label, name in enumerate(SHAPES):
        for place in range(each):
            paths.append(Path(folder, name, f"{name}-{place:04d}.png"))
            save(shape(label, [seed, place], size), paths[-1])
    return paths


Outline = Sequence[tuple[float, float]]


def _outlines(name: str) -> list[tuple[Outline, int]]:
    """Polygons within -1..1 and what to fill each with, one over the other."""
    if name in ("disc", "ring"):
        whole = _regular(32, 1.0)
        return [(whole, 255)] if name == "disc" else [(whole, 255), (_regular(32, 0.55), 0)]
    if name in ("square", "frame"):
        whole = _block(-0.85, -0.85, 1.7, 1.7)
        return [(whole, 255)] + [(_block(-0.45, -0.45, 0.9, 0.9), 0)] * (name == "frame")
    if name == "triangle":
        return [(_regular(3, 1.0), 255)]
    if name == "cross":
        return [(_block(-1, -0.3, 2, 0.6), 255), (_block(-0.3, -1, 0.6, 2), 255)]
    if name == "star":
        outer, inner = _regular(5, 1.0), _regular(5, -0.4)
        # The inner corner that lies opposite to an outer one is two and a half steps on.
        return [([each for i in range(5) for each in (outer[i], inner[(i + 3) % 5])], 255)]
    if name == "stripes":
        return [(_block(-0.9, top, 1.8, 0.36), 255) for top in (-0.9, -0.18, 0.54)]
    if name == "bars":
        return [(_block(left, -0.9, 0.36, 1.8), 255) for left in (-0.9, -0.18, 0.54)]
    places = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2]
    return [(_block(-0.9 + 0.45 * i, -0.9 + 0.45 * j, 0.45, 0.45), 255) for i, j in places]


def _regular(corners: int, radius: float) -> Outline:
    """A regular polygon, its first corner on top."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return [(radius * float(np.sin(a)), -radius * float(np.cos(a))) for a in angles]


def _block(left: float, top: float, width: float, height: float) -> Outline:
    right, bottom = left + width, top + height
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _swirls(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Extra turning around a few centres, in radians."""
    h, w = shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    total = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(3, 6))):
        cx, cy, reach = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.12, 0.3) * max(h, w)
        around = np.arctan2(y - cy, x - cx) + np.pi / 2
        near = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / reach**2))
        total += (around * near).astype(np.float32)
    return total


def _stroke(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    lift: ImageDraw.ImageDraw,
    angle: Field,
    *,
    at: tuple[int, int],
    thickness: float,
    colour: Field,
) -> None:
    h, w = angle.shape
    x, y = float(at[0]), float(at[1])
    points = [(x, y)]
    for _ in range(int(rng.integers(4, 9))):
        turn = angle[min(max(int(y), 0), h - 1), min(max(int(x), 0), w - 1)]
        x, y = x + np.cos(turn) * thickness * 0.7, y + np.sin(turn) * thickness * 0.7
        points.append((x, y))
    body = colour * rng.uniform(0.85, 1.12) + rng.normal(0, 0.025, 3)
    # A brush is several hairs: parallel lines of slightly different tone.
    hairs = max(2, int(thickness / 5))
    for hair in np.linspace(-0.5, 0.5, hairs):
        off = hair * thickness
        line = [(px - np.sin(turn) * off, py + np.cos(turn) * off) for px, py in points]
        tone = body * (1 + rng.normal(0, 0.06))
        wide = max(1, round(thickness / hairs * 1.5))
        draw.line(line, fill=ink(tone), width=wide, joint="curve")
        lift.line(line, fill=int(rng.integers(90, 170)), width=wide)


def _hex(text: str) -> tuple[float, float, float]:
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
