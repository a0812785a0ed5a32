"""Mixing a repainted picture with the photograph it came from.

Both functions are linear in the pixel values as they are stored (gamma-encoded), like the YCbCr of
JPEG and video. `keep_color` is the "luminance-only transfer" of Gatys et al., "Preserving Color in
Neural Artistic Style Transfer" (2016, arXiv:1606.05897), section 3.2, in the luma of ITU-R BT.601.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from deepcanon.core.picture import Pixels

__all__ = ["LUMA", "finish", "keep_color", "luma", "mix"]

Floats = npt.NDArray[np.float32]

# ITU-R BT.601-7, section 2.5.1: what Y is in JPEG's YCbCr.
LUMA = (0.299, 0.587, 0.114)
# Rows worked on at a time: a 100-megapixel photograph as floats would take gigabytes.
_BAND = 256


def luma(pixels: Pixels | Floats) -> Floats:
    """Y of BT.601, [h, w] in 0..255, of RGB [h, w, 3] in 0..255."""
    y: Floats = pixels.astype(np.float32) @ np.array(LUMA, dtype=np.float32)
    return y


def keep_color(painted: Pixels, photo: Pixels) -> Pixels:
    """The luma of `painted` with the colours of `photo`; both uint8 [h, w, 3] of one size.

    R - Y, G - Y and B - Y depend on Cb and Cr alone, so the photograph's are added to the painted
    Y. A colour too strong for its new brightness is paled along the line to grey, which keeps Y and
    hue, where clipping each channel would change both.
    """
    _check_sizes(painted, photo)
    out = np.empty_like(photo)
    for rows in _bands(len(photo)):
        y = luma(painted[rows])
        original = photo[rows].astype(np.float32)
        chroma = original - luma(original)[..., None]
        above = np.maximum(chroma.max(axis=-1), 1e-6)
        below = np.maximum(-chroma.min(axis=-1), 1e-6)
        strength = np.minimum(1, np.minimum((255 - y) / above, y / below))
        out[rows] = _to_bytes(y[..., None] + strength[..., None] * chroma)
    return out


def mix(painted: Pixels, photo: Pixels, *, strength: float) -> Pixels:
    """`strength` of the painted picture and the rest of the photograph; uint8 [h, w, 3] each."""
    _check_sizes(painted, photo)
    out = np.empty_like(photo)
    for rows in _bands(len(photo)):
        original = photo[rows].astype(np.float32)
        out[rows] = _to_bytes(original + np.float32(strength) * (painted[rows] - original))
    return out


def finish(painted: Pixels, photo: Pixels, *, strength: float, keep_colors: bool) -> Pixels:
    """Both of the above as they are wanted: the photograph's colours first, then the mixing."""
    if keep_colors:
        painted = keep_color(painted, photo)
    return painted if strength == 1 else mix(painted, photo, strength=strength)


def _check_sizes(painted: Pixels, photo: Pixels) -> None:
    if painted.shape != photo.shape:
        raise ValueError(f"the two pictures differ in size: {painted.shape} and {photo.shape}")


def _bands(height: int) -> Iterator[slice]:
    return (slice(top, top + _BAND) for top in range(0, height, _BAND))


def _to_bytes(values: Floats) -> Pixels:
    rounded: Pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded
