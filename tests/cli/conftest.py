"""Running the command line inside the test process, with a tiny network as the shipped one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepcanon.cli import main
from deepcanon.core import assets
from tests import tiny_style


@dataclass(frozen=True)
class Ran:
    """What a command did: exit code, standard output as bytes, standard error as text."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error_lines(self) -> list[str]:
        """The two lines of an error, checked to be just that."""
        lines = self.err.splitlines()
        assert len(lines) == 2, self.err
        assert lines[0].startswith("error: "), self.err
        assert lines[1].startswith("hint: ") and len(lines[1]) > len("hint: "), self.err
        assert self.stdout == b""
        return lines


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """`run("stylize", "photo.jpg", stdin=b"")` runs one command line."""

    def call(*words: str | Path, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        return Ran(code, out, err.decode())

    return call


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of `tests.tiny_style`."""
    return tiny_style.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def shipped_model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the tiny network be the one that ships."""
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "multistyle.onnx").write_bytes(tiny_model.read_bytes())
    monkeypatch.setattr(assets, "FOLDER", folder)
    assets.enter("multistyle", file="multistyle.onnx", kind="model", licence="Apache-2.0")
    return folder / "multistyle.onnx"


@pytest.fixture
def sample(shipped_model: Path) -> np.ndarray:
    """Let a small picture be the photograph that ships, and return its pixels."""
    original = photo(assets.FOLDER / "sample.png", size=(80, 64))
    assets.enter("sample-photo", file="sample.png", kind="photo", licence="CC0-1.0")
    return original


@pytest.fixture
def desk(tmp_path: Path, shipped_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the tiny network shipped."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def photo(path: Path, *, size: tuple[int, int] = (48, 32), seed: int = 0) -> np.ndarray:
    """Write a picture of (width, height) and return its pixels as they will be read back."""
    random = np.random.default_rng(seed)
    coarse = random.integers(30, 226, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    with Image.open(path) as written:
        return np.asarray(written.convert("RGB"))


def pixels(path: Path) -> np.ndarray:
    """The pixels of a picture file."""
    with Image.open(path) as image:
        return np.asarray(image)


def refused(ran: Ran, *says: str, code: int = 2) -> str:
    """Check the two lines and return the hint."""
    assert ran.code == code, ran.err
    error, hint = ran.error_lines
    for each in says:
        assert each in error
    return hint


def files(folder: Path) -> list[str]:
    """All files below a folder, relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
