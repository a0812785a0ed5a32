"""Photographs of a folder, and crops of them that depend on nothing but their number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.core.images import load, save
from deepcanon.style import data
from deepcanon.style.data import (
    Crops,
    Photos,
    Picked,
    held_out,
    left_out,
    load_picture,
    to_tensor,
)

pytestmark = pytest.mark.row("T2")


def plain(path: Path, height: int, width: int, *, value: int = 100) -> Path:
    save(np.full((height, width, 3), value, np.uint8), path)
    return path


def test_photographs_have_the_shorter_side_asked_for(tmp_path: Path) -> None:
    plain(tmp_path / "10.png", 60, 40, value=10)
    plain(tmp_path / "2.png", 20, 80, value=20)
    photos = Photos(tmp_path, side=30)
    assert [path.name for path in photos.paths] == ["2.png", "10.png"]
    assert [photos[i].shape for i in range(len(photos))] == [(30, 120, 3), (45, 30, 3)]
    assert [int(photos[i].mean()) for i in range(2)] == [20, 10]
    assert photos.skipped == []


def test_bad_ones_are_skipped_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        plain(tmp_path / name, 32, 32)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    (tmp_path / "empty.jpg").write_bytes(b"")
    plain(tmp_path / "wide.png", 16, 16)
    (tmp_path / "words.webp").write_text("words")
    (tmp_path / "notes.txt").write_text("words")
    photos = Photos(str(tmp_path), side=16)
    assert [path.name for path in photos.paths] == ["a.png", "b.png", "wide.png"]
    assert [path.name for path, _ in photos.skipped] == ["cut.png", "empty.jpg", "words.webp"]
    photos.warn()
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("skipped: ") for line in lines[:3])
    assert [re.search(r"[a-z]+\.(png|jpg|webp)", line)[0] for line in lines[:3]] == [  # type: ignore[index]
        "cut.png",
        "empty.jpg",
        "words.webp",
    ]
    assert lines[3:] == ["3 skipped, 3 left"]


def test_nothing_is_said_when_all_are_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain(tmp_path / "a.png", 32, 32)
    Photos(tmp_path, side=16).warn()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [None, b""], ids=["no pictures", "bad ones only"])
def test_a_folder_without_a_picture_to_read(content: bytes | None, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    if content is not None:
        (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(BadInput, match="no picture") as refused:
        Photos(tmp_path, side=16)
    assert str(tmp_path) in refused.value.message


def test_what_does_not_fit_in_memory_is_decoded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        plain(tmp_path / f"{name}.png", 16, 16)
    monkeypatch.setattr(data, "KEEP_BYTES", 2 * 16 * 16 * 3)
    photos, decoded = Photos(tmp_path, side=16), []

    def count(path: Path) -> object:
        decoded.append(path.name)
        return load(path)

    monkeypatch.setattr(data.images, "load", count)
    for _ in range(2):
        assert all(photos[i].shape == (16, 16, 3) for i in range(3))
    assert decoded == ["c.png", "c.png"]


@pytest.fixture
def coordinates() -> np.ndarray:
    """A picture of 200x256 whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[0:200, 0:256]
    return np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)


def test_a_crop_depends_on_its_number_and_the_seed_alone(coordinates: np.ndarray) -> None:
    one = Crops([coordinates, coordinates + 1], side=8, seed=4)
    forwards = [one[i] for i in range(6)]
    two = Crops([coordinates, coordinates + 1], side=8, seed=4)
    for i in (5, 3, 0, 1, 4, 2):
        assert torch.equal(two[i], forwards[i])
    other = Crops([coordinates, coordinates + 1], side=8, seed=5)
    assert not any(torch.equal(other[i], forwards[i]) for i in range(6))
    assert not any(torch.equal(forwards[i], forwards[j]) for i in range(6) for j in range(i))
    assert forwards[0].shape == (3, 8, 8) and forwards[0].dtype == torch.float32


