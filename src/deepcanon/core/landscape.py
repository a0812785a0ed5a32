"""A seeded landscape that looks like a photograph: what `standin.photo` gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["Field", "Pixels", "Size", "ink", "landscape", "noise", "sides", "to_bytes"]

Pixels = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]  # [h, w], or [h, w, 3] colours in 0..1
Size = int | tuple[int, int]

_SUPERSAMPLE = 2

# Sky at the top, sky at the horizon, sunlight, far mountains, meadow: hours of a day.
_HOURS = [
    (
        (0.16, 0.38, 0.72),
        (0.78, 0.88, 0.95),
        (1.00, 0.97, 0.85),
        (0.45, 0.56, 0.70),
        (0.33, 0.47, 0.17),
    ),
    (
        (0.20, 0.24, 0.48),
        (0.98, 0.66, 0.42),
        (1.00, 0.80, 0.52),
        (0.42, 0.36, 0.52),
        (0.27, 0.30, 0.13),
    ),
    (
        (0.36, 0.52, 0.70),
        (0.97, 0.86, 0.72),
        (1.00, 0.92, 0.74),
        (0.52, 0.56, 0.66),
        (0.40, 0.45, 0.20),
    ),
    (
        (0.10, 0.30, 0.55),
        (0.62, 0.80, 0.88),
        (1.00, 1.00, 0.92),
        (0.30, 0.45, 0.58),
        (0.24, 0.42, 0.20),
    ),
]
_WALLS = [(0.92, 0.88, 0.80), (0.78, 0.40, 0.32), (0.85, 0.72, 0.45), (0.70, 0.76, 0.80)]
_ROOFS = [(0.55, 0.22, 0.16), (0.32, 0.26, 0.26), (0.45, 0.32, 0.22)]


def landscape(seed: int, size: Size = 256) -> Pixels:
    """`size` is a side or (height, width) in pixels; returns uint8 [h, w, 3]."""
    rng = np.random.default_rng(seed)
    height, width = sides(size)
    h, w = height * _SUPERSAMPLE, width * _SUPERSAMPLE
    top, low, sun, far, meadow = (np.array(c, np.float32) for c in _HOURS[rng.integers(4)])
    horizon = int(h * rng.uniform(0.50, 0.58))
    sun_at = (rng.uniform(0.15, 0.85) * w, horizon * rng.uniform(0.25, 0.7))

    scene = _sky(rng, (h, w), horizon, colours=(top, low, sun), sun_at=sun_at)
    ridges = int(rng.integers(3, 5))
    for nearness in np.linspace(0.15, 1.0, ridges):
        colour = far * (1 - nearness) + (meadow * 0.75 + 0.03) * nearness
        _ridge(
            rng, scene, horizon, nearness=float(nearness), colour=colour, light=sun, sun_x=sun_at[0]
        )
    shore = _lake(rng, scene, horizon, tint=top)
    _meadow(rng, scene, shore, colour=meadow, light=sun)
    picture = Image.fromarray(to_bytes(scene))
    _houses(rng, picture, shore, sun=sun, left_light=sun_at[0] < w / 2)
    _trees(rng, picture, shore, colour=meadow, sun=sun, left_light=sun_at[0] < w / 2)
    return _develop(rng, picture, (height, width))


def sides(size: Size) -> tuple[int, int]:
    """(height, width) of a size that may be given as one side."""
    return (size, size) if isinstance(size, int) else size


def noise(rng: np.random.Generator, shape: tuple[int, int], *, cells: float, octaves: int) -> Field:
    """Smooth noise in 0..1: `cells` bumps along the longer side, then finer and fainter ones."""
    h, w = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        per_pixel = cells * 2**octave / max(h, w)
        grid = (max(2, round(h * per_pixel)) + 1, max(2, round(w * per_pixel)) + 1)
        coarse = Image.fromarray(rng.random(grid, np.float32))
        total += np.asarray(coarse.resize((w, h), Image.Resampling.BICUBIC)) / 2**octave
    total -= total.min()
    scaled: Field = total / max(float(total.max()), 1e-6)
    return scaled


def ink(colour: npt.NDArray[Any]) -> tuple[int, int, int]:
    """A colour [3] in 0..1 as Pillow draws with."""
    red, green, blue = (int(each) for each in np.clip(colour * 255, 0, 255))
    return red, green, blue


def to_bytes(values: npt.NDArray[Any]) -> Pixels:
    """Values in 0..1 (clipped) to 0..255."""
    pixels: Pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return pixels


def _profile(rng: np.random.Generator, width: int, *, cells: float, octaves: int) -> Field:
    """One line of such noise, [w]."""
    x = np.linspace(0, 1, width, dtype=np.float32)
    total = np.zeros(width, np.float32)
    for octave in range(octaves):
        knots = max(3, int(cells * 2**octave) + 2)
        at = np.linspace(0, 1, knots)
        total += np.interp(x, at, rng.random(knots)).astype(np.float32) / 1.9**octave
    total -= total.min()
    scaled: Field = total / max(float(total.max()), 1e-6)
    return scaled


def _sky(
    rng: np.random.Generator,
    shape: tuple[int, int],
    horizon: int,
    *,
    colours: tuple[Field, Field, Field],
    sun_at: tuple[float, float],
) -> Field:
    h, w = shape
    top, low, sun = colours
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    down = np.clip(y / horizon, 0, 1)[..., None] ** 1.3
    sky = top * (1 - down) + low * down
    away = np.hypot(x - sun_at[0], y - sun_at[1]) / w
    disc = np.clip((0.032 - away) / 0.003, 0, 1)
    glow = 0.75 * np.exp(-((away / 0.07) ** 2)) + 0.35 * np.exp(-away / 0.22)
    # Clouds lie flatter towards the horizon: the noise is sampled in perspective.
    layer = noise(rng, (h, w), cells=5, octaves=6)
    rows = np.clip((np.linspace(0, 1, h) ** 0.6) * (h - 1), 0, h - 1).astype(np.int64)
    cover = rng.uniform(0.46, 0.58)
    cloud = np.clip((layer[rows] - cover) / 0.28, 0, 1)
    shade = np.clip(1.06 - 0.5 * np.clip(np.roll(layer[rows], h // 60, axis=0) - cover, 0, 1), 0, 1)
    lit = (0.72 * np.float32(1) + 0.28 * sun) * shade[..., None]
    sky = sky * (1 - 0.88 * cloud[..., None]) + lit * 0.88 * cloud[..., None]
    sky += glow[..., None] * (sun - 0.25) * 0.9
    blend = (disc * (1 - 0.6 * cloud))[..., None]
    result: Field = np.clip(sky * (1 - blend) + blend, 0, 1).astype(np.float32)
    return result


def _ridge(
    rng: np.random.Generator,
    scene: Field,
    horizon: int,
    *,
    nearness: float,
    colour: Field,
    light: Field,
    sun_x: float,
) -> None:
    h, w = scene.shape[:2]
    tall = h * (0.34 * (1 - nearness) + 0.07)
    sharp = 5 if nearness < 0.7 else 3
    crest = horizon - tall * (
        0.25 + 0.75 * _profile(rng, w, cells=2.5 + 2 * nearness, octaves=sharp)
    )
    y = np.arange(h, dtype=np.float32)[:, None]
    inside = np.clip(y - crest[None], 0, 1) * (y < horizon + 2)
    rough = noise(rng, (h, w), cells=14, octaves=5)
    facing = np.gradient(rough, axis=1) * w / 30
    if sun_x > w / 2:
        facing = -facing
    lit = np.clip(0.86 + 0.5 * facing * (0.4 + nearness), 0.45, 1.35)[..., None]
    depth = np.clip((y - crest[None]) / tall, 0, 1)[..., None]
    body = colour * lit * (1 - 0.18 * depth) + light * 0.10 * (1 - nearness) * depth
    if nearness < 0.3:  # snow on the far peaks
        high = np.clip((0.34 + 0.25 * (rough - 0.5) - depth[..., 0]) / 0.08, 0, 1)
        high *= np.clip((horizon - crest[None]) / tall - 0.5, 0, 1) * 2
        snow = np.clip(high, 0, 1)[..., None]
        body = body * (1 - snow) + snow * np.clip(lit, 0.7, 1.05) * (0.85 + 0.1 * light)
    scene[:] = scene * (1 - inside[..., None]) + np.clip(body, 0, 1) * inside[..., None]


def _lake(rng: np.random.Generator, scene: Field, horizon: int, *, tint: Field) -> Field:
    """Mirror the scene in the water; returns the row of the near shore in each column."""
    h, w = scene.shape[:2]
    shore: Field = horizon + (h - horizon) * (0.28 + 0.30 * _profile(rng, w, cells=2, octaves=4))
    y, x = np.mgrid[horizon:h, 0:w]
    below = y - horizon
    ripple = noise(rng, (h - horizon, w), cells=10, octaves=4)
    stretched = np.repeat(noise(rng, (h - horizon, 64), cells=64, octaves=2), -(-w // 64), 1)[:, :w]
    shake = (ripple - 0.5) * 0.10 * h * (0.15 + below / h) + (stretched - 0.5) * 0.02 * h
    rows = np.clip(horizon - 1 - below * 1.15 + shake, 0, horizon - 1).astype(np.int64)
    mirrored = scene[rows, x] * 0.80 + tint * 0.10
    sparkle = np.clip((ripple - 0.72) * 1.2, 0, 0.18)[..., None]
    scene[horizon:] = np.clip(mirrored + sparkle * scene[rows, x], 0, 1)
    scene[max(0, horizon - 1) : horizon + 2] *= 0.82
    return shore


def _meadow(
    rng: np.random.Generator, scene: Field, shore: Field, *, colour: Field, light: Field
) -> None:
    h, w = scene.shape[:2]
    y = np.arange(h, dtype=np.float32)[:, None]
    inside = np.clip((y - shore[None]) / 2, 0, 1)[..., None]
    near = np.clip((y - shore[None]) / (h - shore.min()), 0, 1)[..., None]
    blades = noise(rng, (h, w), cells=w / 14, octaves=3)[..., None]
    patches = noise(rng, (h, w), cells=6, octaves=4)[..., None]
    grass = colour * (0.62 + 0.45 * patches + 0.55 * (blades - 0.5) * (0.4 + near))
    grass += light * np.array([0.10, 0.08, 0.0], np.float32) * patches
    flowers = (rng.random((h, w)) < 0.0012 + 0.004 * (patches[..., 0] > 0.62))[..., None]
    hue = np.array([(0.95, 0.85, 0.35), (0.90, 0.40, 0.45), (0.95, 0.95, 0.95)], np.float32)
    grass = np.where(flowers, hue[rng.integers(0, 3, (h, w))], grass)
    sand = np.exp(-np.clip(y - shore[None], 0, None) / (0.012 * h))[..., None]
    grass = (
        grass * (1 - sand) + np.array([0.62, 0.54, 0.40], np.float32) * (0.7 + 0.5 * blades) * sand
    )
    scene[:] = scene * (1 - inside) + np.clip(grass, 0, 1) * inside


def _houses(
    rng: np.random.Generator, picture: Image.Image, shore: Field, *, sun: Field, left_light: bool
) -> None:
    draw = ImageDraw.Draw(picture)
    h = picture.height
    w = picture.width
    for centre in sorted(rng.uniform(0.08, 0.92, int(rng.integers(1, 4)))):
        foot = shore[int(centre * (w - 1))] + h * rng.uniform(0.05, 0.12)
        scale = 0.5 + 1.6 * (foot - shore.min()) / h
        wide, tall = w * 0.10 * scale * rng.uniform(0.8, 1.3), h * 0.065 * scale
        left, right, top = centre * w - wide / 2, centre * w + wide / 2, foot - tall
        wall = np.array(_WALLS[rng.integers(len(_WALLS))], np.float32) * (0.6 + 0.4 * sun)
        roof = np.array(_ROOFS[rng.integers(len(_ROOFS))], np.float32) * (0.6 + 0.4 * sun)
        gable = left + wide * (0.36 if left_light else 0.64)
        bright, dim = (1.0, 0.72) if left_light else (0.72, 1.0)
        draw.ellipse(
            (left - wide * 0.1, foot - tall * 0.1, right + wide * 0.1, foot + tall * 0.16),
            fill=ink(np.array([0.12, 0.16, 0.08])),
        )
        draw.rectangle((left, top, gable, foot), fill=ink(wall * bright))
        draw.rectangle((gable, top, right, foot), fill=ink(wall * dim))
        peak = top - tall * 0.75
        one = (left + gable) / 2
        two = (gable + right) / 2
        if left_light:
            draw.polygon([(left, top), (one, peak), (gable, top)], fill=ink(wall * bright))
            draw.polygon(
                [
                    (gable + wide * 0.02, top + tall * 0.06),
                    (one, peak),
                    (right - wide * 0.14, peak),
                    (right + wide * 0.04, top + tall * 0.06),
                ],
                fill=ink(roof * 0.85),
            )
        else:
            draw.polygon([(gable, top), (two, peak), (right, top)], fill=ink(wall * dim))
            draw.polygon(
                [
                    (gable - wide * 0.02, top + tall * 0.06),
                    (two, peak),
                    (left + wide * 0.14, peak),
                    (left - wide * 0.04, top + tall * 0.06),
                ],
                fill=ink(roof * 0.85),
            )
        for i in range(3):
            x = left + wide * (0.14 + 0.31 * i)
            pane = (x, top + tall * 0.32, x + wide * 0.10, top + tall * 0.66)
            draw.rectangle(pane, fill=ink(np.array([0.22, 0.26, 0.32])), outline=ink(wall * 1.1))


def _trees(
    rng: np.random.Generator,
    picture: Image.Image,
    shore: Field,
    *,
    colour: Field,
    sun: Field,
    left_light: bool,
) -> None:
    draw = ImageDraw.Draw(picture)
    h, w = picture.height, picture.width
    feet = [(x, shore[int(x * (w - 1))] + h * rng.uniform(0.01, 0.25)) for x in rng.random(16)]
    toward = -1 if left_light else 1
    for x, foot in sorted(feet, key=lambda each: each[1]):
        if foot > h * 0.97:
            continue
        tall = h * (0.05 + 0.32 * max(0.0, (foot - float(shore.min())) / h)) * rng.uniform(0.7, 1.3)
        base = colour * rng.uniform(0.55, 0.95) * np.array([rng.uniform(0.7, 1.4), 1, 0.9])
        cx = x * w
        draw.ellipse(
            (cx - tall * 0.4, foot - tall * 0.05, cx + tall * 0.4, foot + tall * 0.06),
            fill=ink(colour * 0.32),
        )
        draw.line(
            (cx, foot, cx, foot - tall * 0.5),
            fill=ink(np.array([0.25, 0.18, 0.12])),
            width=max(1, int(tall * 0.06)),
        )
        pine = rng.random() < 0.4
        for _ in range(260):
            up, side = rng.random(), rng.normal() * 0.5
            reach = (1 - up) * 0.26 if pine else 0.30 * np.sin(np.pi * (0.12 + 0.80 * up))
            px, py = cx + side * reach * tall, foot - tall * (0.16 + 0.84 * up)
            lit = 0.70 + 0.35 * up + 0.45 * np.clip(toward * side, -0.8, 0.8) + rng.normal() * 0.10
            r = tall * rng.uniform(0.018, 0.045)
            leaf = np.clip(base * lit * (0.75 + 0.25 * sun), 0, 1)
            draw.ellipse((px - r, py - r, px + r, py + r), fill=ink(leaf))


def _develop(rng: np.random.Generator, picture: Image.Image, size: tuple[int, int]) -> Pixels:
    """The camera: soft lens, darker corners, a little grain."""
    height, width = size
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32) / 255
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    pixels *= (1 - 0.10 * (x**2 + y**2))[..., None].astype(np.float32)
    pixels += rng.normal(0, 0.012, (height, width, 1)).astype(np.float32)
    return to_bytes(pixels)
