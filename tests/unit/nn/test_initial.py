"""Starting weights: their distribution, and that they come in one pass."""

import math

import pytest
import torch

from deepcanon.classify import googlenet
from deepcanon.nn.initial import truncated_normal


def test_truncated_normal_is_a_normal_without_its_tails() -> None:
    torch.manual_seed(0)
    weight = torch.empty(200_000)
    truncated_normal(weight, std=0.5)
    assert weight.abs().max().item() <= 1.0
    assert weight.abs().max().item() > 0.999
    assert weight.mean().item() == pytest.approx(0, abs=4 * 0.44 / math.sqrt(200_000))
    assert weight.std().item() == pytest.approx(0.5 * 0.87963, rel=0.01)
    # Of what is left, as much lies within one deviation as of the normal: 0.6827 / 0.9545.
    assert (weight.abs() < 0.5).double().mean().item() == pytest.approx(0.7153, abs=0.005)


def test_googlenet_draws_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own, which draws again what falls outside, takes seconds."""
    monkeypatch.delattr(torch.nn.init, "trunc_normal_")
    for config in (googlenet.PAPER, googlenet.TORCHVISION):
        net = googlenet.GoogLeNet(config)
        assert all(torch.isfinite(each).all() for each in net.parameters())