def test_each_round_shows_each_photograph_once_in_a_new_order() -> None:
    photos = [np.full((16, 16, 3), 10 * value, np.uint8) for value in range(12)]
    crops = Crops(photos, side=4, seed=0)
    rounds = [[round(float(crops[12 * r + i].mean()) * 25.5) for i in range(12)] for r in range(3)]
    assert all(sorted(each) == list(range(12)) for each in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_crops_cover_a_share_of_the_shorter_side_and_half_are_mirrored(
    coordinates: np.ndarray,
) -> None:
    crops = Crops([coordinates], side=100, seed=1, least=0.5)
    shares, mirrored, tops, lefts = [], 0, [], []
    for i in range(80):
        red, green, _ = crops[i] * 255
        mirrored += bool(red[0, 0] > red[0, -1])
        assert green[0, 0] < green[-1, 0]  # never upside down
        shares.append(float(green.max() - green.min() + 1) / 200)
        tops.append(float(green.min()))
        lefts.append(float(red.min()))
        # A square stays a square.
        assert float(red.max() - red.min()) == pytest.approx(
            float(green.max() - green.min()), abs=3
        )
    assert 0.48 <= min(shares) < 0.6 and 0.9 < max(shares) <= 1
    assert 25 <= mirrored <= 55
    assert min(tops) < 5 and max(tops) > 60 and max(lefts) > 80


def test_a_whole_crop_is_as_large_as_the_photograph_allows(coordinates: np.ndarray) -> None:
    crop = Crops([coordinates], side=200, seed=1, least=1)[0] * 255
    assert (float(crop[1].min()), float(crop[1].max())) == (0, 199)


def test_bytes_become_numbers_from_0_to_1(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1] = (255, 51, 0)
    tensor = to_tensor(pixels)
    assert tensor.shape == (3, 2, 3)
    assert tensor[:, 0, 1].tolist() == pytest.approx([1, 0.2, 0])
    assert float(tensor.sum()) == pytest.approx(1.2)
    plain(tmp_path / "a.png", 32, 64, value=51)
    found = load_picture(tmp_path / "a.png", short_side=16)
    assert found.shape == (1, 3, 16, 32)
    assert float(found.mean()) == pytest.approx(0.2)


def test_what_is_held_out_is_decided_by_the_name() -> None:
    names = [Path(f"{i}.jpg") for i in range(4700)]
    kept = [path for path in names if held_out(path)]
    assert 60 < len(kept) < 140  # one in 47
    assert [held_out(Path("elsewhere") / path) for path in names] == [*map(held_out, names)]
    assert 1000 < sum(held_out(path, one_in=4) for path in names) < 1350


def test_small_folders_leave_out_one_in_five_large_ones_by_the_name_alone() -> None:
    plain_names = [Path(f"{i}.jpg") for i in range(4700)]
    others = [path for path in plain_names if not held_out(path)]
    for count, expected in ((1, 0), (4, 0), (5, 1), (19, 3), (20, 4), (150, 4)):
        out = left_out(others[:count])
        assert len(out) == expected
        assert left_out([*reversed(others[:count])]) == [*reversed(out)]
    assert left_out(plain_names) == [path for path in plain_names if held_out(path)]
    one = next(path for path in plain_names if held_out(path))
    assert one in left_out([*others[:20], one]) and len(left_out([*others[:20], one])) == 4


def test_photographs_are_split_by_what_is_there_bad_ones_too(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(60) if not held_out(Path(f"{i}.png"))][:5]
    for name in names:
        plain(tmp_path / name, 32, 32)
    (out,) = left_out([tmp_path / name for name in names])
    photos = Photos(tmp_path, side=16)
    trained, kept = photos.split()
    assert [photos.paths[i] for i in kept] == [out] and len(trained) == 4
    rest = next(tmp_path / name for name in names if name != out.name)
    rest.write_bytes(b"")
    photos = Photos(tmp_path, side=16)
    assert [photos.paths[i] for i in photos.split()[1]] == [out]


def test_a_folder_all_of_which_is_left_out(tmp_path: Path) -> None:
    name = next(f"{i}.png" for i in range(4700) if held_out(Path(f"{i}.png")))
    plain(tmp_path / name, 32, 32)
    with pytest.raises(BadInput, match="leaves out every photograph"):
        Photos(tmp_path, side=16).split()


def test_picked_pictures_are_decoded_when_they_are_asked_for() -> None:
    one, two = [np.zeros((2, 2, 3), np.uint8)], [np.ones((2, 2, 3), np.uint8)]
    picked = Picked([(two, 0), (one, 0), (two, 0)])
    assert [int(picked[i].max()) for i in range(len(picked))] == [1, 0, 1]
