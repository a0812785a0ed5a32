"""Pictures to train style networks on: crops of a folder of photographs, and paintings."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from deepcanon.core import images
from deepcanon.core.errors import BadInput

# Decoded photographs are kept up to this many bytes; what does not fit is decoded anew each time.
KEEP_BYTES = 2_000_000_000


class Pictures(Protocol):
    """Decoded pictures by their places."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w 3"]: ...


class Photos:
    """Photographs of a folder, decoded and checked once, their shorter side ``side`` pixels."""

    def __init__(self, folder: str | Path, *, side: int) -> None:
        self.side = side
        self.paths: list[Path] = []
        self.skipped: list[tuple[Path, str]] = []
        self._kept: dict[Path, np.ndarray] = {}
        self._bytes = 0
        found = [Path(path) for path in images.find([folder])]
        for path in found:
            try:
                self._read(path)
            except BadInput as error:
                self.skipped.append((path, error.message))
            else:
                self.paths.append(path)
        if not self.paths:
            raise BadInput(
                f"{folder} has no picture that can be read",
                hint=f"{len(self.skipped)} were skipped; name a folder of photographs",
            )
        # Of all that were found, so that one bad photograph more or less changes nothing.
        self._left_out = set(left_out(found))

    def __len__(self) -> int:
        return len(self.paths)

    def split(self) -> tuple[list[int], list[int]]:
        """The places of the photographs to train on, and of those that are left out.

        Raises BadInput when none is to be trained on. In a folder of fewer than five photographs
        mostly none is left out.
        """
        places = range(len(self))
        trained = [place for place in places if self.paths[place] not in self._left_out]
        if not trained:
            raise BadInput(
                f"training leaves out every photograph of {self.paths[0].parent}",
                hint="1 in 47 is left out, by its name: add more photographs",
            )
        return trained, [place for place in places if self.paths[place] in self._left_out]

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        return self._read(self.paths[index])

    def _read(self, path: Path) -> UInt8[np.ndarray, "h w 3"]:
        if path not in self._kept:
            pixels = images.resize(images.load(path).pixels, short_side=self.side)
            if self._bytes + pixels.nbytes > KEEP_BYTES:
                return pixels
            self._bytes += pixels.nbytes
            self._kept[path] = pixels
        return self._kept[path]

    def warn(self) -> None:
        """Name every skipped picture on stderr, and count them."""
        for _, message in self.skipped:
            print(f"skipped: {message}", file=sys.stderr)
        if self.skipped:
            print(f"{len(self.skipped)} skipped, {len(self)} left", file=sys.stderr)


class Picked:
    """Pictures of one or more folders in an order of their own, decoded when they are asked for."""

    def __init__(self, picks: Iterable[tuple[Pictures, int]]) -> None:
        self.picks = list(picks)

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        pictures, place = self.picks[index]
        return pictures[place]


class Crops:
    """Square crops without end; crop ``index`` depends on the seed and on ``index`` alone.

    Each round through the photographs takes them in a new order; a crop covers a share of the
    shorter side between ``least`` and 1 and is mirrored half of the time.
    """

    def __init__(self, photos: Pictures, *, side: int, seed: int, least: float = 0.6) -> None:
        self.photos, self.side, self.seed, self.least = photos, side, seed, least

    def __getitem__(self, index: int) -> Float[Tensor, "3 side side"]:
        """Crop ``index``: RGB in 0..1."""
        round_, place = divmod(index, len(self.photos))
        order = np.random.default_rng([self.seed, 1, round_]).permutation(len(self.photos))
        draw = np.random.default_rng([self.seed, 2, index])
        pixels = self.photos[int(order[place])]
        shorter = min(pixels.shape[:2])
        size = max(1, round(shorter * draw.uniform(self.least, 1)))
        top = int(draw.integers(pixels.shape[0] - size + 1))
        left = int(draw.integers(pixels.shape[1] - size + 1))
        crop = pixels[top : top + size, left : left + size]
        crop = images.resize(np.ascontiguousarray(crop), size=(self.side, self.side))
        if draw.random() < 0.5:
            crop = crop[:, ::-1]
        return to_tensor(crop)


def to_tensor(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    """Bytes to 0..1, channels first."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def load_picture(path: str | Path, *, short_side: int) -> Float[Tensor, "1 3 h w"]:
    """One picture in 0..1 with its shorter side as asked."""
    return to_tensor(images.resize(images.load(path).pixels, short_side=short_side))[None]


def held_out(path: Path, *, one_in: int = 47) -> bool:
    """Whether a photograph stays out of training; decided by its name, so for good."""
    return _rank(path) % one_in == 0


def left_out(paths: Sequence[Path]) -> list[Path]:
    """The photographs of a folder that stay out of training, in the order of ``paths``.

    Those that are `held_out`. In a small folder these are too few to judge by: then as many more,
    again chosen by their names, as make it one in five, and no more than four.
    """
    least = min(4, len(paths) // 5)
    ranked = sorted(paths, key=lambda path: (not held_out(path), _rank(path), path.name))
    chosen = {path for place, path in enumerate(ranked) if place < least or held_out(path)}
    return [path for path in paths if path in chosen]


def _rank(path: Path) -> int:
    return int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "big")
