"""Layers that get memory, on the device asked for, and no values of torch's."""

import torch
from torch import nn

from deepcanon.nn.unfilled import unfilled


def build() -> nn.Module:
    net = nn.Module()
    with unfilled(net):
        net.conv, net.norm = nn.Conv2d(3, 5, 2), nn.BatchNorm2d(5)
    return net


def test_layers_have_memory_and_torchs_generator_was_not_asked() -> None:
    before = torch.get_rng_state()
    net = build()
    assert torch.equal(torch.get_rng_state(), before)
    state = net.state_dict()
    assert state["conv.weight"].shape == (5, 3, 2, 2)
    assert {value.device.type for value in state.values()} == {"cpu"}


def test_on_no_device_at_all() -> None:
    with torch.device("meta"):
        net = build()
    assert {value.device.type for value in net.state_dict().values()} == {"meta"}


def test_what_comes_after_is_ordinary() -> None:
    build()
    assert torch.get_default_device().type == "cpu"
    assert nn.Linear(2, 2).weight.device.type == "cpu"
