"""A recipe as plain data, which travels and is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.training import precision, provenance


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    file: str = "/home/me/weights.pth"


@dataclass(frozen=True)
class Recipe:
    photos: str = "/home/me/photos/"
    plain: str = "photos"
    both: str = "/a/shallow.h5+/b/deep.h5"
    path: Path = Path("/home/me/x.jpg")
    here: str = "./"
    taps: tuple[str, ...] = ("relu1_1", "relu2_1")
    styles: dict[str, str] = field(default_factory=lambda: {"b": "/p/b.jpg", "a": "a.jpg"})
    colour: Colour = Colour.RED
    inner: Inner = Inner()
    steps: int = 3
    rate: float = 0.5
    off: bool = False
    nothing: None = None


def test_paths_lose_their_folders_and_everything_is_plain(tmp_path: Path) -> None:
    content = provenance.as_dict(Recipe())
    assert content == {
        "photos": "photos",
        "plain": "photos",
        "both": "shallow.h5+deep.h5",
        "path": "x.jpg",
        "here": "./",
        "taps": ["relu1_1", "relu2_1"],
        "styles": {"b": "b.jpg", "a": "a.jpg"},
        "colour": "red",
        "inner": {"file": "weights.pth"},
        "steps": 3,
        "rate": 0.5,
        "off": False,
        "nothing": None,
    }
    assert list(content["styles"]) == ["b", "a"]
    torch.save(content, tmp_path / "content")
    assert torch.load(tmp_path / "content", weights_only=True) == content


@dataclass(frozen=True)
class WithPrecision:
    precision: str = "auto"


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_what_auto_means_is_written_down(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: native)
    assert provenance.as_dict(WithPrecision()) == {"precision": expected}
    assert provenance.as_dict(WithPrecision("float32")) == {"precision": "float32"}
    assert provenance.as_dict(WithPrecision("bfloat16")) == {"precision": "bfloat16"}


def test_unknown_precision() -> None:
    with pytest.raises(BadInput, match="'half' is unknown"):
        precision.resolve("half")


@pytest.mark.parametrize(
    ("cpu", "avx512_bf16", "amx", "mkldnn", "native"),
    [
        ("AVX512", False, False, True, False),  # AVX-512 without bfloat16 emulates it
        ("AVX512", True, False, True, True),
        ("AVX512", False, True, True, True),
        ("AVX2", False, False, False, False),
        ("SVE256", False, False, True, True),
        ("SVE256", False, False, False, False),
    ],
)
def test_native_bfloat16(
    cpu: str,
    avx512_bf16: bool,
    amx: bool,
    mkldnn: bool,
    native: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def say(what: Any, name: str, answer: Any) -> None:
        monkeypatch.setattr(what, name, lambda: answer, raising=False)

    say(torch.backends.cpu, "get_cpu_capability", cpu)
    say(torch.cpu, "_is_avx512_bf16_supported", avx512_bf16)
    say(torch.cpu, "_is_amx_tile_supported", amx)
    say(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", mkldnn)
    assert precision.has_bfloat16() is native


def test_digests_tell_files_of_the_same_name_apart(tmp_path: Path) -> None:
    for folder, content in (("a", b"one"), ("b", b"two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "vgg.h5").write_bytes(content)
    one, two = tmp_path / "a" / "vgg.h5", tmp_path / "b" / "vgg.h5"
    found = provenance.sha256_of_weights(f"{one}+{two}", called="features")
    assert found == {
        "features.1": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "features.2": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    }
    assert provenance.sha256_of_weights("vgg16", called="features") == {}
    # Of a folder only names and sizes count.
    assert provenance.sha256_of_listing([one]) == provenance.sha256_of_listing([two])
    two.write_bytes(b"three")
    assert provenance.sha256_of_listing([one]) != provenance.sha256_of_listing([two])


def test_day_and_machine() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", provenance.today())
    assert re.fullmatch(r".+, \d+ cores, torch \S+", provenance.hardware())
