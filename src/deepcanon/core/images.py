"""Pictures in and out: every odd kind read into plain RGB, and no half file ever written."""

from __future__ import annotations

import glob
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from deepcanon.core.atomic import cannot_write, write_whole
from deepcanon.core.errors import BadInput
from deepcanon.core.order import natural
from deepcanon.core.picture import (
    MAX_PIXELS,
    MIN_SIDE,
    Picture,
    Pixels,
    check_size,
    from_array,
    from_image,
    too_large,
)
from deepcanon.core.reading import opened

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUFFIXES",
    "WRITABLE",
    "Picture",
    "Source",
    "check_ending",
    "find",
    "load",
    "resize",
    "same_file",
    "save",
    "shrink",
]

MAX_BYTES = 500_000_000

Source = str | Path | bytes | BinaryIO | Image.Image | npt.NDArray[Any]

# Pillow knows it from 11.3 on, and cannot even be asked to try it before.
_AVIF = find_spec("PIL.AvifImagePlugin") is not None
# What Pillow may try. The rest of its list is obscure, and some of it (EPS) starts programs.
# fmt: off
_READABLE = (
    "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "TGA", "ICO",
    *(["AVIF"] if _AVIF else []),
)
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm",
    ".pgm", ".jp2", ".tga", *([".avif"] if _AVIF else []),
})
# fmt: on
WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
_HAS_ALPHA = {"PNG", "WEBP", "TIFF"}
_HAS_ICC = {"PNG", "JPEG", "WEBP", "TIFF"}

# Where nobody has set up logging, Python prints a library's error records to stderr; Pillow's
# reach the user as our two lines already.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _Limits(NamedTuple):
    max_side: int | None
    min_side: int


def load(source: Source, *, max_side: int | None = None, min_side: int = MIN_SIDE) -> Picture:
    """Read a picture: a path, "-" (standard input), bytes, an open file, a PIL image, an array.

    Arrays are [h, w], [h, w, 1|3|4]; uint8, uint16, or floats in 0..1. `max_side` shrinks, never
    enlarges. Raises `BadInput` for what is missing, damaged, too large, or has fewer than
    `min_side` pixels on a side.
    """
    limits = _Limits(max_side, min_side)
    if isinstance(source, np.ndarray):
        picture = from_array(source, name="array")
        height, width = picture.pixels.shape[:2]
        check_size(width, height, name=picture.name, least=min_side)
    elif isinstance(source, Image.Image):
        name = Path(getattr(source, "filename", "") or "picture").name
        check_size(source.width, source.height, name=name, least=min_side)
        picture = _decode(source, name=name)
    elif isinstance(source, (bytes, bytearray)):
        picture = _read(io.BytesIO(source), size=len(source), name="picture", limits=limits)
    elif isinstance(source, (str, Path)):
        picture = _read_path(source, limits=limits)
    else:
        name = Path(str(getattr(source, "name", "picture"))).name
        picture = _read_stream(source, name=name, limits=limits)
    return picture if max_side is None else shrink(picture, max_side=max_side)


def save(
    pixels: Pixels,
    path: str | Path,
    *,
    alpha: Pixels | None = None,
    icc: bytes | None = None,
    quality: int = 95,
) -> None:
    """Write uint8 [h, w, 3] (and alpha [h, w]) in the format of the suffix; "-" is PNG to stdout.

    Written under a temporary name in the same folder and renamed. JPEG keeps full chroma. Where a
    format has no alpha the picture is laid on white. Raises `BadInput` for a suffix or a folder
    that cannot be written, `Unavailable` when the disk is full, `BrokenPipeError` when nobody reads
    standard output any more.
    """
    to_stdout = str(path) == "-"
    target = Path(path)
    kind = "PNG" if to_stdout else check_ending(target)
    encoded = _encode(pixels, alpha, kind, icc=icc, quality=quality, name=str(path))
    if not to_stdout:
        with write_whole(target) as file:
            file.write(encoded)
        return
    try:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
    except OSError as cause:
        raise cannot_write("standard output", cause) from cause


