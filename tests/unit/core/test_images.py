from __future__ import annotations

import errno
import io
import os
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from deepcanon.core import images
from deepcanon.core.errors import BadInput, DeepcanonError, Unavailable
from deepcanon.core.images import MIN_SIDE, find, load, resize, same_file, save

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def quarters() -> Image.Image:
    """32x24 pixels: red, green over blue, white; every rotation and flip of it is another."""
    image = Image.new("RGB", (32, 24), WHITE)
    image.paste(RED, (0, 0, 16, 12))
    image.paste(GREEN, (16, 0, 32, 12))
    image.paste(BLUE, (0, 12, 16, 24))
    return image


def two_lines(caught: pytest.ExceptionInfo[DeepcanonError], *, code: int = 2) -> str:
    error = caught.value
    assert error.exit_code == code
    for line in (error.message, error.hint):
        assert line.strip() == line and line and "\n" not in line
    return error.message


# --- bad input --------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path / "none.jpg")
    assert two_lines(caught) == f"{tmp_path}/none.jpg does not exist"


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path)
    assert "is a folder" in two_lines(caught)


def test_not_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("a shopping list")
    with pytest.raises(BadInput) as caught:
        load(path)
    assert two_lines(caught) == f"{path} is not a picture that can be read"


def test_a_program_for_a_printer_is_not_run(tmp_path: Path) -> None:
    """Pillow would start ghostscript on it."""
    path = tmp_path / "x.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n")
    with pytest.raises(BadInput, match="not a picture"):
        load(path)


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.touch()
    with pytest.raises(BadInput) as caught:
        load(path)
    assert two_lines(caught) == f"{path} is empty (0 bytes)"
    with pytest.raises(BadInput, match="empty"):
        load(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated(tmp_path: Path, kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=kind)
    path = tmp_path / "cut"
    path.write_bytes(buffer.getvalue()[: int(part * buffer.tell())])
    with pytest.raises(BadInput) as caught:
        load(path)
    message = two_lines(caught)
    assert message.startswith(f"{path} is damaged or cut short") or "not a picture" in message


@given(at=st.integers(0, 5000), noise=st.binary(min_size=1, max_size=8))
def test_damage_anywhere_is_a_picture_or_an_error(at: int, noise: bytes) -> None:
    for kind in ("JPEG", "PNG"):
        content = bytearray(_encoded(kind))
        at %= len(content)
        content[at : at + len(noise)] = noise
        try:
            assert load(bytes(content)).pixels.shape[2] == 3
        except BadInput as error:
            assert error.hint


def _encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    quarters().save(buffer, format=kind, exif=_exif(6), icc_profile=SRGB)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: a decompression bomb."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(50_000, 50_000, "2,500 million"), (10_001, 10_000, "100 million"), (13_000, 9_000, "117")],
)
def test_a_decompression_bomb(tmp_path: Path, width: int, height: int, count: str) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_of(width, height))
    with pytest.raises(BadInput) as caught:
        load(path)
    message = two_lines(caught)
    assert str(path) in message and count in message and "the most is 100 million" in message


def test_a_bomb_of_text_inside_a_png(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * (2 << 20), zip=True)
    path = tmp_path / "text.png"
    quarters().save(path, pnginfo=info)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert "damaged" in two_lines(caught)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (MIN_SIDE - 1, MIN_SIDE)])
def test_too_small(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert two_lines(caught) == (
        f"{path} is {size[0]}x{size[1]} pixels; the smallest is {MIN_SIDE}x{MIN_SIDE}"
    )
    with pytest.raises(BadInput, match="smallest is 16"):
        load(np.zeros((size[1], size[0], 3), np.uint8))
    with pytest.raises(BadInput, match="smallest is 16"):
        load(Image.new("RGB", size))


def test_the_smallest_is_read() -> None:
    assert load(np.zeros((MIN_SIDE, MIN_SIDE), np.uint8)).pixels.shape == (16, 16, 3)


def test_too_thin_once_shrunk() -> None:
    with pytest.raises(BadInput, match="8 pixels on its short side"):
        load(np.zeros((16, 1024, 3), np.uint8), max_side=512)


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    path = tmp_path / "big.bmp"
    quarters().save(path)
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(BadInput, match="the most that is read is"):
            load(source)


def test_pillow_adds_no_lines_of_its_own(tmp_path: Path) -> None:
    """Where nobody set up logging, its error records would go to stderr."""
    quarters().save(tmp_path / "x.tif")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    at = content.index(struct.pack("<HHI", 277, 3, 1))  # SamplesPerPixel, one short
    content[at + 8 : at + 10] = struct.pack("<H", 9999)
    (tmp_path / "x.tif").write_bytes(content)
    code = "import sys; from deepcanon.core.images import load; load(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.tif")], capture_output=True, text=True
    )
    assert "deepcanon.core.errors.BadInput" in ran.stderr
    assert not ran.stderr.startswith("More samples per pixel")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadInput) as caught:
        load(tmp_path / "x.png")
    assert "cannot be read: Permission denied" in two_lines(caught)


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
    quarters().save(path, exif=_exif(orientation), **options)
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
    image.save(tmp_path / "x.png", exif=_exif(6))
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
    quarters().resize((800, 600)).save(path, quality=95, exif=_exif(6))
    picture = load(path, max_side=120)  # more than an eighth, which a JPEG could decode at
    assert picture.pixels.shape == (120, 90, 3)
    assert _colour(picture.pixels[10, 10]) == "blue"
    assert load(path, max_side=9999).pixels.shape == (800, 600, 3)


