"""MNIST and Fashion-MNIST as published: four idx files, compressed or not.

LeCun, Cortes, Burges, *The MNIST database of handwritten digits*; Xiao, Rasul, Vollgraf,
*Fashion-MNIST*, 2017 (arXiv:1708.07747), whose files have the same names.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcanon.classify.data.pictures import ArrayPictures, Source, check_labels
from deepcanon.core.errors import BadInput

__all__ = ["FASHION", "open_idx", "read_idx"]

# arXiv:1708.07747, Table 2.
# fmt: off
FASHION: tuple[str, ...] = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)
# fmt: on
_FASHION = re.compile(r"(?<![^\W_])fashion(mnist)?(?![^\W_])")  # FashionMNIST/raw: torchvision's
_MOST_BYTES = 2_000_000_000
_AGAIN = "copy or download the file again"


def open_idx(folder: Path) -> Source | None:
    """The set whose idx files lie in ``folder``; None where there are none.

    Files do not name their classes: they are the lines of a labels.txt where there is one,
    Fashion-MNIST's where "fashion" is a word in the name of the folder or of the one that it lies
    in, else numbers. Raises BadInput, naming the file, where
    one is missing, cut short or damaged.
    """
    found = {each: _find(folder, *each) for each in _FILES}
    if not any(found.values()):
        return None
    for (split, kind), path in found.items():
        if path is None:
            raise BadInput(
                f"{folder} has no file {split}-{kind}-ubyte", hint="all four files belong together"
            )
    arrays = {each: read_idx(path) for each, path in found.items() if path is not None}
    largest = max(int(arrays[split, _LABELS].max(initial=0)) for split in _SPLITS)
    classes = _names(folder, at_least=largest + 1)

    def pictures(split: str, *, of: str) -> ArrayPictures:
        pixels, labels = arrays[split, _IMAGES], arrays[split, _LABELS]
        where = str(found[split, _LABELS])
        if pixels.ndim != 3 or labels.ndim != 1 or len(pixels) != len(labels):
            raise BadInput(
                f"{where} has {len(labels)} labels, {found[split, _IMAGES]} has "
                f"{len(pixels)} pictures",
                hint="take both files from the same place",
            )
        return ArrayPictures(pixels, check_labels(labels, classes=len(classes), where=where), of=of)

    return Source(
        name="fashion-mnist" if classes == FASHION else folder.resolve().name,
        classes=classes,
        train=pictures("train", of="training"),
        val=pictures("t10k", of="test"),
    )


_SPLITS = ("train", "t10k")
_IMAGES, _LABELS = "images-idx3", "labels-idx1"
_FILES = [(split, kind) for split in _SPLITS for kind in (_IMAGES, _LABELS)]


def _find(folder: Path, split: str, kind: str) -> Path | None:
    # Some archives write a dot where the authors have a hyphen.
    stems = [f"{split}-{kind}-ubyte", f"{split}-{kind.replace('-idx', '.idx')}-ubyte"]
    names = [stem + ending for stem in stems for ending in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an idx file of bytes, compressed or not.

    Two zero bytes, the kind (8: bytes), the number of dimensions, their sizes as four bytes each,
    the largest first; then the values. Raises BadInput for anything else.
    """
    content = _content(path)
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise BadInput(f"{path} is not an idx file of bytes", hint=_AGAIN)
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = struct.unpack_from(f">{dimensions}I", content, 4) if len(content) >= start else ()
    whole = start + math.prod(shape)
    if len(content) < start or len(content) != whole:
        raise BadInput(
            f"{path} is damaged or cut short: it has {len(content)} bytes of {whole}", hint=_AGAIN
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise BadInput(f"{path} is damaged or cannot be read: {cause}", hint=_AGAIN) from cause
    if len(content) > _MOST_BYTES:
        raise BadInput(f"{path} holds more than {_MOST_BYTES / 1e9:.0f} GB", hint=_AGAIN)
    return content


def _names(folder: Path, *, at_least: int) -> tuple[str, ...]:
    listed = folder / "labels.txt"
    if listed.is_file():
        text = listed.read_text(encoding="utf-8", errors="replace")
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    whole = folder.resolve()
    if any(_FASHION.search(name.casefold()) for name in (whole.name, whole.parent.name)):
        return FASHION
    return tuple(map(str, range(max(at_least, 10))))
