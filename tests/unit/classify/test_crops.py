"""Crops of pictures whose pixels say where they lay, and the numpy twin of the preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from deepcanon.classify.crops import Crops, cut, fifty, one, prepare, ten, whole
from deepcanon.nn.preprocessing import CAFFE, INCEPTION, TORCHVISION, Preprocessing

pytestmark = pytest.mark.row("C18")


def numbered(height: int, width: int) -> np.ndarray:
    """A picture whose pixel (y, x) is (y, x, 7)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y, x, np.full_like(y, 7)], axis=2).astype(np.uint8)


def test_one_crop_is_the_centre() -> None:
    """24x40 at a shorter side of 24 stays so; 16 of 24 rows from 4, 16 of 40 columns from 12."""
    crop = one(numbered(24, 40), side=16, resize=24)
    assert crop.shape == (16, 16, 3)
    assert crop[0, 0].tolist() == [4, 12, 7]
    assert crop[-1, -1].tolist() == [19, 27, 7]


def test_the_shorter_side_is_resized_not_both() -> None:
    """Resize(256) is not Resize((256, 256)): 100x300 becomes 50x150, so a circle stays one."""
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 100:200] = 255  # the middle third: all of a 50x50 crop, as 50 of 150 columns
    assert (one(pixels, side=40, resize=50) == 255).all()


def test_ten_crops_are_corners_centre_and_mirrors_of_the_central_square() -> None:
    """AlexNet §4.1, with the numbers of a 24x40 picture: the square is columns 8 to 31."""
    crops = ten(numbered(24, 40), side=16, resize=24)
    assert crops.shape == (10, 16, 16, 3)
    corners = [(0, 8), (0, 16), (8, 8), (8, 16), (4, 12)]
    assert [tuple(crop[0, 0, :2]) for crop in crops[:5]] == corners
    assert (crops[5:] == crops[:5, :, ::-1]).all()


def test_ten_crops_of_a_picture_that_is_taken_whole_are_two() -> None:
    crops = ten(numbered(16, 16), side=16, resize=16)
    assert (crops[:5] == numbered(16, 16)).all()
    assert (crops[5:] == numbered(16, 16)[:, ::-1]).all()


def test_fifty_crops_are_a_grid_over_all_of_the_picture() -> None:
    """VGG §4.3: of 24x40 pixels, five rows two pixels apart and five columns six apart."""
    crops = fifty(numbered(24, 40), side=16, resize=24)
    assert crops.shape == (50, 16, 16, 3)
    places = [(row, column) for row in (0, 2, 4, 6, 8) for column in (0, 6, 12, 18, 24)]
    assert [tuple(crop[0, 0, :2]) for crop in crops[:25]] == places
    assert (crops[25:] == crops[:25, :, ::-1]).all()
    with pytest.raises(ValueError, match="no 32 pixels can be cut"):
        fifty(numbered(50, 50), side=32, resize=24)


def test_whole_is_the_picture_and_its_mirror_image() -> None:
    pixels = numbered(24, 40)
    views = whole(pixels, resize=24)
    assert (views[0] == pixels).all() and (views[1] == pixels[:, ::-1]).all()
    assert whole(pixels, resize=12).shape == (2, 12, 20, 3)


@pytest.mark.parametrize("shape", [(16, 4000), (4000, 16)])
def test_a_strip_is_cut_before_it_is_enlarged(shape: tuple[int, int]) -> None:
    """Its middle is what every crop shows; 16x4000 would be 256x64000 otherwise."""
    pixels = np.zeros((*shape, 3), np.uint8)
    middle = 4000 // 2
    pixels[
        (slice(None), slice(middle - 8, middle + 8))
        if shape[0] == 16
        else slice(middle - 8, middle + 8)
    ] = 200
    assert (one(pixels, side=224, resize=256) == 200).all()
    assert sorted(whole(pixels, resize=256).shape[1:3]) == [256, 2048]


@pytest.mark.parametrize("crops", list(Crops))
def test_cut_names_them(crops: Crops) -> None:
    pixels = numbered(24, 40)
    wanted = {
        Crops.ONE: one(pixels, side=16, resize=24)[None],
        Crops.TEN: ten(pixels, side=16, resize=24),
        Crops.FIFTY: fifty(pixels, side=16, resize=24),
        Crops.DENSE: whole(pixels, resize=24),
    }[crops]
    assert (cut(pixels, crops=crops, side=16, resize=24) == wanted).all()


def test_a_crop_that_is_larger_than_the_picture() -> None:
    with pytest.raises(ValueError, match="no 32 pixels can be cut from a shorter side of 24"):
        one(numbered(50, 50), side=32, resize=24)


# --- prepare


def test_prepare_by_hand() -> None:
    """Caffe: blue first, 0 to 255, less the mean."""
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    found = prepare(pixels, how=CAFFE.to_dict())
    assert found.dtype == np.float32 and found.shape == (1, 3, 1, 1)
    wanted = [30 - 103.939, 20 - 116.779, 10 - 123.68]
    np.testing.assert_allclose(found[0, :, 0, 0], wanted, rtol=1e-6)


def test_prepare_white_and_black_for_inception() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    found = prepare(pixels, how={**INCEPTION.to_dict(), "side": 32, "resize": 32})
    assert found[0, :, 0].tolist() == [[-1, 1]] * 3


@pytest.mark.parametrize("how", [CAFFE, TORCHVISION, INCEPTION], ids=lambda how: how.name)
def test_prepare_is_the_twin_of_preprocess(how: Preprocessing) -> None:
    torch = pytest.importorskip("torch")
    from deepcanon.nn.preprocessing import preprocess

    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    wanted = preprocess(pictures, how=how).numpy()
    np.testing.assert_allclose(prepare(pixels, how=how.to_dict()), wanted, rtol=1e-5, atol=2e-5)


def test_prepare_refuses_what_is_no_preprocessing() -> None:
    with pytest.raises(KeyError):
        prepare(numbered(2, 2), how={})
