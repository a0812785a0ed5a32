"""Pictures in and out: every odd kind read into plain RGB, and no half file ever written."""

from __future__ import annotations

import errno
import glob
import io
import os
import re
import sys
import uuid
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from deepcanon.core.errors import BadInput, DeepcanonError, Failed

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUFFIXES",
    "Picture",
    "Source",
    "find",
    "load",
    "resize",
    "same_file",
    "save",
]

MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000
MIN_SIDE = 16

Pixels = npt.NDArray[np.uint8]
Source = str | Path | bytes | BinaryIO | Image.Image | npt.NDArray[Any]

# What Pillow may try. The rest of its list is obscure, and some of it (EPS) starts programs.
_READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO")
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_OTHERS = (
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".ppm",
    ".pgm",
    ".avif",
    ".jp2",
    ".tga",
)
SUFFIXES = frozenset(_JPEG + _OTHERS)
_WRITABLE = {
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
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class Picture:
    """`pixels` uint8 [h, w, 3] RGB, upright; `alpha` uint8 [h, w] or None; `icc` describes RGB."""

    pixels: Pixels
    alpha: Pixels | None
    icc: bytes | None
    name: str
    format: str


def load(source: Source, *, max_side: int | None = None) -> Picture:
    """Read a picture: a path, "-" (standard input), bytes, an open file, a PIL image, an array.

    Arrays are [h, w], [h, w, 1|3|4]; uint8, uint16, or floats in 0..1. `max_side` shrinks, never
    enlarges. Raises `BadInput` for what is missing, damaged, too small or too large.
    """
    if isinstance(source, np.ndarray):
        picture = _from_array(source)
        _check_size(picture.pixels.shape[1], picture.pixels.shape[0], picture.name)
    elif isinstance(source, Image.Image):
        name = Path(getattr(source, "filename", "") or "picture").name
        picture = _decode(source, name=name, max_side=max_side)
    elif isinstance(source, (bytes, bytearray)):
        picture = _read(io.BytesIO(source), size=len(source), name="picture", max_side=max_side)
    elif isinstance(source, (str, Path)):
        picture = _read_path(source, max_side=max_side)
    else:
        name = Path(str(getattr(source, "name", "picture"))).name
        picture = _read_stream(source, name=name, max_side=max_side)
    return _shrink(picture, max_side)


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
    that cannot be written, `Failed` when the disk is full.
    """
    to_stdout = str(path) == "-"
    target = Path(path)
    kind = "PNG" if to_stdout else _format_for(target)
    image = _compose(pixels, alpha, kind)
    options = _options(kind, icc=icc, quality=quality)
    try:
        if to_stdout:
            image.save(sys.stdout.buffer, format=kind, **options)
            sys.stdout.buffer.flush()
        else:
            _write_whole(image, target, kind, options)
    except OSError as cause:
        raise _cannot_write("standard output" if to_stdout else str(target), cause) from cause


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
    return sorted(chosen, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _kinds() -> str:
    return "pictures end in " + " ".join(sorted(SUFFIXES))


def _read_path(source: str | Path, *, max_side: int | None) -> Picture:
    if str(source) == "-":
        return _read_stream(sys.stdin.buffer, name="standard input", max_side=max_side)
    path = Path(source)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _read(file, size=size, name=str(path), max_side=max_side)
    except FileNotFoundError as cause:
        raise BadInput(f"{path} does not exist", hint="check the path of the picture") from cause
    except IsADirectoryError as cause:
        raise BadInput(f"{path} is a folder", hint="name a picture file in it") from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise BadInput(f"{path} cannot be read: {reason}", hint="check its permissions") from cause


def _read_stream(file: BinaryIO, *, name: str, max_side: int | None) -> Picture:
    content = file.read(MAX_BYTES + 1)
    return _read(io.BytesIO(content), size=len(content), name=name, max_side=max_side)


def _read(file: BinaryIO, *, size: int, name: str, max_side: int | None) -> Picture:
    if size == 0:
        raise BadInput(f"{name} is empty (0 bytes)", hint="give it a picture to read")
    if size > MAX_BYTES:
        raise BadInput(
            f"{name} has {size / 1e6:.0f} MB; the most that is read is {MAX_BYTES / 1e6:.0f} MB",
            hint="shrink the picture first",
        )
    try:
        # Pillow warns from 89 megapixels on; our own limit is checked below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_READABLE)
    except UnidentifiedImageError as cause:
        raise BadInput(f"{name} is not a picture that can be read", hint=_kinds()) from cause
    except Image.DecompressionBombError as cause:
        count = re.search(r"[0-9]+", str(cause))
        raise _too_large(name, int(count[0]) if count else None) from cause
    except Exception as cause:  # a decoder meets a damaged header with any of a dozen kinds
        raise _damaged(name, cause) from cause
    with image:
        return _decode(image, name=name, max_side=max_side)


def _decode(image: Image.Image, *, name: str, max_side: int | None) -> Picture:
    _check_size(image.width, image.height, name)
    form = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    try:
        if max_side is not None:
            # A JPEG decodes at 1/2, 1/4, 1/8 for a fraction of the cost; twice the wanted size
            # is kept so that the antialiased resize still decides the look.
            image.draft(None, (2 * max_side, 2 * max_side))
        image.load()
        icc = image.info.get("icc_profile")
        pixels, alpha, icc = _to_rgb(image, icc)
        turn = _UPRIGHT.get(_orientation(image))
    except DeepcanonError:
        raise
    except Exception as cause:  # as above
        raise _damaged(name, cause) from cause
    if turn is not None:
        pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
        alpha = None if alpha is None else np.asarray(Image.fromarray(alpha).transpose(turn))
    return Picture(pixels=pixels, alpha=alpha, icc=icc, name=name, format=form)


def _orientation(image: Image.Image) -> int:
    # Broken EXIF is common and no reason to refuse the picture.
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _to_rgb(image: Image.Image, icc: bytes | None) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Plain RGB, the alpha plane if there is one, and the profile if it describes RGB."""
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        grey = _to_eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2), None, None
    if mode in ("CMYK", "LAB"):
        return np.asarray(_through_profile(image, icc)), None, None
    if icc is not None and icc[16:20] != b"RGB ":
        icc = None
    if mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), icc
    return np.asarray(image.convert("RGB")), None, icc