def resize(
    pixels: Pixels,
    *,
    short_side: int | None = None,
    long_side: int | None = None,
    size: tuple[int, int] | None = None,
) -> Pixels:
    """Antialiased (Lanczos) resize of uint8 [h, w] or [h, w, c] to a side or a (height, width).

    Give exactly one of the three; the sides keep the proportions. Raises `TypeError` otherwise.
    """
    height, width = pixels.shape[:2]
    if [short_side, long_side, size].count(None) != 2:
        raise TypeError("resize takes exactly one of short_side, long_side and size")
    if size is None:
        scale = (
            short_side / min(height, width)
            if short_side is not None
            else (long_side or 1) / max(height, width)
        )
        size = max(1, round(height * scale)), max(1, round(width * scale))
    if size == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(image)


def shrink(picture: Picture, *, max_side: int) -> Picture:
    """The picture with its longer side, in pixels, no longer than `max_side`; never enlarged.

    Raises `BadInput` when its short side would come below `MIN_SIDE`.
    """
    height, width = picture.pixels.shape[:2]
    if max(height, width) <= max_side:
        return picture
    short = round(min(height, width) * max_side / max(height, width))
    if short < MIN_SIDE:
        raise BadInput(
            f"{picture.name} would be {short} pixels on its short side at a longest side of "
            f"{max_side}; the smallest is {MIN_SIDE}",
            hint="raise the longest side (--max-size), or crop the picture",
        )
    alpha = None if picture.alpha is None else resize(picture.alpha, long_side=max_side)
    return replace(picture, pixels=resize(picture.pixels, long_side=max_side), alpha=alpha)


def check_ending(path: Path) -> str:
    """Pillow's name of the format that `path` ends in. Raises `BadInput` for none of `WRITABLE`."""
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        ending = f"'{path.suffix}'" if path.suffix else "no ending"
        raise BadInput(
            f"{path} has {ending}, which does not name a picture format",
            hint=f"end the output in {' '.join(WRITABLE)}",
        )
    return kind


def find(sources: Iterable[str | Path]) -> list[Path | Literal["-"]]:
    """Turn files, folders, globs and "-" (standard input) into a list without repeats.

    A folder or glob gives its pictures in natural order (2 before 10), hidden files left out; a
    folder is not searched below its first level (`DIR/**/*.jpg` is). The order of `sources` is
    kept. Raises `BadInput` when one of them gives nothing.
    """
    found: dict[Path | Literal["-"], None] = {}
    for source in map(str, sources):
        if source == "-":
            found["-"] = None
        else:
            found.update(dict.fromkeys(_expand(source)))
    if not found:
        raise BadInput("no picture was given", hint="name a file, a folder, a glob or - (stdin)")
    return list(found)


