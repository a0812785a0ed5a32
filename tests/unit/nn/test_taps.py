"""Named activations of a stack of convolutions."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.nn.lrn import LocalResponseNorm
from deepcanon.nn.taps import Pooling, tap_names, taps

pytestmark = pytest.mark.row("C10")


class Explodes(nn.MaxPool2d):
    """A layer that must not be reached."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("computed deeper than needed")


def stack() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        LocalResponseNorm(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(5, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def test_names_in_order() -> None:
    assert " ".join(tap_names(stack())) == (
        "conv1_1 relu1_1 lrn1_1 pool1 conv2_1 relu2_1 conv2_2 relu2_2 pool2"
    )


def test_taps_are_what_the_layers_give() -> None:
    net, x = stack(), torch.rand(2, 3, 9, 8)
    found = taps(net, x, ["pool2", "conv1_1", "conv2_2", "relu1_1"])
    assert set(found) == {"pool2", "conv1_1", "conv2_2", "relu1_1"}
    assert_close(found["conv1_1"], net[0](x))
    assert_close(found["relu1_1"], net[0](x).clamp(min=0))
    assert_close(found["conv2_2"], net[:7](x))
    assert_close(found["pool2"], net(x))
    assert (found["conv1_1"] < 0).any(), "the tap before ReLU was overwritten by it"


def test_average_pooling_takes_the_place_of_max() -> None:
    net, x = stack(), torch.rand(1, 3, 8, 8)
    got = taps(net, x, ["pool1"], pooling=Pooling.AVERAGE)["pool1"]
    assert_close(got, functional.avg_pool2d(net[:3](x), 2))
    assert not torch.allclose(got, net[:4](x))


def test_stops_at_the_deepest_name() -> None:
    net = stack()
    net[8] = Explodes(2)
    found = taps(net, torch.rand(1, 3, 8, 8), iter(["relu2_2"]))
    assert list(found) == ["relu2_2"]
    with pytest.raises(AssertionError):
        taps(net, torch.rand(1, 3, 8, 8), ["pool2"])


def test_no_names_no_work() -> None:
    assert taps(nn.Sequential(Explodes(2)), torch.rand(1, 3, 8, 8), []) == {}


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(BadInput, match="'relu1_2'") as caught:
        taps(stack(), torch.rand(1, 3, 8, 8), ["relu1_1", "relu1_2"])
    assert "conv1_1, relu1_1, lrn1_1, pool1" in caught.value.hint


def test_too_small_for_the_deepest_name_only() -> None:
    x = torch.rand(1, 3, 40, 3)
    assert taps(stack(), x, ["relu2_2"])["relu2_2"].shape == (1, 6, 20, 1)
    with pytest.raises(BadInput, match="3x40 pixels") as caught:
        taps(stack(), x, ["pool2"])
    assert "4x4" in caught.value.hint


def test_gradient_reaches_the_picture_from_every_tap() -> None:
    for name in tap_names(stack()):
        x = torch.rand(1, 3, 8, 8, requires_grad=True)
        taps(stack(), x, [name])[name].sum().backward()
        assert x.grad is not None and x.grad.abs().sum() > 0, name
