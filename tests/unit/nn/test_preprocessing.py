"""What the two ways to prepare a picture do to a pixel."""

import pytest
import torch
from torch.testing import assert_close

from deepcanon.nn.preprocessing import CAFFE, TORCHVISION, Preprocessing, preprocess


def pixel(*channels: float) -> torch.Tensor:
    return torch.tensor(channels, dtype=torch.float64).view(1, 3, 1, 1)


def test_caffe_is_bgr_in_0_to_255_less_the_mean() -> None:
    got = preprocess(pixel(1.0, 0.0, 0.2), how=CAFFE)
    assert_close(got, pixel(0.2 * 255 - 103.939, -116.779, 255 - 123.68))


def test_torchvision_is_rgb_standardised() -> None:
    got = preprocess(pixel(1.0, 0.0, 0.2), how=TORCHVISION)
    assert_close(got, pixel((1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225))


def test_gradient_reaches_the_picture() -> None:
    picture = torch.rand(1, 3, 2, 2, requires_grad=True)
    preprocess(picture, how=CAFFE).sum().backward()
    assert_close(picture.grad, torch.full((1, 3, 2, 2), 255.0))


@pytest.mark.parametrize("how", [CAFFE, TORCHVISION])
def test_dictionary_round_trip_through_lists(how: Preprocessing) -> None:
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in how.to_dict().items()}
    assert Preprocessing.from_dict(plain) == how


@pytest.mark.parametrize("broken", [{"order": "GBR"}, {"mean": [0.5]}, {"scale": "much"}])
def test_dictionary_of_something_else_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Preprocessing.from_dict(CAFFE.to_dict() | broken)
