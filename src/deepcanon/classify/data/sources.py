"""From what a user names to labelled pictures: a word, a folder of any kind that is known, a file.

==============================  ====================================================================
``standin``                     generated shapes, ten classes, 32x32
``digits``                      1,797 real handwritten digits, 8x8, which scikit-learn brings along
a folder                        train/ and val/ (or test/) with a folder for each class; a folder
                                for each class; CIFAR-10 and -100, binary or Python version; MNIST
                                and Fashion-MNIST
a file FILE.npz                 arrays ``train_images`` [n, h, w(, 3)] and ``train_labels``, and the
                                same of ``val_`` or ``test_``; or pictures that are still encoded,
                                ``train_jpeg``, ``train_offset`` [n + 1] and ``train_label``;
                                ``classes``, their names, may be left out
==============================  ====================================================================
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcanon.classify.data.cifar_files import open_cifar
from deepcanon.classify.data.folders import lay_out, open_layout, without_damaged
from deepcanon.classify.data.idx_files import open_idx
from deepcanon.classify.data.pictures import (
    ArrayPictures,
    EncodedPictures,
    Labels,
    Picked,
    Pictures,
    Pixels,
    Source,
    check_labels,
)
from deepcanon.core import standin
from deepcanon.core.errors import BadInput, MissingExtra

__all__ = ["WORDS", "Check", "Drawn", "held_back", "open_source"]


class Check(StrEnum):
    """What is looked at before a folder of pictures counts as opened."""

    NAMES = "names"  # a damaged picture shows when it is asked for
    PIXELS = "pixels"  # each is decoded once, and those that are damaged are skipped


def open_source(data: str | Path, *, check: Check = Check.NAMES) -> Source:
    """The pictures of ``data``: see above for what it may be, the kind of a folder is recognised.

    Raises BadInput, saying what is wrong and where, for anything that is missing, empty, cut short
    or damaged, that has fewer than two classes, or a label outside of them.
    """
    if str(data) in WORDS:
        return WORDS[str(data)]()
    if not str(data):
        raise BadInput("no pictures are named", hint=f"name a folder, or {' or '.join(WORDS)}")
    path = Path(data)
    if not path.exists():
        raise BadInput(
            f"{path} does not exist", hint=f"name a folder of pictures, or {' or '.join(WORDS)}"
        )
    if path.is_file():
        return _open_file(path)
    for known in (open_cifar, open_idx):
        source = known(path)
        if source is not None:
            return source
    source = open_layout(lay_out(path))
    return without_damaged(source) if check is Check.PIXELS else source


def held_back(labels: Labels, *, one_in: int, seed: int = 0) -> NDArray[np.bool_]:
    """[n]: which pictures to judge by, the same share of each class, drawn from the seed.

    A class of two or more pictures keeps one at least on either side.
    """
    chosen = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        count = round(len(places) / one_in)
        chosen[places[: min(max(count, 1), len(places) - 1)]] = True
    return chosen


class Drawn:
    """Stand-in pictures, drawn when they are asked for; picture ``i`` shows class ``i % 10``."""

    def __init__(self, count: int, *, seed: int, side: int = 32, of: str) -> None:
        self.seed, self.side, self.of = seed, side, of
        self.labels: Labels = np.arange(count, dtype=np.int64) % len(standin.SHAPES)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> Pixels:
        return standin.shape(int(self.labels[index]), [self.seed, index], self.side)

    def name(self, index: int) -> str:
        """As in "training picture 17"."""
        return f"{self.of} picture {index}"


def _standin() -> Source:
    return Source(
        name="standin",
        classes=standin.SHAPES,
        train=Drawn(2000, seed=1, of="training"),
        val=Drawn(200, seed=2, of="test"),
    )


def _digits() -> Source:
    """The test set of UCI's "Optical Recognition of Handwritten Digits"; a fifth judges."""
    if find_spec("sklearn") is None:
        raise MissingExtra(extra="train", need="reading scikit-learn's digits")
    found = import_module("sklearn.datasets").load_digits()
    pixels = np.rint(np.asarray(found.images) * (255 / 16)).astype(np.uint8)
    labels = check_labels(np.asarray(found.target), classes=10, where="digits")
    judged = held_back(labels, one_in=5)
    whole = ArrayPictures(pixels, labels, of="digits")
    return Source(
        name="digits",
        classes=tuple(map(str, range(10))),
        train=Picked(whole, np.flatnonzero(~judged)),
        val=Picked(whole, np.flatnonzero(judged)),
    )


# A folder of the same name is meant by ./digits.
WORDS: Mapping[str, Callable[[], Source]] = {"standin": _standin, "digits": _digits}


def _open_file(path: Path) -> Source:
    if path.suffix != ".npz":
        raise BadInput(
            f"{path} is a file, and no .npz",
            hint="name a folder; of an archive, the folder that it unpacks to",
        )
    try:
        # Opened here: numpy leaves a file open that turns out to be damaged.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, Mapping):
                raise ValueError("one array, and no names")
            arrays = dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as cause:
        raise BadInput(
            f"{path} is damaged, or no .npz of plain arrays: {cause}",
            hint="write it anew with numpy.savez_compressed",
        ) from cause
    prefix = next((name for name in ("val", "test") if _has(arrays, name)), "")
    if not _has(arrays, "train") or not prefix:
        raise BadInput(
            f"{path} has the arrays {', '.join(sorted(arrays))}",
            hint="it needs train_images, train_labels, test_images and test_labels",
        )
    train, test = (_arrays(arrays, each, path) for each in ("train", prefix))
    named = arrays.get("classes")
    most = max(int(each.labels.max(initial=0)) for each in (train, test))
    classes = tuple(map(str, range(most + 1) if named is None else named.tolist()))
    for pictures in (train, test):
        check_labels(pictures.labels, classes=len(classes), where=str(path))
    return Source(name=path.stem, classes=classes, train=train, val=test)


def _has(arrays: Mapping[str, Any], prefix: str) -> bool:
    return f"{prefix}_images" in arrays or f"{prefix}_jpeg" in arrays


def _arrays(arrays: Mapping[str, NDArray[Any]], prefix: str, path: Path) -> Pictures:
    encoded = f"{prefix}_jpeg" in arrays
    keys = ("jpeg", "offset", "label") if encoded else ("images", "labels")
    missing = [f"{prefix}_{key}" for key in keys if f"{prefix}_{key}" not in arrays]
    if missing:
        raise BadInput(f"{path} has no array {missing[0]}", hint="it belongs to the pictures")
    pixels, *_, labels = (arrays[f"{prefix}_{key}"] for key in keys)
    labels = labels.ravel()
    wrong = pixels.dtype != np.uint8 or labels.dtype.kind not in "iu"
    if encoded:
        offsets = arrays[f"{prefix}_offset"]
        wrong |= offsets.shape != (len(labels) + 1,) or int(offsets[-1]) > len(pixels)
        if not wrong:
            of = _CALLED.get(prefix, "test")
            return EncodedPictures(pixels, offsets, labels.astype(np.int64), of=of)
    else:
        grey_or_rgb = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)
        wrong |= not grey_or_rgb or len(pixels) != len(labels)
        if not wrong:
            return ArrayPictures(pixels, labels.astype(np.int64), of=_CALLED.get(prefix, "test"))
    raise BadInput(
        f"the arrays {prefix}_… of {path} are {pixels.dtype}{list(pixels.shape)} with labels "
        f"{labels.dtype}{list(labels.shape)}",
        hint="pictures are uint8 [n, h, w] or [n, h, w, 3], labels are whole numbers [n]",
    )


_CALLED = {"train": "training"}
