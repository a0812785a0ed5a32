"""Small labelled pictures on disk, in every form that is read, and what to expect of them."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def quarters() -> Image.Image:
    """32x24 pixels: red, green over blue, white; every rotation and flip of it is another."""
    image = Image.new("RGB", (32, 24), WHITE)
    image.paste(RED, (0, 0, 16, 12))
    image.paste(GREEN, (16, 0, 32, 12))
    image.paste(BLUE, (0, 12, 16, 24))
    return image


def oriented(orientation: int) -> Image.Exif:
    """EXIF data that say how a picture is turned, 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def picture(path: Path, *, seed: int = 0, size: tuple[int, int] = (12, 10)) -> np.ndarray:
    """Write noise of (width, height) and return it, exact where the format is."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def class_folders(root: Path, counts: Mapping[str, int], *, seed: int = 0) -> Path:
    """For each name (it may be "train/cat") a folder with so many different pictures."""
    number = 1000 * seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for place in range(count):
            picture(root / name / f"{place}.png", seed=number)
            number += 1
    return root


def rows(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR's rows [n, 3072], plane by plane, and the pictures [n, 32, 32, 3] that they are."""
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return pictures.transpose(0, 3, 1, 2).reshape(count, -1), pictures


def cifar10_binary(folder: Path, *, names: Sequence[str] = ()) -> np.ndarray:
    """Five batches of two and a test batch of three; the training pictures [10, 32, 32, 3].

    Picture i has label i, and test picture i the label 9 - i.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flat, pictures = rows(10, seed=1)
    labelled = np.concatenate([np.arange(10, dtype=np.uint8)[:, None], flat], 1)
    for batch in range(5):
        (folder / f"data_batch_{batch + 1}.bin").write_bytes(
            labelled[2 * batch : 2 * batch + 2].tobytes()
        )
    flat, _ = rows(3, seed=2)
    labelled = np.concatenate([np.array([[9], [8], [7]], np.uint8), flat], 1)
    (folder / "test_batch.bin").write_bytes(labelled.tobytes())
    if names:
        (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    return pictures


def cifar100_binary(folder: Path) -> np.ndarray:
    """Three training pictures of the classes 7, 99, 0, and one to test of class 5."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, labels, seed in (("train.bin", [7, 99, 0], 1), ("test.bin", [5], 2)):
        flat, _ = rows(len(labels), seed=seed)
        coarse_and_fine = np.array([[3, label] for label in labels], np.uint8)
        (folder / file).write_bytes(np.concatenate([coarse_and_fine, flat], 1).tobytes())
    return rows(3, seed=1)[1]


def cifar10_python(folder: Path) -> np.ndarray:
    """As `cifar10_binary`, in pickles with the keys of Python 2: bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    flat, pictures = rows(10, seed=1)
    for batch in range(5):
        two = slice(2 * batch, 2 * batch + 2)
        content = {b"data": flat[two], b"labels": [2 * batch, 2 * batch + 1], b"batch_label": b""}
        (folder / f"data_batch_{batch + 1}").write_bytes(pickle.dumps(content, protocol=2))
    content = {b"data": rows(3, seed=2)[0], b"labels": [9, 8, 7]}
    (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    names = [f"kind {i}".encode() for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, protocol=2))
    return pictures


def idx(path: Path, array: np.ndarray) -> None:
    """Write an array of bytes as an idx file; compressed where the name ends in .gz."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def mnist(folder: Path, *, ending: str = "") -> np.ndarray:
    """Six training pictures of classes 0 to 5, two to test of 9 and 0; the former [6, 28, 28]."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    idx(folder / f"train-images-idx3-ubyte{ending}", pictures)
    idx(folder / f"train-labels-idx1-ubyte{ending}", np.arange(6))
    idx(folder / f"t10k-images-idx3-ubyte{ending}", pictures[:2])
    idx(folder / f"t10k-labels-idx1-ubyte{ending}", np.array([9, 0]))
    return pictures