def _to_eight_bits(values: npt.NDArray[Any]) -> Pixels:
    """Greys of 16 or 32 bits, or floats: the white point is the smallest usual one that fits."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(finite.max(initial=0.0))
    if values.dtype.kind == "f":
        white = next((each for each in (1.0, 255.0, 65535.0) if top <= each), top)
    else:
        white = 65535.0 if top <= 65535 else 2.0**31 - 1
    scaled: Pixels = np.rint(np.clip(finite / white, 0, 1) * 255).astype(np.uint8)
    return scaled


def _through_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK and Lab to sRGB, with the file's own profile when it has one that fits."""
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        source: Any = ImageCms.createProfile("LAB")
    elif icc is not None and icc[16:20] == b"CMYK":
        source = io.BytesIO(icc)
    else:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert converted is not None
    return converted


def _from_array(array: npt.NDArray[Any]) -> Picture:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise BadInput(
            f"an array of shape {array.shape} is not a picture",
            hint="give [h, w], [h, w, 3] or [h, w, 4]",
        )
    if array.dtype.kind == "f":
        if not (
            np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 1
        ):
            raise BadInput(
                "an array of floats holds values outside 0..1 (or NaN)",
                hint="scale it to 0..1, or give uint8",
            )
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise BadInput(
            f"an array of {array.dtype} is not a picture",
            hint="give uint8, uint16, or floats in 0..1",
        )
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    pixels = np.ascontiguousarray(array[..., :3])
    return Picture(pixels=pixels, alpha=alpha, icc=None, name="array", format="")


def _shrink(picture: Picture, max_side: int | None) -> Picture:
    height, width = picture.pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    short = round(min(height, width) * max_side / max(height, width))
    if short < MIN_SIDE:
        raise BadInput(
            f"{picture.name} ({width}x{height} pixels) would be {short} pixels on its short side "
            f"at a longest side of {max_side}; the smallest is {MIN_SIDE}",
            hint="raise the longest side, or crop the picture",
        )
    picture.pixels = resize(picture.pixels, long_side=max_side)
    if picture.alpha is not None:
        picture.alpha = resize(picture.alpha, long_side=max_side)
    return picture


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise BadInput(
            f"{name} is {width}x{height} pixels; the smallest is {MIN_SIDE}x{MIN_SIDE}",
            hint="use a larger picture",
        )
    if width * height > MAX_PIXELS:
        raise _too_large(name, width * height)


def _too_large(name: str, count: int | None) -> BadInput:
    size = "too many" if count is None else f"{count / 1e6:,.0f} million"
    return BadInput(
        f"{name} has {size} pixels; the most is {MAX_PIXELS / 1e6:.0f} million",
        hint="shrink the picture first",
    )


def _damaged(name: str, cause: Exception) -> BadInput:
    return BadInput(
        f"{name} is damaged or cut short: {str(cause) or type(cause).__name__}",
        hint="copy or download the picture again",
    )


def _format_for(path: Path) -> str:
    kind = _WRITABLE.get(path.suffix.lower())
    if kind is None:
        suffix = f"'{path.suffix}'" if path.suffix else "no ending"
        raise BadInput(
            f"{path} has {suffix}, which does not name a picture format",
            hint="end the output in " + " ".join(_WRITABLE),
        )
    return kind


def _compose(pixels: Pixels, alpha: Pixels | None, kind: str) -> Image.Image:
    if alpha is None:
        return Image.fromarray(pixels)
    image = Image.fromarray(np.dstack([pixels, alpha]))
    if kind in _HAS_ALPHA:
        return image
    # The colours under transparent pixels are arbitrary: white is what a viewer would show.
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


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


def _write_whole(image: Image.Image, target: Path, kind: str, options: dict[str, Any]) -> None:
    # Through a link, the file it leads to is replaced, not the link.
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:  # a device or a pipe cannot be renamed onto
            image.save(file, format=kind, **options)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with partial.open("xb") as file:
            image.save(file, format=kind, **options)
        if target.exists():
            partial.chmod(target.stat().st_mode & 0o7777)
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _cannot_write(name: str, cause: OSError) -> DeepcanonError:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Failed(
            f"{name} could not be written: the disk is full",
            hint="free some space or write elsewhere; nothing was left behind",
        )
    if isinstance(cause, IsADirectoryError):
        return BadInput(f"{name} is a folder", hint="name a file in it")
    return BadInput(
        f"{name} cannot be written: {cause.strerror or cause}",
        hint="choose a folder you may write to",
    )
