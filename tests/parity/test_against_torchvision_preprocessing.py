"""Our crops against torchvision's transforms, with which the published scores were measured."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torchvision")

from torchvision import transforms

from deepcanon.classify.crops import one, prepare, ten
from deepcanon.nn.preprocessing import TORCHVISION

pytestmark = pytest.mark.row("C18")

SIZES = [(40, 61), (61, 40), (57, 57), (300, 333), (16, 90)]


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_one_crop(size: tuple[int, int]) -> None:
    """Resize, CenterCrop, ToTensor, Normalize."""
    pixels = picture(size)
    theirs = transforms.Compose(
        [
            transforms.Resize(64),
            transforms.CenterCrop(56),
            transforms.ToTensor(),
            transforms.Normalize(TORCHVISION.mean, TORCHVISION.std),
        ]
    )(Image.fromarray(pixels))
    ours = prepare(one(pixels, side=56, resize=64), how=TORCHVISION.to_dict())[0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)


@pytest.mark.parametrize("side", [56, 34])
def test_ten_crops_of_a_square(side: int) -> None:
    """Theirs takes the corners of the whole picture, AlexNet those of the central square.

    Theirs mirrors the picture and then cuts, so left and right change places in the second five.
    """
    pixels = picture((64, 64))
    theirs = transforms.TenCrop(side)(Image.fromarray(pixels))
    ours = ten(pixels, side=side, resize=64)
    order = [0, 1, 2, 3, 4, 6, 5, 8, 7, 9]
    assert all((ours[at] == np.asarray(each)).all() for at, each in zip(order, theirs, strict=True))
