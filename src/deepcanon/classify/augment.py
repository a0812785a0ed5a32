"""How the papers vary their training pictures: functions of a picture and a random generator.

A picture goes in as bytes, [h, w, 3] RGB, and comes out as float32 [side, side, 3] in 0..1, which
the shift of `lighting` may leave by a little. The papers' sizes are for networks that read 224
(CIFAR: 32) pixels; for another side all of them grow or shrink alike.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from deepcanon.classify import crops
from deepcanon.classify.data.pictures import Pixels

__all__ = [
    "Augmentation",
    "Box",
    "augment",
    "cut",
    "lighting",
    "longest_short_side",
    "padded",
    "patch",
    "window",
]

Floats = NDArray[np.float32]
Kind = TypeVar("Kind", bound=np.generic)


class Augmentation(StrEnum):
    """What is done to a picture whenever training shows it."""

    NONE = "none"  # the shorter side brought to `side`, the centre cut out
    # He et al. 2016 §4.2 (and Lee et al. 2015): 4 pixels padded on each side of 32, a 32x32 crop
    # of that or of its mirror image.
    CIFAR = "cifar"
    # Krizhevsky et al. 2012 §4.1: shorter side 256, of the central 256x256 a random 224x224, or its
    # mirror image; the colours shifted along their principal components.
    ALEXNET = "alexnet"
    # Simonyan & Zisserman 2015 §3.1: shorter side S drawn from 256 to 512 for each picture, a
    # random 224x224 of the whole, mirror images, AlexNet's shift of colours.
    VGG = "vgg"
    RESNET = "resnet"  # He et al. 2016, §3.4: as VGG's, but S from 256 to 480
    # Szegedy et al. 2015 §6: a patch of 8 to 100 % of the area, its sides in a ratio of 3/4 to 4/3.
    # The photometric distortions, which helped "to some extent", are left out; mirror images, which
    # the paper does not speak of, are in, as in every later training of these networks.
    INCEPTION = "inception"


_LONGEST = {Augmentation.VGG: 512, Augmentation.RESNET: 480}  # of the shorter sides that are drawn


class Box(NamedTuple):
    """A part of a picture in its own pixels; edges may lie between two of them."""

    left: float
    top: float
    right: float
    bottom: float


def augment(
    pixels: Pixels,
    *,
    side: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Floats:
    """What training sees of a picture this time; float32 [side, side, 3], RGB in 0..1.

    ``fill`` is the colour in 0..1 of CIFAR's padding. He et al. pad with zeros after the mean is
    subtracted: the mean is the fill of the paper.
    """
    height, width = pixels.shape[:2]
    if augmentation is Augmentation.NONE:
        return _floats(crops.one(pixels, side=side, resize=side))
    if augmentation is Augmentation.CIFAR:
        box = _scaled(height, width, short_side=side)
        sides = round(box.bottom), round(box.right)
        whole = padded(_resized(pixels, *sides), by=max(1, side // 8), fill=fill)
        top = int(rng.integers(whole.shape[0] - side + 1))
        left = int(rng.integers(whole.shape[1] - side + 1))
        return _mirrored(whole[top : top + side, left : left + side], rng)
    if augmentation is Augmentation.INCEPTION:
        view = cut(pixels, patch(height, width, rng=rng), side=side)
        return _floats(_mirrored(view, rng))
    if augmentation is Augmentation.ALEXNET:
        within = _centre(height, width)
        short = round(side * 256 / 224)
    else:
        within = Box(0, 0, width, height)
        short = round(side * int(rng.integers(256, _LONGEST[augmentation] + 1)) / 224)
    box = window(height, width, short_side=short, side=side, within=within, rng=rng)
    view = _mirrored(cut(pixels, box, side=side), rng)
    return _floats(view) + lighting(rng)


def longest_short_side(augmentation: Augmentation, *, side: int) -> int:
    """The shorter side, in pixels, beyond which more pixels make no difference one could see.

    A patch of `Augmentation.INCEPTION` may be a small part: of it the pixels of VGG's 512 are left.
    """
    if augmentation in (Augmentation.NONE, Augmentation.CIFAR):
        return 2 * side
    return round(side * max(_LONGEST.values()) / 224)


def window(
    height: int, width: int, *, short_side: int, side: int, within: Box, rng: np.random.Generator
) -> Box:
    """Where a random ``side`` x ``side`` lies in a picture scaled to a shorter side of so much.

    In the picture's own pixels; it starts at whole pixels of the scaled one, inside of ``within``.
    """
    scale = short_side / min(height, width)
    down = int(rng.integers(max(0, round((within.bottom - within.top) * scale) - side) + 1))
    right = int(rng.integers(max(0, round((within.right - within.left) * scale) - side) + 1))
    top, left = within.top + down / scale, within.left + right / scale
    return _inside(Box(left, top, left + side / scale, top + side / scale), height, width)


def patch(height: int, width: int, *, rng: np.random.Generator) -> Box:
    """Szegedy et al. 2015 §6: 8 to 100 % of the area, width to height 3/4 to 4/3, both uniform.

    What to do when such a patch does not fit the paper leaves open: after ten draws, ours is the
    central square.
    """
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1)
        ratio = rng.uniform(3 / 4, 4 / 3)
        wide, high = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
            return Box(left, top, left + wide, top + high)
    return _centre(height, width)


def padded(pixels: Pixels, *, by: int, fill: tuple[float, float, float]) -> Floats:
    """The picture in 0..1 with a border of ``by`` pixels of one colour: [h + 2by, w + 2by, 3]."""
    height, width = pixels.shape[:2]
    whole = np.empty((height + 2 * by, width + 2 * by, 3), np.float32)
    whole[:] = fill
    whole[by : by + height, by : by + width] = _floats(pixels)
    return whole


# Principal components (columns) of the colours of ImageNet's training pictures, and how far each
# varies, RGB in 0..1. AlexNet's paper has no numbers; these are facebook/fb.resnet.torch's,
# datasets/imagenet.lua.
_SPREAD = np.array([0.2175, 0.0188, 0.0045])
_COMPONENTS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ]
)


def lighting(rng: np.random.Generator) -> Floats:
    """Krizhevsky et al. 2012 §4.1: one shift [3] of all pixels of a picture, RGB in 0..1.

    The components times their spreads times what is drawn from N(0, 0.1).
    """
    shift: Floats = (_COMPONENTS @ (rng.normal(0, 0.1, 3) * _SPREAD)).astype(np.float32)
    return shift


def cut(pixels: Pixels, box: Box, *, side: int) -> Pixels:
    """The box of a picture as [side, side, 3]; bilinear, antialiased, nothing else is resized."""
    if any(edge % 1 for edge in box):
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))
    left, top, right, bottom = map(int, box)
    part = pixels[top:bottom, left:right]
    if part.shape[:2] == (side, side):
        return part
    # Pillow's arithmetic in a third of its time; torch can cut at whole pixels only.
    planes = torch.from_numpy(part.copy()).permute(2, 0, 1)[None]
    view = functional.interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
    return view[0].permute(1, 2, 0).numpy()


def _resized(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _centre(height: int, width: int) -> Box:
    """The central square."""
    short = min(height, width)
    left, top = (width - short) // 2, (height - short) // 2
    return Box(left, top, left + short, top + short)


def _scaled(height: int, width: int, *, short_side: int) -> Box:
    scale = short_side / min(height, width)
    return Box(0, 0, max(short_side, round(width * scale)), max(short_side, round(height * scale)))


def _inside(box: Box, height: int, width: int) -> Box:
    """Moved so that no rounding puts an edge outside of the picture."""
    left = min(max(0.0, box.left), max(0.0, width - (box.right - box.left)))
    top = min(max(0.0, box.top), max(0.0, height - (box.bottom - box.top)))
    right, bottom = left + box.right - box.left, top + box.bottom - box.top
    return Box(left, top, min(right, width), min(bottom, height))


def _mirrored(view: NDArray[Kind], rng: np.random.Generator) -> NDArray[Kind]:
    return view[:, ::-1] if rng.random() < 0.5 else view


def _floats(pixels: Pixels) -> Floats:
    """[h, w, 3] in 0..1, in memory plane by plane, as the network will want it."""
    planes: Floats = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
    planes /= np.float32(255)
    return planes.transpose(1, 2, 0)
