"""Pictures in: every source and every kind gives the same pixels; sizes."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepcanon.core.errors import BadInput
from deepcanon.core.images import load, resize
from tests.refusal import two_lines
from tests.tiny_pictures import BLUE, GREEN, RED, SRGB, WHITE, oriented, quarters

# --- sources ----------------------------------------------------------------------------------


def test_every_source_gives_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "q.png"
    quarters().save(path)
    expected = np.array(quarters())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    opened: list[Any] = [
        path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), quarters(),
        expected, "-",
    ]  # fmt: skip
    for source in opened:
        picture = load(source)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.writeable
        assert picture.alpha is None and picture.icc is None
    assert load(path).format == "PNG" and load(path).name == str(path)


def test_arrays() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = np.dstack([ramp] * 3)
    for array in (
        ramp, ramp[..., None], grey, ramp.astype(np.uint16) * 257, ramp / np.float32(255),
        ramp / 255.0,
    ):  # fmt: skip
        picture = load(array)
        np.testing.assert_array_equal(picture.pixels, grey)
        assert picture.alpha is None
    picture = load(np.dstack([grey, 255 - ramp]))
    np.testing.assert_array_equal(picture.alpha, 255 - ramp)
    np.testing.assert_array_equal(picture.pixels, grey)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(16, np.uint8),
        np.zeros((16, 16, 2), np.uint8),
        np.zeros((1, 16, 16, 3), np.uint8),
        np.zeros((16, 16, 3), np.int64),
        np.full((16, 16, 3), np.nan),
        np.full((16, 16, 3), 1.01),
        np.full((16, 16, 3), -0.01),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        load(array)
    two_lines(caught)


def test_a_callers_array_is_not_shared() -> None:
    array = np.zeros((16, 16, 3), np.uint8)
    load(array).pixels[:] = 9
    assert not array.any()


def test_a_callers_image_keeps_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    quarters().resize((640, 480)).save(path)
    with Image.open(path) as image:
        assert load(image, max_side=64).pixels.shape == (48, 64, 3)
        assert image.size == (640, 480)


# --- kinds of pictures ------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    """The corners' colours, clockwise from the top left, of the upright picture."""
    # How a viewer must turn the stored corners (EXIF 2.3, tag 274), worked out by hand.
    stored = ["red", "green", "white", "blue"]
    upright = {
        1: stored,
        2: ["green", "red", "blue", "white"],  # mirrored left to right
        3: ["white", "blue", "red", "green"],  # turned by 180 degrees
        4: ["blue", "white", "green", "red"],  # mirrored top to bottom
        5: ["red", "blue", "white", "green"],  # mirrored along the main diagonal
        6: ["blue", "red", "green", "white"],  # turned right
        7: ["white", "green", "red", "blue"],  # mirrored along the other diagonal
        8: ["green", "white", "blue", "red"],  # turned left
    }[orientation]
    path = tmp_path / f"x.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {"quality": 95}
    quarters().save(path, exif=oriented(orientation), **options)
    pixels = load(path).pixels
    assert pixels.shape == ((32, 24, 3) if orientation >= 5 else (24, 32, 3))
    assert [_colour(pixels[y, x]) for y, x in ((3, 3), (3, -4), (-4, -4), (-4, 3))] == upright


def _colour(pixel: np.ndarray[Any, Any]) -> str:
    names = {RED: "red", GREEN: "green", BLUE: "blue", WHITE: "white"}
    return next(
        name for colour, name in names.items() if np.abs(pixel - np.int64(colour)).max() < 40
    )


def test_alpha_is_turned_with_the_picture(tmp_path: Path) -> None:
    image = quarters()
    mask = Image.new("L", image.size, 0)
    mask.paste(200, (0, 0, 16, 12))
    image.putalpha(mask)
    image.save(tmp_path / "x.png", exif=oriented(6))
    picture = load(tmp_path / "x.png")
    assert picture.alpha is not None and picture.alpha.shape == (32, 24)
    assert picture.alpha[3, -4] == 200 and picture.alpha[3, 3] == 0  # the red corner went right


def test_broken_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    quarters().save(tmp_path / "x.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert load(tmp_path / "x.jpg").pixels.shape == (24, 32, 3)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
)
def test_white_is_white_and_black_black_in_every_mode(mode: str) -> None:
    """Left half white, right half black."""
    base = Image.new("L", (32, 16), 255)
    base.paste(0, (16, 0, 32, 16))
    if mode == "LAB":
        image = Image.new("LAB", (32, 16), (255, 128, 128))
        image.paste((0, 128, 128), (16, 0, 32, 16))
    elif mode in ("I", "I;16"):
        image = Image.fromarray((np.array(base).astype(np.uint16) * 257).astype(
            np.int32 if mode == "I" else np.uint16))  # fmt: skip
    elif mode == "F":
        image = Image.fromarray(np.array(base, np.float32) / 255)
    else:
        image = base.convert("RGB").convert(mode) if mode != "1" else base.convert("1")
    assert image.mode == mode
    pixels = load(image).pixels
    assert pixels.shape == (16, 32, 3)
    assert pixels[:, :16].min() >= 253 and pixels[:, 16:].max() <= 2


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.tile(np.array([0, 128, 257, 32768, 65535], np.uint16).repeat(4), (16, 1))
    for suffix in ("png", "tif"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(values).save(path)
        with Image.open(path) as stored:
            assert stored.mode == "I;16"
        assert load(path).pixels[0, ::4, 0].tolist() == [0, 0, 1, 128, 255]


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    """Three channels of 16 bits, which Pillow cannot write: a PNG by hand."""
    row = struct.pack(">HHH", 0xFFFF, 0x8080, 0x0000) * 16

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress((b"\x00" + row) * 16))
    content = b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")
    assert load(content).pixels[5, 5].tolist() == [255, 128, 0]