# --- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "PNG"])
def test_lossless_round_trip(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / f"x.{suffix}"
    save(pixels, path)
    np.testing.assert_array_equal(load(path).pixels, pixels)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_alpha_is_kept_where_the_format_has_it(tmp_path: Path, suffix: str) -> None:
    pixels = np.full((16, 16, 3), 90, np.uint8)
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / f"x.{suffix}"
    save(pixels, path, alpha=alpha)
    np.testing.assert_array_equal(load(path).alpha, alpha)


@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_elsewhere_the_picture_is_laid_on_white(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    alpha = np.zeros((16, 16), np.uint8)
    alpha[:, :8] = 255
    path = tmp_path / f"x.{suffix}"
    save(pixels, path, alpha=alpha)
    picture = load(path)
    assert picture.alpha is None
    assert picture.pixels[:, :8].max() < 5 and picture.pixels[:, 8:].min() > 250


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_the_colour_profile_is_kept(tmp_path: Path, suffix: str) -> None:
    quarters().save(tmp_path / f"in.{suffix}", icc_profile=SRGB)
    picture = load(tmp_path / f"in.{suffix}")
    assert picture.icc == SRGB
    save(picture.pixels, tmp_path / f"out.{suffix}", icc=picture.icc)
    assert load(tmp_path / f"out.{suffix}").icc == SRGB


def test_jpeg_keeps_full_chroma(tmp_path: Path) -> None:
    """Red and blue columns in turn: with halved chroma they would all come out purple."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2, 0] = 255
    pixels[:, 1::2, 2] = 255
    save(pixels, tmp_path / "x.jpg")
    off = np.abs(load(tmp_path / "x.jpg").pixels - pixels.astype(int))
    assert off.mean() < 6
    with Image.open(tmp_path / "x.jpg") as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}


def test_stdout_gets_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    save(np.array(quarters()), "-")
    np.testing.assert_array_equal(load(out.getvalue()).pixels, np.array(quarters()))
    assert load(out.getvalue()).format == "PNG"


@pytest.mark.parametrize("name", ["x", "x.txt", "x.gif", ".png"])
def test_an_unknown_ending(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        save(np.array(quarters()), tmp_path / name)
    two_lines(caught)
    assert ".png .jpg" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        save(np.zeros((16, 16_384, 3), np.uint8), tmp_path / "x.webp")
    assert "16384x16 pixels cannot be written as WEBP" in two_lines(caught)
    assert list(tmp_path.iterdir()) == []


def test_disk_full(tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC."""
    link = tmp_path / "x.png"
    link.symlink_to("/dev/full")
    with pytest.raises(Unavailable) as caught:
        save(np.array(quarters()), link)
    assert two_lines(caught) == f"{link} could not be written: the disk is full"


def test_disk_full_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.RawIOBase):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Full()))
    with pytest.raises(Unavailable) as caught:
        save(np.zeros((16, 16, 3), np.uint8), "-")
    assert "standard output could not be written" in two_lines(caught)


def test_nobody_reads_stdout_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.RawIOBase):
        def write(self, _: object) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Closed()))
    with pytest.raises(BrokenPipeError):
        save(np.zeros((16, 16, 3), np.uint8), "-")


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


# --- finding ----------------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    names = "img10.jpg img2.JPG IMG1.png notes.txt .hidden.png ._img1.png sub/deep.png a[1].png"
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def _names(found: list[Any]) -> list[str]:
    return [each if each == "-" else each.name for each in found]


def test_a_folder_in_natural_order(album: Path) -> None:
    assert _names(find([album])) == ["a[1].png", "IMG1.png", "img2.JPG", "img10.jpg"]


def test_globs(album: Path) -> None:
    assert _names(find([f"{album}/img*"])) == ["img2.JPG", "img10.jpg"]
    assert _names(find([f"{album}/**/*.png"])) == ["a[1].png", "IMG1.png", "deep.png"]


def test_a_file_whose_name_looks_like_a_glob(album: Path) -> None:
    assert _names(find([album / "a[1].png"])) == ["a[1].png"]


def test_order_of_sources_and_no_repeats(album: Path) -> None:
    found = find([album / "img10.jpg", "-", album, "-"])
    assert _names(found) == ["img10.jpg", "-", "a[1].png", "IMG1.png", "img2.JPG"]


def test_a_named_file_is_kept_whatever_its_ending(album: Path) -> None:
    assert _names(find([album / "notes.txt"])) == ["notes.txt"]


@pytest.mark.parametrize("source", ["none.jpg", "empty", "none*.jpg", "notes*"])
def test_nothing_found_names_the_source(
    album: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (album / "empty").mkdir()
    monkeypatch.chdir(album)
    with pytest.raises(BadInput) as caught:
        find([album / "img2.JPG", source])
    assert source in two_lines(caught)


@pytest.mark.parametrize("sources", [[], [""]])
def test_no_sources_at_all(sources: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        find(sources)
    two_lines(caught)


def test_same_file(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = album / "img2.JPG"
    (album / "link.jpg").symlink_to(photo)
    os.link(photo, album / "hard.jpg")
    monkeypatch.chdir(album)
    for other in (photo, "img2.JPG", "./sub/../img2.JPG", "link.jpg", "hard.jpg"):
        assert same_file(photo, other), other
    assert not same_file(photo, "img10.jpg") and not same_file(photo, "new.jpg")
    assert same_file("new.jpg", album / "new.jpg")


def test_a_mode_survives_overwriting(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    save(np.array(quarters()), path)
    path.chmod(0o640)
    save(np.array(quarters()), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