def same_file(a: str | Path, b: str | Path) -> bool:
    """Whether both paths lead to one file, through links too, and also when it is not there yet."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def _expand(source: str) -> list[Path]:
    if not source:  # Path("") is the working folder, which nobody meant
        raise BadInput("the name of a picture is empty", hint="name a file, a folder or a glob")
    try:
        return _named(source)
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise BadInput(
            f"{source} cannot be read: {reason}", hint="check its permissions"
        ) from cause


def _named(source: str) -> list[Path]:
    """The pictures that a file, a folder or a glob names. Raises `OSError` for what is locked."""
    path = Path(source)
    if path.is_dir():
        pictures = _pictures(path.iterdir())
        if not pictures:
            raise BadInput(f"the folder {path} holds no pictures", hint=_kinds())
        return pictures
    if path.exists() or not glob.has_magic(source):
        if not path.exists():
            raise BadInput(f"{path} does not exist", hint="check the path of the picture")
        return [path]
    pictures = _pictures(Path(each) for each in glob.iglob(source, recursive=True))
    if not pictures:
        raise BadInput(f"no picture matches {source}", hint=_kinds())
    return pictures


def _pictures(paths: Iterable[Path]) -> list[Path]:
    chosen = [
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(chosen, key=lambda path: natural(str(path)))


def _kinds() -> str:
    return "pictures end in " + " ".join(sorted(SUFFIXES))


def _read_path(source: str | Path, *, limits: _Limits) -> Picture:
    if str(source) == "-":
        return _read_stream(sys.stdin.buffer, name="standard input", limits=limits)
    path = Path(source)
    with opened(path, what="picture") as file:
        size = os.fstat(file.fileno()).st_size
        return _read(file, size=size, name=str(path), limits=limits)


def _read_stream(file: BinaryIO, *, name: str, limits: _Limits) -> Picture:
    content = file.read(MAX_BYTES + 1)
    return _read(io.BytesIO(content), size=len(content), name=name, limits=limits)


def _read(file: BinaryIO, *, size: int, name: str, limits: _Limits) -> Picture:
    if size == 0:
        raise BadInput(f"{name} is empty (0 bytes)", hint="give it a picture to read")
    if size > MAX_BYTES:
        raise BadInput(
            f"{name} has {size / 1e6:.0f} MB; the most that is read is {MAX_BYTES / 1e6:.0f} MB",
            hint="shrink the picture first",
        )
    try:
        with _quietly():
            image = Image.open(file, formats=_READABLE)
    except UnidentifiedImageError as cause:
        named = Path(name).suffix.lower() in SUFFIXES
        hint = "it is named like one, but what is in it is none, or damaged" if named else _kinds()
        raise BadInput(f"{name} is not a picture that can be read", hint=hint) from cause
    except Image.DecompressionBombError as cause:
        count = re.search(r"[0-9]+", str(cause))
        raise too_large(name, int(count[0]) if count else None) from cause
    except MemoryError:
        raise
    except Exception as cause:  # a damaged header makes Pillow raise any of a dozen kinds
        raise _damaged(name, cause) from cause
    with image:
        check_size(image.width, image.height, name=name, least=limits.min_side)
        if limits.max_side is not None:
            # A JPEG decodes at 1/2, 1/4, 1/8 for a fraction of the cost; twice the wanted size
            # is kept so that the antialiased resize still decides the look.
            image.draft(None, (2 * limits.max_side, 2 * limits.max_side))
        return _decode(image, name=name)


@contextmanager
def _quietly() -> Iterator[None]:
    """Pillow warns of broken EXIF, which harms nothing, and of sizes, which are checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(image: Image.Image, *, name: str) -> Picture:
    try:
        with _quietly():
            return from_image(image, name=name)
    except MemoryError:
        raise
    except Exception as cause:  # damaged data makes Pillow's decoders raise any of a dozen kinds
        raise _damaged(name, cause) from cause


def _damaged(name: str, cause: Exception) -> BadInput:
    return BadInput(
        f"{name} is damaged or cut short: {str(cause) or type(cause).__name__}",
        hint="copy or download the picture again",
    )


def _encode(
    pixels: Pixels,
    alpha: Pixels | None,
    kind: str,
    *,
    icc: bytes | None,
    quality: int,
    name: str,
) -> memoryview:
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
        if kind not in _HAS_ALPHA:
            # The colours under transparent pixels are arbitrary; white is what a viewer shows.
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image).convert("RGB")
    # Encoded in memory first: what fails here is the format, what fails later is the disk.
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=kind, **_options(kind, icc=icc, quality=quality))
    except (OSError, ValueError) as cause:
        raise BadInput(
            f"{name}: {image.width}x{image.height} pixels cannot be written as {kind}: {cause}",
            hint="write a .png instead, or a smaller picture",
        ) from cause
    return buffer.getbuffer()


def _options(kind: str, *, icc: bytes | None, quality: int) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if kind in ("JPEG", "WEBP"):
        options["quality"] = quality
    if kind == "JPEG":
        options["subsampling"] = "4:4:4"
    if kind == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    if icc is not None and kind in _HAS_ICC:
        options["icc_profile"] = icc
    return options
