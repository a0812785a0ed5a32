"""From whatever was opened to plain, upright RGB with its alpha and its colour profile."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepcanon.core.errors import BadInput

__all__ = ["MAX_PIXELS", "MIN_SIDE", "Picture", "Pixels", "check_size", "from_array", "from_image"]

MAX_PIXELS = 100_000_000
MIN_SIDE = 16

Pixels = npt.NDArray[np.uint8]

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


def from_image(image: Image.Image, *, name: str) -> Picture:
    """Decode what Pillow has opened. Raises whatever its decoders raise on damaged data."""
    image.load()
    pixels, alpha, icc = _to_rgb(image, image.info.get("icc_profile"))
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
        alpha = None if alpha is None else np.array(Image.fromarray(alpha).transpose(turn))
    kind = "JPEG" if image.format == "MPO" else image.format or ""
    return Picture(pixels=pixels, alpha=alpha, icc=icc, name=name, format=kind)


def from_array(array: npt.NDArray[Any], *, name: str) -> Picture:
    """An array [h, w], [h, w, 1|3|4]: uint8, uint16, or floats in 0..1. Else raises `BadInput`."""
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
    # Copies: a picture never shares the caller's memory.
    alpha = np.array(array[..., 3], order="C") if array.shape[2] == 4 else None
    pixels = np.array(array[..., :3], order="C")
    return Picture(pixels=pixels, alpha=alpha, icc=None, name=name, format="")


def check_size(width: int, height: int, *, name: str, least: int = MIN_SIDE) -> None:
    """Raise `BadInput` for fewer than `least` pixels on a side, or more than `MAX_PIXELS`."""
    if min(width, height) < least:
        raise BadInput(
            f"{name} is {width}x{height} pixels; the smallest is {least}x{least}",
            hint="use a larger picture",
        )
    if width * height > MAX_PIXELS:
        raise too_large(name, width * height)


def too_large(name: str, count: int | None) -> BadInput:
    """The error for a picture of `count` pixels (None: nobody knows how many)."""
    size = "too many" if count is None else f"{count / 1e6:,.0f} million"
    return BadInput(
        f"{name} has {size} pixels; the most is {MAX_PIXELS / 1e6:.0f} million",
        hint="shrink the picture first",
    )


def _orientation(image: Image.Image) -> int:
    # Broken EXIF is common and no reason to refuse the picture.
    with suppress(Exception):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _to_rgb(image: Image.Image, icc: bytes | None) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Plain RGB, the alpha plane if there is one, and the profile if it describes RGB.

    Through one of grey or CMYK the picture becomes sRGB.
    """
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        grey = _to_eight_bits(np.array(image))
        return np.repeat(grey[..., None], 3, axis=2), None, None
    if mode in ("CMYK", "LAB"):
        return np.array(_through_profile(image, icc)), None, None
    if mode == "La":
        image = image.convert("LA")
    if mode in ("L", "LA", "La") and _describes(icc, b"GRAY"):
        alpha = np.array(image.convert("LA").getchannel("A"))
        pixels = np.array(_through_profile(image.convert("L"), icc))
        return pixels, alpha if image.has_transparency_data else None, None
    if not _describes(icc, b"RGB "):
        icc = None
    if image.has_transparency_data:
        rgba = np.array(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), icc
    # From RGB to RGB it would be a copy for nothing.
    return np.array(image if mode == "RGB" else image.convert("RGB")), None, icc


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


def _describes(icc: bytes | None, space: bytes) -> bool:
    """Whether there is a profile, and it is of this colour space, four letters."""
    return icc is not None and icc[16:20] == space


def _through_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Grey, CMYK and Lab to sRGB, with the file's own profile when it has one that fits."""
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        source: Any = ImageCms.createProfile("LAB")
    elif icc is not None and _describes(icc, b"CMYK" if image.mode == "CMYK" else b"GRAY"):
        source = io.BytesIO(icc)
    else:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert converted is not None
    return converted
