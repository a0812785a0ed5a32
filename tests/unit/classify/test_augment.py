from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepcanon.classify import augment as module
from deepcanon.classify import crops
from deepcanon.classify.augment import (
    Augmentation,
    Box,
    augment,
    cut,
    lighting,
    longest_short_side,
    padded,
    patch,
    window,
)

pytestmark = pytest.mark.row("C18")


class Drawn:
    """A generator whose draws are known."""

    def __init__(self, *integers: int, random: float = 0.9, normal: Any = (0, 0, 0)) -> None:
        self._integers, self._random, self._normal = list(integers), random, normal
        self.below: list[int] = []

    def integers(self, low: int, high: int | None = None) -> int:
        self.below.append(low if high is None else high)
        return self._integers.pop(0)

    def random(self) -> float:
        return self._random

    def normal(self, mean: float, deviation: float, count: int) -> np.ndarray:
        assert (mean, deviation, count) == (0, 0.1, 3)
        return np.array(self._normal, float)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    """Every pixel as bright as its column's number."""
    row = np.arange(width, dtype=np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


@pytest.mark.parametrize("kind", list(Augmentation))
@pytest.mark.parametrize("size", [(8, 8), (8, 300), (300, 8), (37, 50), (64, 64), (224, 225)])
def test_whatever_goes_in_the_size_comes_out(kind: Augmentation, size: tuple[int, int]) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        view = augment(noise(*size), side=64, augmentation=kind, rng=rng)
        assert (view.shape, view.dtype) == ((64, 64, 3), np.float32)
        assert view.min() > -0.3 and view.max() < 1.3


@pytest.mark.parametrize("kind", list(Augmentation))
def test_the_generator_decides(kind: Augmentation) -> None:
    def of(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return augment(noise(40, 50), side=32, augmentation=kind, rng=rng)

    np.testing.assert_array_equal(of(3), of(3))
    differs = any(not np.array_equal(of(0), of(seed)) for seed in range(1, 4))
    assert differs == (kind is not Augmentation.NONE)


def test_none_is_what_evaluation_shows() -> None:
    pixels = noise(40, 60)
    view = augment(pixels, side=32, augmentation=Augmentation.NONE, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(view, crops.one(pixels, side=32, resize=32) / np.float32(255))


def test_padding() -> None:
    pixels = np.full((1, 2, 3), 255, np.uint8)
    whole = padded(pixels, by=1, fill=(0.25, 0.5, 0.75))
    assert whole.shape == (3, 4, 3)
    assert whole[0, 0].tolist() == [0.25, 0.5, 0.75] == whole[2, 3].tolist()
    assert whole[1, 1:3].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_cifar_pads_four_and_cuts_thirty_two() -> None:
    pixels = noise(32, 32)
    floats = pixels / np.float32(255)

    def of(drawn: Drawn) -> np.ndarray:
        return augment(
            pixels,
            side=32,
            augmentation=Augmentation.CIFAR,
            rng=drawn,  # type: ignore[arg-type]
            fill=(0.25, 0.5, 0.75),
        )

    drawn = Drawn(0, 8)  # down 0 and right 8, of 0 to 8: four pixels over the top, four right
    view = of(drawn)
    assert drawn.below == [9, 9]
    np.testing.assert_array_equal(view[4:, :28], floats[:28, 4:])
    assert np.unique(view[:4].reshape(-1, 3), axis=0).tolist() == [[0.25, 0.5, 0.75]]
    assert np.unique(view[:, 28:].reshape(-1, 3), axis=0).tolist() == [[0.25, 0.5, 0.75]]
    np.testing.assert_array_equal(of(Drawn(4, 4)), floats)
    np.testing.assert_array_equal(of(Drawn(4, 4, random=0.4)), floats[:, ::-1])


def test_alexnet_cuts_224_of_the_central_256() -> None:
    pixels = noise(256, 300)  # the central square starts at column 22
    drawn = Drawn(32, 5)
    view = augment(
        pixels,
        side=224,
        augmentation=Augmentation.ALEXNET,
        rng=drawn,  # type: ignore[arg-type]
    )
    assert drawn.below == [33, 33]
    np.testing.assert_array_equal(view, pixels[32:256, 27:251] / np.float32(255))


def test_alexnet_brings_the_shorter_side_to_256() -> None:
    # 128 pixels, scaled twofold: 112 of them are seen, from half of the place drawn.
    view = augment(
        ramp(128, 128),
        side=224,
        augmentation=Augmentation.ALEXNET,
        rng=Drawn(0, 20),  # type: ignore[arg-type]
    )
    centre = view[100, 10:-10, 0] * 255
    np.testing.assert_allclose(np.diff(centre), 0.5, atol=0.6)  # bytes are whole
    # Column 0 shows the middle of the pixels 10 to 10.5 of a ramp whose pixel n spans n to n + 1.
    np.testing.assert_allclose(centre, 9.75 + 0.5 * np.arange(10, 214), atol=0.51)


def test_the_shift_of_colours() -> None:
    first = lighting(Drawn(normal=(0.1, 0, 0)))  # type: ignore[arg-type]
    np.testing.assert_allclose(first, [-0.01234313, -0.0126324, -0.0126933], rtol=1e-5)
    third = lighting(Drawn(normal=(0, 0, 2)))  # type: ignore[arg-type]
    np.testing.assert_allclose(third, [0.0036081, -0.007326, 0.0037827], rtol=1e-5)


def test_the_components_of_colour_are_orthonormal() -> None:
    # So no number of the table is mistyped: four digits were printed.
    product = module._COMPONENTS.T @ module._COMPONENTS
    np.testing.assert_allclose(product, np.eye(3), atol=2e-4)


def test_all_pixels_are_shifted_alike() -> None:
    pixels = noise(256, 256)
    kinds = (Augmentation.ALEXNET, Augmentation.VGG)
    for kind in kinds:
        plain, shifted = (
            augment(
                pixels,
                side=224,
                augmentation=kind,
                rng=Drawn(*draws, normal=normal),  # type: ignore[arg-type]
            )
            for normal in ((0, 0, 0), (0.1, 0, 0))
            for draws in [(256, 3, 4) if kind is Augmentation.VGG else (3, 4)]
        )
        np.testing.assert_allclose(
            (shifted - plain).reshape(-1, 3),
            np.tile([-0.01234313, -0.0126324, -0.0126933], (224 * 224, 1)),
            atol=1e-6,
        )


def test_vgg_draws_the_shorter_side_from_256_to_512() -> None:
    slopes = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        view = augment(ramp(256, 256), side=224, augmentation=Augmentation.VGG, rng=rng)
        row = view[100, :, 0] * 255
        slopes.append((row[-5] - row[4]) / 215)
    sizes = np.abs(slopes)  # 256 / S pixels of the picture to a pixel of the view
    assert 0.49 < sizes.min() < 0.55 and 0.93 < sizes.max() < 1.01
    assert 15 < np.count_nonzero(np.array(slopes) < 0) < 45  # mirrored half of the time


@pytest.mark.parametrize(("kind", "longest"), [(Augmentation.VGG, 512), (Augmentation.RESNET, 480)])
def test_all_of_the_picture_is_seen_not_the_central_square_only(
    kind: Augmentation, longest: int
) -> None:
    drawn = Drawn(256, 0, 76)
    pixels = noise(256, 300)
    view = augment(pixels, side=224, augmentation=kind, rng=drawn)  # type: ignore[arg-type]
    assert drawn.below == [longest + 1, 33, 77]
    np.testing.assert_array_equal(view, pixels[:224, 76:300] / np.float32(255))


sides = st.integers(8, 700)


@given(sides, sides, st.integers(32, 512), st.integers(0, 99))
def test_a_window_lies_in_the_picture(height: int, width: int, short: int, seed: int) -> None:
    side = max(1, short * 2 // 3)
    whole = Box(0, 0, width, height)
    box = window(
        height,
        width,
        short_side=short,
        side=side,
        within=whole,
        rng=np.random.default_rng(seed),
    )
    assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
    assert box.right - box.left == pytest.approx(side * min(height, width) / short)


@given(sides, sides, st.integers(0, 99))
def test_a_patch_of_inception(height: int, width: int, seed: int) -> None:
    box = patch(height, width, rng=np.random.default_rng(seed))
    wide, high = box.right - box.left, box.bottom - box.top
    assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
    if wide != high or wide != min(height, width):  # the central square, where none fitted
        assert (wide - 0.5) / (high + 0.5) <= 4 / 3 and (wide + 0.5) / (high - 0.5) >= 3 / 4
        assert (wide + 0.5) * (high + 0.5) >= 0.08 * height * width


def test_patches_are_spread_over_8_to_100_percent() -> None:
    rng = np.random.default_rng(0)
    boxes = [patch(300, 400, rng=rng) for _ in range(400)]
    shares = [(b.right - b.left) * (b.bottom - b.top) / 120_000 for b in boxes]
    ratios = [(b.right - b.left) / (b.bottom - b.top) for b in boxes]
    assert 0.078 < min(shares) < 0.1 and max(shares) > 0.9
    assert 0.74 < min(ratios) < 0.78 and 1.3 < max(ratios) < 1.35
    assert len({b.left for b in boxes}) > 50 and len({b.top for b in boxes}) > 50


def test_of_a_strip_inception_takes_the_centre() -> None:
    # 8 % of 10x300 are 240 pixels, and no patch of its height has more than 10 * 13.
    assert patch(10, 300, rng=np.random.default_rng(0)) == Box(145, 0, 155, 10)


def test_a_cut_at_whole_pixels_changes_none() -> None:
    pixels = noise(20, 20)
    np.testing.assert_array_equal(cut(pixels, Box(3, 5, 11, 13), side=8), pixels[5:13, 3:11])
    between = cut(pixels, Box(3.5, 5, 11.5, 13), side=8)
    wanted = (pixels[5:13, 3:11].astype(float) + pixels[5:13, 4:12]) / 2
    assert np.abs(between[:, 1:-1] - wanted[:, 1:-1]).max() <= 1


@pytest.mark.parametrize("box", [Box(0, 0, 60, 50), Box(7, 11, 47, 50), Box(20, 20, 28, 30)])
def test_a_patch_is_resized_as_pillow_would(box: Box) -> None:
    """Larger and smaller than what it becomes; within one grey level, most of them the same."""
    pixels = noise(50, 60)
    pixels.setflags(write=False)
    image = Image.fromarray(pixels).crop([int(edge) for edge in box])
    wanted = np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR))
    view = cut(pixels, box, side=24)
    assert (view.shape, view.dtype) == ((24, 24, 3), np.uint8)
    difference = np.abs(view.astype(int) - wanted)
    assert difference.max() <= 1 and difference.mean() < 0.02


def test_what_is_kept_of_a_large_picture_is_enough_for_the_closest_look() -> None:
    assert longest_short_side(Augmentation.VGG, side=224) == 512
    assert longest_short_side(Augmentation.CIFAR, side=32) == 64
