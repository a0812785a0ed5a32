"""CIFAR-10 and CIFAR-100 as their authors publish them: the binary and the Python version.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009; the formats stand on
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcanon.classify.data.pictures import ArrayPictures, Source, check_labels
from deepcanon.core.errors import BadInput

__all__ = ["CIFAR10", "PlainUnpickler", "open_cifar"]

# fmt: off
CIFAR10: tuple[str, ...] = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
# fmt: on
_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
_UNPACKED = (
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    "cifar-100-binary",
    "cifar-100-python",
)
_PIXELS = 3 * 32 * 32
_AGAIN = "unpack the archive again"


def open_cifar(folder: Path) -> Source | None:
    """The set that lies in ``folder``, or in the folder which its archive unpacks to; else None.

    Raises BadInput, naming the file, where a file is missing, cut short or damaged.
    """
    for place in (folder, *(folder / name for name in _UNPACKED)):
        if any((place / f"{name}.bin").is_file() for name in [*_BATCHES, "test_batch"]):
            return _binary(place, [f"{name}.bin" for name in _BATCHES], "test_batch.bin", before=1)
        if (place / "train.bin").is_file():
            return _binary(place, ["train.bin"], "test.bin", before=2)
        if any((place / name).is_file() for name in [*_BATCHES, "test_batch"]):
            return _python(place, _BATCHES, "test_batch", labels="labels")
        if (place / "train").is_file() and (place / "meta").is_file():
            return _python(place, ["train"], "test", labels="fine_labels")
    return None


def _binary(folder: Path, train: Sequence[str], test: str, *, before: int) -> Source:
    """``before`` label bytes, the last of them the class, then red, green and blue planes."""
    if before == 1:
        name, classes = "cifar10", _lines(folder / "batches.meta.txt") or CIFAR10
    else:
        name, classes = "cifar100", _lines(folder / "fine_label_names.txt") or _numbers(100)

    def pictures(files: Sequence[str], *, of: str) -> ArrayPictures:
        rows = np.concatenate([_rows(folder / file, length=before + _PIXELS) for file in files])
        labels = check_labels(rows[:, before - 1], classes=len(classes), where=str(folder))
        return ArrayPictures(_upright(rows[:, before:]), labels, of=of)

    return Source(
        name=name,
        classes=classes,
        train=pictures(train, of="training"),
        val=pictures([test], of="test"),
    )


def _python(folder: Path, train: Sequence[str], test: str, *, labels: str) -> Source:
    if labels == "labels":
        name, meta, key, usual = "cifar10", "batches.meta", "label_names", CIFAR10
    else:
        name, meta, key, usual = "cifar100", "meta", "fine_label_names", _numbers(100)
    classes = usual
    if (folder / meta).is_file():
        classes = tuple(_text(each) for each in _unpickled(folder / meta).get(key, usual))

    def pictures(files: Sequence[str], *, of: str) -> ArrayPictures:
        rows, numbers = zip(*(_batch(folder / file, labels) for file in files), strict=True)
        whole = check_labels(np.concatenate(numbers), classes=len(classes), where=str(folder))
        return ArrayPictures(_upright(np.concatenate(rows)), whole, of=of)

    return Source(
        name=name,
        classes=classes,
        train=pictures(train, of="training"),
        val=pictures([test], of="test"),
    )


def _rows(path: Path, *, length: int) -> NDArray[np.uint8]:
    content = np.frombuffer(_read(path), np.uint8)
    if not content.size or content.size % length:
        raise BadInput(
            f"{path} has {content.size} bytes, which are no whole pictures of {length} bytes",
            hint=_AGAIN,
        )
    return content.reshape(-1, length)


def _batch(path: Path, key: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = _unpickled(path)
    rows, labels = content.get("data"), content.get(key)
    if (
        not isinstance(rows, np.ndarray)
        or rows.dtype != np.uint8
        or rows.shape[1:] != (_PIXELS,)
        or not isinstance(labels, (list, np.ndarray))
        or len(labels) != len(rows)
    ):
        raise BadInput(f"{path} is not a batch of CIFAR pictures with their {key}", hint=_AGAIN)
    return rows, np.asarray(labels, np.int64)


def _upright(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[n, 3072], plane by plane, seen as [n, 32, 32, 3]."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


class PlainUnpickler(pickle.Unpickler):
    """Reads pickles of numbers, text, containers and numpy arrays, and runs no code of a file's.

    Raises UnpicklingError for any other kind of object.
    """

    # The two names that numpy's own module had.
    _ALLOWED = frozenset(
        (module, name)
        for package in ("numpy.core", "numpy._core")
        for module, name in (
            (f"{package}.multiarray", "_reconstruct"),
            (f"{package}.multiarray", "scalar"),
            (f"{package}.numeric", "_frombuffer"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),  # how Python 3 writes bytes for Python 2
            ("__builtin__", "bytes"),  # and how it writes none of them
        )
    )

    def find_class(self, module: str, name: str, /) -> Any:
        """The few functions that rebuild an array, nothing else."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickled(path: Path) -> Mapping[str, Any]:
    try:
        content = PlainUnpickler(io.BytesIO(_read(path)), encoding="bytes").load()
    except MemoryError:
        raise
    except Exception as cause:  # a damaged pickle makes its reader raise any of a dozen kinds
        raise BadInput(
            f"{path} is damaged, or no file of CIFAR: {cause}",
            hint=f"{_AGAIN}; nothing in it was run",
        ) from cause
    if not isinstance(content, dict):
        raise BadInput(f"{path} is not a file of CIFAR", hint=_AGAIN)
    return {_text(key): value for key, value in content.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as cause:
        raise BadInput(f"{path} is missing", hint=_AGAIN) from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise BadInput(f"{path} cannot be read: {reason}", hint="check its permissions") from cause


def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    text = _read(path).decode("utf-8", errors="replace")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _text(value: object) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
