"""Labelled pictures: how a set of them looks to training and evaluation, and what it is kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepcanon.core import images
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels

__all__ = [
    "LEAST_SIDE",
    "ArrayPictures",
    "EncodedPictures",
    "FilePictures",
    "Kept",
    "Labels",
    "Picked",
    "Pictures",
    "Pixels",
    "Source",
    "check_labels",
    "on_white",
    "read_pixels",
]

Labels: TypeAlias = NDArray[np.int64]  # [n]

# Pixels; scikit-learn's digits have 8. The single pixels that web pages are full of show nothing.
LEAST_SIDE = 8
# Decoded pictures are kept up to this many bytes; what does not fit is decoded anew each time.
KEEP_BYTES = 1_500_000_000


class Pictures(Protocol):
    """Labelled pictures, decoded when they are asked for; do not write to what they give."""

    @property
    def labels(self) -> Labels:
        """[n], each the place of a class."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pixels:
        """uint8 [h, w, 3]. Raises BadInput, naming the file, for a picture that is damaged."""

    def name(self, index: int) -> str:
        """What to call picture ``index`` before a person: a path, or "test picture 17"."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set: its classes, the pictures to train on, and those to be judged by."""

    name: str  # "cifar10", "digits", or the folder's name
    classes: tuple[str, ...]  # in the order of the labels
    train: Pictures
    val: Pictures  # may be of length 0
    skipped: tuple[tuple[str, str], ...] = ()  # (file, why)


def read_pixels(source: images.Source) -> Pixels:
    """A picture as a classifier sees it: upright RGB, transparent parts laid on white.

    Greyscale becomes three equal channels. Raises BadInput for what cannot be read, or has fewer
    than `LEAST_SIDE` pixels on a side.
    """
    return on_white(images.load(source, min_side=LEAST_SIDE))


def on_white(picture: images.Picture) -> Pixels:
    """The pixels of a picture, its transparent parts laid on white."""
    if picture.alpha is None:
        return picture.pixels
    # The colours under transparent pixels are arbitrary; white is what a viewer shows.
    opaque = picture.alpha[..., None].astype(np.float32) / 255
    laid = picture.pixels * opaque + 255 * (1 - opaque)
    return np.rint(laid).astype(np.uint8)


def check_labels(labels: NDArray[np.integer], *, classes: int, where: str) -> Labels:
    """The labels as int64 [n]. Raises BadInput for one outside 0 .. ``classes`` - 1."""
    whole: Labels = labels.astype(np.int64)
    wrong = np.flatnonzero((whole < 0) | (whole >= classes))
    if wrong.size:
        first = int(wrong[0])
        from_one = whole.min() == 1 and whole.max() == classes
        raise BadInput(
            f"picture {first} of {where} has the label {whole[first]}, and there are "
            f"{classes} classes",
            hint="the labels seem to start at 1: subtract 1 from each"
            if from_one
            else f"labels are 0 to {classes - 1}; mend it, or name all the classes",
        )
    return whole


class ArrayPictures:
    """Pictures of one size that are in memory already: [n, h, w] or [n, h, w, 3] uint8."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Labels, *, of: str) -> None:
        if len(pixels) != len(labels):
            raise ValueError(f"{len(pixels)} pictures and {len(labels)} labels")
        self.pixels, self.labels, self.of = pixels, labels, of

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> Pixels:
        pixels = self.pixels[index]
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return np.ascontiguousarray(pixels)

    def name(self, index: int) -> str:
        """As in "test picture 17"."""
        return f"{self.of} picture {index}"


class EncodedPictures:
    """Encoded files, one after the other in ``data``: file i begins at ``offsets[i]``."""

    def __init__(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], labels: Labels, *, of: str
    ) -> None:
        if len(offsets) != len(labels) + 1:
            raise ValueError(f"{len(offsets)} offsets for {len(labels)} labels")
        self.data, self.offsets, self.labels, self.of = data, offsets, labels, of

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> Pixels:
        begin, end = self.offsets[index], self.offsets[index + 1]
        try:
            return read_pixels(self.data[begin:end].tobytes())
        except BadInput as error:
            # `images` calls what has no file "picture".
            message = error.message.removeprefix("picture ")
            raise BadInput(f"{self.name(index)} {message}", hint=error.hint) from error

    def name(self, index: int) -> str:
        """As in "test picture 17"."""
        return f"{self.of} picture {index}"


class FilePictures:
    """Picture files, each read anew whenever it is asked for."""

    def __init__(self, paths: Sequence[Path], labels: Labels) -> None:
        if len(paths) != len(labels):
            raise ValueError(f"{len(paths)} pictures and {len(labels)} labels")
        self.paths, self.labels = list(paths), labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Pixels:
        return read_pixels(self.paths[index])

    def name(self, index: int) -> str:
        """The path."""
        return str(self.paths[index])


class Picked:
    """Some of a set of pictures, in the order of ``places``."""

    def __init__(self, pictures: Pictures, places: Sequence[int] | NDArray[np.integer]) -> None:
        self.pictures = pictures
        self.places = np.asarray(places, np.int64)
        self.labels: Labels = pictures.labels[self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Pixels:
        return self.pictures[int(self.places[index])]

    def name(self, index: int) -> str:
        """What the whole set calls it."""
        return self.pictures.name(int(self.places[index]))


class Kept:
    """Pictures that are decoded once and kept while there is room.

    Those whose shorter side is longer than ``short_side`` are shrunk to it, so that a folder of
    photographs from a camera fits, and is decoded in the first round only.
    """

    def __init__(
        self, pictures: Pictures, *, short_side: int | None = None, room: int = KEEP_BYTES
    ) -> None:
        self.pictures, self.short_side, self.room = pictures, short_side, room
        self.labels = pictures.labels
        self._kept: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> Pixels:
        if index in self._kept:
            return self._kept[index]
        pixels = self.pictures[index]
        if self.short_side is not None and min(pixels.shape[:2]) > self.short_side:
            pixels = images.resize(pixels, short_side=self.short_side)
        if pixels.nbytes <= self.room:
            self.room -= pixels.nbytes
            # Nobody may change what the next one is given too.
            pixels.setflags(write=False)
            self._kept[index] = pixels
        return pixels

    def name(self, index: int) -> str:
        """What the pictures themselves call it."""
        return self.pictures.name(index)
