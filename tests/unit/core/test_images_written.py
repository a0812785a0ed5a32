"""Pictures out: what each format keeps, and what becomes of a file when writing fails."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from deepcanon.core.errors import BadInput, Unavailable
from deepcanon.core.images import load, save
from tests.refusal import two_lines
from tests.tiny_pictures import SRGB, quarters


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