def test_floats_that_are_not_finite_become_black() -> None:
    values = np.ones((16, 16), np.float32)
    values[0, :3] = np.nan, np.inf, -1
    pixels = load(Image.fromarray(values)).pixels
    assert pixels[0, :4, 0].tolist() == [0, 0, 0, 255]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    quarters().convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    with Image.open(tmp_path / "x.jpg") as stored:
        assert stored.mode == "CMYK"
    picture = load(tmp_path / "x.jpg")
    assert _colour(picture.pixels[3, 3]) == "red" and _colour(picture.pixels[3, -4]) == "green"
    assert picture.icc is None


def test_a_profile_that_is_not_of_rgb_is_not_handed_on(tmp_path: Path) -> None:
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    quarters().convert("L").save(tmp_path / "x.png", icc_profile=grey)
    assert load(tmp_path / "x.png").icc is None
    broken = SRGB[:16] + b"CMYK" + SRGB[20:]
    quarters().convert("CMYK").save(tmp_path / "x.jpg", icc_profile=broken)
    picture = load(tmp_path / "x.jpg")
    assert picture.icc is None and _colour(picture.pixels[3, 3]) == "red"


def _linear_grey() -> bytes:
    """The smallest ICC profile of grey: a white point and a curve that is the identity."""
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50, in 1/65536
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 12)
    body = tags + b"XYZ \0\0\0\0" + white + b"curv" + bytes(8)
    kinds = (b"mntr", b"GRAY", b"XYZ ", b"acsp")
    start = struct.pack(">I4xI4s4s4s12x4s28x", 128 + len(body), 0x0240_0000, *kinds)
    return (start + white).ljust(128, b"\0") + body


@pytest.mark.parametrize("alpha", [False, True])
def test_a_profile_of_grey_is_gone_through(tmp_path: Path, alpha: bool) -> None:
    """Light of 128 / 255, 55 / 255 and 10 / 255 is 188, 128 and 55 in sRGB (IEC 61966-2-1)."""
    grey = Image.fromarray(np.repeat(np.array([[0, 10, 55, 128, 255]], "u1"), 16, 0).repeat(4, 1))
    image = Image.merge("LA", (grey, grey)) if alpha else grey
    image.save(tmp_path / "x.png", icc_profile=_linear_grey())
    picture = load(tmp_path / "x.png")
    assert picture.icc is None
    assert picture.pixels[5, ::4].tolist() == [[each] * 3 for each in (0, 55, 128, 188, 255)]
    if alpha:
        assert picture.alpha is not None
        assert picture.alpha[5, ::4].tolist() == [0, 10, 55, 128, 255]
    else:
        assert picture.alpha is None


def test_transparency_of_every_kind(tmp_path: Path) -> None:
    """Palette entries, a colour key, and grey with alpha; the red quarter shows through."""
    image = quarters()
    palette = image.quantize(4)
    (index,) = {palette.getpixel((3, 3))}
    palette.save(tmp_path / "p.png", transparency=index)
    palette.save(tmp_path / "p.gif", transparency=index)
    image.save(tmp_path / "key.png", transparency=RED)
    grey = image.convert("L")
    grey.putalpha(Image.fromarray(np.where(np.array(image)[..., 1:].any(-1), 255, 0).astype("u1")))
    assert grey.mode == "LA"
    grey.save(tmp_path / "la.png")
    for name in ("p.png", "p.gif", "key.png", "la.png"):
        alpha = load(tmp_path / name).alpha
        assert alpha is not None, name
        assert alpha[3, 3] == 0 and alpha[3, -4] == 255, name


def test_premultiplied_alpha() -> None:
    straight = Image.new("RGBA", (16, 16), (200, 100, 50, 128))
    picture = load(straight.convert("RGBa"))
    assert np.abs(picture.pixels[0, 0] - np.array([200, 100, 50])).max() <= 2
    assert picture.alpha is not None and picture.alpha[0, 0] == 128


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert _colour(load(path).pixels[5, 5]) == "red"


def test_max_side_shrinks_and_never_enlarges(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    quarters().resize((800, 600)).save(path, quality=95, exif=oriented(6))
    picture = load(path, max_side=120)  # more than an eighth, which a JPEG could decode at
    assert picture.pixels.shape == (120, 90, 3)
    assert _colour(picture.pixels[10, 10]) == "blue"
    assert load(path, max_side=9999).pixels.shape == (800, 600, 3)


# --- sizes ------------------------------------------------------------------------------------


def test_resize_keeps_proportions() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    assert resize(pixels, short_side=20).shape == (20, 30, 3)
    assert resize(pixels, long_side=30).shape == (20, 30, 3)
    assert resize(pixels, size=(7, 9)).shape == (7, 9, 3)
    assert resize(pixels[..., 0], short_side=80).shape == (80, 120)
    assert resize(np.zeros((2, 400, 3), np.uint8), long_side=40).shape == (1, 40, 3)


def test_resize_is_antialiased() -> None:
    """A chequerboard shrunk to a quarter is grey; picking every fourth pixel would be black."""
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    small = resize(board.astype(np.uint8), size=(16, 16))
    assert small.min() >= 120 and small.max() <= 135


def test_resize_takes_exactly_one() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(TypeError):
        resize(pixels)
    with pytest.raises(TypeError):
        resize(pixels, short_side=3, size=(3, 3))
