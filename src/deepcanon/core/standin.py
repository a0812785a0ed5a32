"""Stand-in data: seeded, generated pictures for tests, demos and smoke runs without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from deepcanon.core.images import save
from deepcanon.core.landscape import Field, Pixels, Size, ink, landscape, noise, sides, to_bytes

__all__ = ["painting", "photo", "picture_folder"]

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
