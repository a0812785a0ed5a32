"""From a decoded picture to what a classifier reads: resized, cut, scaled. numpy and Pillow only.

How a picture is cut decides the score by points, so each way has the name that papers use:

- `Crops.ONE`: the shorter side brought to ``resize``, the centre cut out; what is usually quoted.
- `Crops.TEN`: AlexNet, Krizhevsky et al. 2012, §4.1: the central square, its four corners and its
  centre, and the six mirrored; the ten softmax outputs are averaged. Where ``resize`` is the side
  itself, as for CIFAR, the five coincide: what is averaged is the picture and its mirror image.
- `Crops.FIFTY`: VGG, Simonyan & Zisserman 2015, §3.2, §4.3 ("multi-crop"): five by five crops over
  the whole picture at equal distances, and the same of its mirror image; averaged as before.
- `Crops.DENSE`: VGG, Simonyan & Zisserman 2015, §3.2: the whole picture, over which the fully
  connected layers slide; the map of class scores is averaged (the network does that), and so are
  the softmax outputs of the picture and of its mirror image.

The resizing is torchvision's of Pillow pictures (bilinear, antialiased, the longer side rounded
down), since that is what the published scores of the published weights were measured with.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepcanon.core.picture import Pixels
from deepcanon.nn.preprocessing import Preprocessing

__all__ = ["Crops", "cut", "fifty", "one", "prepare", "ten", "whole"]


# A strip is cut to this many times its shorter side before it is resized. The crops lie in its
# middle and lose nothing; without it a line of 16 x 6,000,000 pixels would fill the memory.
_LONGEST = 8


class Crops(StrEnum):
    """Which parts of a picture the network is shown; see the module."""

    ONE = "1-crop"
    TEN = "10-crop"
    FIFTY = "50-crop"
    DENSE = "dense"


def cut(pixels: Pixels, *, crops: Crops, side: int, resize: int) -> Pixels:
    """What the network is shown of one picture: uint8 [h, w, 3] -> [n, h', w', 3]."""
    if crops is Crops.ONE:
        return one(pixels, side=side, resize=resize)[None]
    if crops is Crops.TEN:
        return ten(pixels, side=side, resize=resize)
    if crops is Crops.FIFTY:
        return fifty(pixels, side=side, resize=resize)
    return whole(pixels, resize=resize)


def one(pixels: Pixels, *, side: int, resize: int) -> Pixels:
    """The centre, [side, side, 3] in pixels, of a picture whose shorter side becomes ``resize``.

    Raises `ValueError` when ``resize`` is shorter than ``side``.
    """
    return _centre(_to_short_side(pixels, resize, at_least=side), side)


def ten(pixels: Pixels, *, side: int, resize: int) -> Pixels:
    """AlexNet §4.1: corners (top left, top right, bottom left, bottom right), centre, mirrored.

    They are of the central square of a picture whose shorter side becomes ``resize``: [10, side,
    side, 3] in pixels. Raises `ValueError` when ``resize`` is shorter than ``side``.
    """
    square = _centre(_to_short_side(pixels, resize, at_least=side), resize)
    far = resize - side
    corners = [
        square[top : top + side, left : left + side] for top in (0, far) for left in (0, far)
    ]
    five = np.stack([*corners, _centre(square, side)])
    return np.concatenate([five, five[:, :, ::-1]])


def fifty(pixels: Pixels, *, side: int, resize: int) -> Pixels:
    """VGG §4.3: a regular grid of 5 x 5 crops, row by row, and mirrored: [50, side, side, 3].

    They cover a picture whose shorter side becomes ``resize``. Raises `ValueError` when ``resize``
    is shorter than ``side``.
    """
    picture = _to_short_side(pixels, resize, at_least=side)
    down, right = (np.linspace(0, length - side, 5).round() for length in picture.shape[:2])
    grid = np.stack(
        [
            picture[top : top + side, left : left + side]
            for top in down.astype(int)
            for left in right.astype(int)
        ]
    )
    return np.concatenate([grid, grid[:, :, ::-1]])


def whole(pixels: Pixels, *, resize: int) -> Pixels:
    """VGG §3.2: the picture at a shorter side of ``resize`` pixels, and mirrored: [2, h, w, 3].

    Of a strip longer than 8 times its width only the middle is taken.
    """
    picture = _to_short_side(pixels, resize, at_least=1)
    return np.stack([picture, picture[:, ::-1]])


def prepare(pixels: Pixels, *, how: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """uint8 [h, w, 3] or [n, h, w, 3], RGB -> what the network reads, float32 [n, 3, h, w].

    The twin of `nn.preprocessing.preprocess` without torch; ``how`` is a record's preprocessing.
    Raises KeyError, TypeError or ValueError when it does not hold one.
    """
    known = Preprocessing.from_dict(how)
    # (x / 255 * scale - mean) / std in one multiplication and one subtraction a value.
    factor = known.scale / (255 * np.array(known.std))
    shift = np.array(known.mean) / known.std
    planes = (pixels if pixels.ndim == 4 else pixels[None]).transpose(0, 3, 1, 2)
    if known.order == "BGR":
        planes = planes[:, ::-1]
    prepared = np.empty(planes.shape, np.float32)
    np.multiply(planes, factor.astype(np.float32)[:, None, None], out=prepared)
    prepared -= shift.astype(np.float32)[:, None, None]
    return prepared


def _to_short_side(pixels: Pixels, resize: int, *, at_least: int) -> Pixels:
    if resize < at_least:
        raise ValueError(f"no {at_least} pixels can be cut from a shorter side of {resize}")
    height, width = pixels.shape[:2]
    short = min(height, width)
    if max(height, width) > _LONGEST * short:
        tall, wide = min(height, _LONGEST * short), min(width, _LONGEST * short)
        top, left = (height - tall) // 2, (width - wide) // 2
        pixels, height, width = pixels[top : top + tall, left : left + wide], tall, wide
    size = height * resize // short, width * resize // short
    if size == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def _centre(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return pixels[top : top + side, left : left + side]
