"""Every form of an operation gives what the trained form gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deepcanon.style import forms

pytestmark = pytest.mark.row("T2")

Form = Callable[..., Tensor]
SIZES = [(2, 3), (5, 4), (8, 9)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def conv(into: int, out: int, kernel: int) -> nn.Conv2d:
    torch.manual_seed(kernel)
    return nn.Conv2d(into, out, kernel)


@pytest.mark.parametrize("size", SIZES)
def test_enlarging(size: tuple[int, int]) -> None:
    x, layer = noise(2, 4, *size), conv(4, 3, 3)
    expected = forms.enlarged(x, layer)
    assert expected.shape == (2, 3, 2 * size[0], 2 * size[1])
    assert_close(forms.between(x, layer), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [forms.enlarged, forms.between])
def test_enlarging_by_hand(form: Form) -> None:
    """A kernel that only looks down, at a column of two pixels 1, 2, enlarged 1 1 2 2.

    With a reflected row at each end, 1 | 1 1 2 2 | 2, the row below each is 1 2 2 2.
    """
    layer = conv(1, 1, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 2, 1] = 1.0
        layer.bias.fill_(10.0)  # type: ignore[union-attr]
    x = torch.tensor([1.0, 2.0]).reshape(1, 1, 2, 1).expand(1, 1, 2, 2)
    column = form(x, layer)[0, 0, :, 1]
    assert column.tolist() == [11.0, 12.0, 12.0, 12.0]


@pytest.mark.parametrize("size", [(16, 17), (19, 20)])
def test_the_last_convolution(size: tuple[int, int]) -> None:
    x, layer = noise(2, 4, *size), conv(4, 3, 9)
    expected = forms.one_by_one(x, layer)
    assert expected.shape == (2, 3, *size)
    assert_close(forms.four_at_once(x, layer), expected, rtol=1e-4, atol=1e-5)


def test_a_flat_map_is_its_shift() -> None:
    scale, shift = torch.full((1, 2, 1, 1), 3.0), torch.full((1, 2, 1, 1), -0.5)
    found = forms.instance_norm(torch.full((1, 2, 4, 4), 7.0), scale, shift)
    assert_close(found, torch.full((1, 2, 4, 4), -0.5), rtol=0, atol=2e-3)


def test_cutting() -> None:
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    assert torch.equal(forms.cut(x, height=4, width=5), x)
    assert torch.equal(forms.cut(x, height=3, width=2), x[..., :3, :2])
    assert torch.equal(forms.cut(x, 1, height=2, width=3), x[..., 1:3, 1:4])


@pytest.mark.parametrize("form", [forms.between, forms.four_at_once])
def test_gradients_reach_the_trained_kernel(form: Form) -> None:
    layer: Any = conv(2, 3, 9 if form is forms.four_at_once else 3)
    form(noise(1, 2, 8, 8), layer).square().sum().backward()
    assert layer.weight.grad.abs().min() > 0 and layer.bias.grad.abs().min() > 0
