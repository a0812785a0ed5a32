"""Which pictures files, folders and globs name."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcanon.core.errors import BadInput
from deepcanon.core.images import find, same_file, save
from tests.refusal import two_lines
from tests.tiny_pictures import quarters


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


def test_a_folder_that_may_not_be_read(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(folder: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", locked)
    with pytest.raises(BadInput) as caught:
        find([album])
    assert two_lines(caught) == f"{album} cannot be read: Permission denied"


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(BadInput) as caught:
        find(["x" * 5000])
    assert "cannot be read" in two_lines(caught)


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
