from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcanon.core.images import load
from deepcanon.core.standin import SHAPES, painting, photo, picture_folder, shape, shape_folder

Make = Callable[..., np.ndarray]
both = pytest.mark.parametrize("make", [photo, painting])


@both
@pytest.mark.parametrize("size", [16, (16, 90), (90, 16), (48, 64)])
def test_shape_and_kind(make: Make, size: int | tuple[int, int]) -> None:
    pixels = make(3, size)
    assert pixels.shape == (*((size, size) if isinstance(size, int) else size), 3)
    assert pixels.dtype == np.uint8


@both
def test_a_seed_gives_one_picture_and_another_seed_another(make: Make) -> None:
    one = make(0, 64)
    np.testing.assert_array_equal(make(0, 64), one)
    assert np.abs(make(1, 64).astype(int) - one).mean() > 10


@both
@pytest.mark.parametrize("seed", range(4))
def test_a_picture_has_contrast_colour_and_detail(make: Make, seed: int) -> None:
    pixels = make(seed, 64).astype(float)
    assert pixels.std() > 30
    assert np.ptp(pixels, axis=2).mean() > 15
    assert np.abs(np.diff(pixels, axis=1)).mean() > 3


@pytest.mark.parametrize("seed", range(4))
def test_the_sky_is_brighter_than_the_shore_and_smoother(seed: int) -> None:
    pixels = photo(seed, 96).astype(float)
    sky, ground = pixels[:20], pixels[-20:]
    assert sky.mean() > ground.mean()


def test_a_folder(tmp_path: Path) -> None:
    paths = picture_folder(tmp_path / "new", 3, 7, size=(32, 48))
    assert sorted((tmp_path / "new").iterdir()) == paths and len(paths) == 3
    pictures = [load(path).pixels for path in paths]
    assert {picture.shape for picture in pictures} == {(32, 48, 3)}
    assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("label", range(len(SHAPES)), ids=SHAPES)
def test_a_shape_stands_out_wherever_it_is_and_whatever_its_colours(label: int) -> None:
    assert shape(label, 0, (20, 30)).shape == (20, 30, 3)
    np.testing.assert_array_equal(shape(label, [1, 2]), shape(label, [1, 2]))
    shares, brighter = [], []
    for seed in range(20):
        grey = shape(label, seed, 48).mean(2)
        inside = (grey > 128) == (np.median(np.r_[grey[0], grey[-1]]) < 128)
        shares.append(inside.mean())
        brighter.append(grey[inside].mean() > 128)
    assert min(shares) > 0.03 and max(shares) < 0.6
    assert 2 <= sum(brighter) <= 18


def test_a_folder_of_shapes(tmp_path: Path) -> None:
    paths = shape_folder(tmp_path, each=2, size=24)
    assert len(paths) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SHAPES)
    np.testing.assert_array_equal(
        load(tmp_path / "star/star-0001.png").pixels, shape(6, [0, 1], 24)
    )
