"""Every bad input of `deepcanon stylize`: two lines, exit 2 (1 for a failure), and no harm done."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.core import images
from tests import tiny_style
from tests.cli.conftest import Run, files, photo, refused

pytestmark = pytest.mark.row("T2")

FAST = ("--engine", "onnxruntime", "--threads", "1")


def bomb() -> bytes:
    """A PNG whose header promises 50,000 x 50,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body)


def encoded(size: tuple[int, int], form: str) -> bytes:
    file = io.BytesIO()
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


BAD_PICTURES = {
    "text.jpg": b"Dear Sir or Madam,",
    "cut.jpg": encoded((200, 200), "JPEG")[:3000],
    "cut.png": encoded((200, 200), "PNG")[:3000],
    "empty.jpg": b"",
    "bomb.png": bomb(),
    "dot.png": encoded((1, 1), "PNG"),
    "strip.png": encoded((2000, 3), "PNG"),
    "post.png": encoded((3, 2000), "PNG"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture(name: str, run: Run, desk: Path) -> None:
    Path(name).write_bytes(BAD_PICTURES[name])
    refused(run("stylize", name, "-o", "out.png", *FAST), name)
    refused(run("stylize", "sheet", name, "-o", "out.png"), name)
    assert files(desk) == [name]
    assert Path(name).read_bytes() == BAD_PICTURES[name]


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_through_a_pipe(name: str, run: Run, desk: Path) -> None:
    refused(run("stylize", "-", *FAST, stdin=BAD_PICTURES[name]), "standard input")


def test_a_bomb_is_refused_before_it_goes_off(run: Run, desk: Path) -> None:
    Path("bomb.png").write_bytes(BAD_PICTURES["bomb.png"])
    refused(run("stylize", "bomb.png", *FAST), "2,500 million pixels")


def test_missing_things(run: Run, desk: Path) -> None:
    Path("none").mkdir()
    refused(run("stylize", "gone.jpg", *FAST), "gone.jpg does not exist")
    refused(run("stylize", "gone/*.jpg", *FAST), "gone/*.jpg")
    refused(run("stylize", "none", *FAST), "none holds no pictures")
    refused(run("stylize", "sheet", "gone.jpg"), "gone.jpg does not exist")


# --- the style


def test_an_unknown_style_names_the_near_ones(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    hint = refused(run("stylize", "photo.png", "--style", "stary-night"), "'stary-night'")
    assert "starry-night" in hint
    hint = refused(run("stylize", "photo.png", "--style", "xyzzy"), "'xyzzy'")
    assert "great-wave" in hint
    assert files(desk) == ["photo.png"]


@pytest.mark.parametrize(
    ("style", "says"),
    [
        ("udnie:-1", "the weight '-1' of the style 'udnie' is not a number"),
        ("udnie:-0.5,great-wave:2", "the weight '-0.5' of the style 'udnie' is not a number"),
        ("udnie:nan", "the weight 'nan' of the style 'udnie' is not a number"),
        ("udnie:inf", "the weight 'inf' of the style 'udnie' is not a number"),
        ("udnie:lots", "the weight 'lots' of the style 'udnie' is not a number"),
        ("udnie:0", "all weights in 'udnie:0' are zero"),
        (",", "there is no style ''"),
        ("", "there is no style ''"),
    ],
)
def test_bad_weights(style: str, says: str, run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    refused(run("stylize", "photo.png", "--style", style), says)
    assert files(desk) == ["photo.png"]


@pytest.mark.parametrize("strength", ["nan", "-0.5", "2", "inf"])
def test_bad_strength(strength: str, run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    refused(run("stylize", "photo.png", "--strength", strength), "trength")
    assert files(desk) == ["photo.png"]


# --- the model


def test_an_onnx_file_without_our_record(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    tiny_style.write(Path("bare.onnx"), metadata={})
    ran = run("stylize", "photo.png", "--model", "bare.onnx", *FAST)
    refused(ran, "bare.onnx carries no deepcanon record")


def test_files_that_are_no_model(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    Path("pickle.onnx").write_bytes(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.")
    Path("weights.pth").write_bytes(b"\x80\x04.")
    Path("empty.onnx").touch()
    for name in ("pickle.onnx", "weights.pth", "empty.onnx", "gone.onnx", "photo.png"):
        refused(run("stylize", "photo.png", "--model", name, *FAST), name)


def test_nan_in_the_weights(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(Path("photo.png"))
    broken = {**tiny_style.STYLES, "udnie": ((float("nan"), 0.0, 0.0), (0.0, 0.0, 0.0))}
    monkeypatch.setattr(tiny_style, "STYLES", broken)
    tiny_style.write(Path("nan.onnx"))
    ran = run("stylize", "photo.png", "--model", "nan.onnx", *FAST)
    refused(ran, "nan.onnx", "not a finite number")


@pytest.mark.usefixtures("sample")
def test_a_shipped_network_that_was_tampered_with(
    run: Run, desk: Path, shipped_model: Path
) -> None:
    photo(Path("photo.png"))
    shipped_model.write_bytes(shipped_model.read_bytes() + b"\0")
    refused(run("stylize", "photo.png", *FAST), "sha256")
    refused(run("demo", *FAST), "sha256")


def test_an_unknown_engine(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    hint = refused(run("stylize", "photo.png", "--engine", "warpdrive"), "warpdrive")
    assert "onnxruntime" in hint


# --- the output


def test_an_output_equal_to_the_input(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    before = Path("photo.png").read_bytes()
    Path("link.png").symlink_to("photo.png")
    os.link("photo.png", "hard.png")
    Path("sub").mkdir()
    for output in ("photo.png", "./photo.png", "sub/../photo.png", "link.png", "hard.png"):
        refused(run("stylize", "photo.png", "-o", output, *FAST), "would overwrite an input")
        refused(run("stylize", "sheet", "photo.png", "-o", output), "would overwrite an input")
    assert Path("photo.png").read_bytes() == before


def test_an_output_equal_to_another_input(run: Run, desk: Path) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/a.udnie.png"))
    ran = run("stylize", "in/a.png", "in/a.udnie.png", "--style", "udnie", *FAST)
    refused(ran, "in/a.udnie.png would overwrite an input")


def test_two_inputs_with_one_output(run: Run, desk: Path) -> None:
    photo(Path("a/photo.png"))
    photo(Path("b/photo.png"))
    refused(
        run("stylize", "a", "b", "-o", "out", *FAST),
        "a/photo.png and b/photo.png",
        "out/photo.starry-night.png",
    )
    assert not Path("out").exists()


def test_several_pictures_into_one_file(run: Run, desk: Path) -> None:
    photo(Path("a.png"))
    photo(Path("b.png"))
    refused(run("stylize", "a.png", "b.png", "-o", "out.png"), "out.png")
    refused(run("stylize", "a.png", "b.png", "-o", "-"), "standard output")
    refused(run("stylize", "sheet", ".", "-o", "out.png"), "several pictures")
    refused(run("stylize", "sheet", ".", "-o", "out/"), "2 pictures")
    assert files(desk) == ["a.png", "b.png"]


def test_output_names_that_are_no_picture(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    hint = refused(run("stylize", "photo.png", "-o", "out.doc"), "out.doc", "'.doc'")
    assert ".jpg" in hint
    data = Path("photo.png").read_bytes()
    for words in (("photo.png", "-o", "-"), ("-",), ("-", "photo.png")):
        refused(run("stylize", *words, "--json", *FAST, stdin=data), "both go to standard output")
    refused(run("stylize", "sheet", "photo.png", "--json", "-o", "-"), "both go to standard output")


def test_a_folder_that_cannot_be_written(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    Path("file.jpg").write_bytes(b"kept")
    refused(run("stylize", "photo.png", "-o", "file.jpg/out.png"), "file.jpg is not a folder")
    refused(run("stylize", "photo.png", "-o", "/proc/none/out.png", *FAST), "/proc/none/out.png")
    refused(run("demo", "-o", "file.jpg/out"), "file.jpg is not a folder")
    assert Path("file.jpg").read_bytes() == b"kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    Path("shut").mkdir(mode=0o500)
    refused(run("stylize", "photo.png", "-o", "shut/out.png"), "shut is not writable")


def test_the_right_to_write_is_asked_before_the_work(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(Path("photo.png"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(run("stylize", "photo.png", "-o", "out.png"), "is not writable")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond 1 kB: a write stops half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded((64, 64), "PNG"))


@pytest.mark.usefixtures("sample")
def test_a_full_disk(run: Run, desk: Path, request: pytest.FixtureRequest) -> None:
    noise(Path("photo.png"))
    Path("out.png").write_bytes(b"what was there")
    request.getfixturevalue("full_disk")
    ran = run("stylize", "photo.png", "-o", "out.png", *FAST)
    refused(ran, "out.png", "disk is full")
    refused(run("stylize", "sheet", "photo.png", "-o", "out.png"), "disk is full")
    refused(run("demo"), "disk is full")
    assert Path("out.png").read_bytes() == b"what was there"
    assert files(desk) == ["out.png", "photo.png"]


def test_a_full_disk_ends_a_folder_run(
    run: Run, desk: Path, request: pytest.FixtureRequest
) -> None:
    for name in ("in/a.png", "in/b.png"):
        noise(Path(name))
    request.getfixturevalue("full_disk")
    refused(run("stylize", "in", "-o", "out", *FAST), "out/a.", "disk is full")
    assert files(Path("out")) == []


def test_a_picture_does_not_go_to_a_terminal(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(Path("photo.png"))
    monkeypatch.setattr("deepcanon.cli.files._is_terminal", lambda stream: True)
    refused(run("stylize", "photo.png", "-o", "-", *FAST), "terminal")


def test_a_reader_that_went_away_is_no_error(desk: Path, tiny_model: Path) -> None:
    """As `deepcanon stylize photo.png -o - | head -c 1`: not a word."""
    photo(Path("photo.png"))
    words = ("stylize", "photo.png", "-o", "-", "--model", str(tiny_model), *FAST)
    process = subprocess.Popen(
        [sys.executable, "-m", "deepcanon", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    try:
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, err) == (1, b"")


# --- Ctrl-C


def test_ctrl_c_while_writing_leaves_nothing(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        photo(Path("in", name))
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        if Path(target).name.startswith("b"):
            assert Path(source).stat().st_size > 0
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    refused(run("stylize", "in", "-o", "out", *FAST), "interrupted", code=130)
    assert files(Path("out")) == ["a.starry-night.png"]


def test_ctrl_c_in_a_process(desk: Path, tiny_model: Path) -> None:
    """SIGINT while it waits for its picture: two lines, 130, and nothing written."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deepcanon", "stylize", "-", "--model", str(tiny_model), *FAST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Tests that run in the background of a shell script inherit a Ctrl-C that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == b""
    assert [line.split(b":")[0] for line in err.splitlines()] == [b"error", b"hint"]
    assert files(desk) == []


def test_formats_agree_with_what_can_be_saved(run: Run, desk: Path) -> None:
    """The endings that stylize lets pass are those that core.images writes."""
    for suffix in sorted({*images.SUFFIXES, *images.WRITABLE}):
        path = desk / f"x{suffix}"
        try:
            images.save(np.zeros((16, 16, 3), np.uint8), path)
        except images.BadInput:
            assert suffix not in images.WRITABLE
        else:
            assert suffix in images.WRITABLE
