"""Whether our network, with a reference's random weights, computes what the reference does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.testing import assert_close

Name = Callable[[str], str]  # a key of the reference's state dict -> ours


def randomise(net: nn.Module) -> nn.Module:
    """Weights that keep a signal's size, and norms whose every number matters."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            layer.num_batches_tracked.zero_()
    return net


def close(got: Tensor, expected: Tensor) -> None:
    """1e-4 of the expected values' size, which is not nothing, and they differ among themselves."""
    scale = expected.detach().abs().max().item()
    assert scale > 1e-2
    assert expected.numel() == 1 or expected.std() > 1e-2 * scale
    assert_close(got, expected, rtol=0, atol=1e-4 * scale)


def close_gradients(net: nn.Module, reference: nn.Module, name: Name) -> None:
    """Both have gone backward; no gradient is nothing."""
    gradients = {name(key): each.grad for key, each in reference.named_parameters()}
    for key, parameter in net.named_parameters():
        wanted = gradients[key]
        assert parameter.grad is not None and wanted is not None and wanted.any()
        assert_close(parameter.grad, wanted, rtol=0, atol=1e-3 * wanted.abs().max().item())


def close_statistics(net: nn.Module, reference: nn.Module, name: Name) -> None:
    """Both have gone forward once in training mode."""
    statistics = {name(key): value for key, value in reference.state_dict().items()}
    for key, value in net.state_dict().items():
        if "running" in key:
            close(value, statistics[key])
        if key.endswith("num_batches_tracked"):
            assert value == statistics[key] == 1
