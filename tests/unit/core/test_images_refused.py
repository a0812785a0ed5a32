"""What is no picture, or none that can be used: refused in two lines."""

from __future__ import annotations

import errno
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from deepcanon.core import images
from deepcanon.core.errors import BadInput
from deepcanon.core.images import MIN_SIDE, load
from tests.refusal import two_lines
from tests.tiny_pictures import SRGB, oriented, quarters


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
    quarters().save(buffer, format=kind, exif=oriented(6), icc_profile=SRGB)
    return buffer.getvalue()


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
