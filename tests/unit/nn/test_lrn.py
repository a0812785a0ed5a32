"""Local response normalisation, by hand and against torch."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.nn.lrn import LocalResponseNorm, averaged_response_norm, local_response_norm

pytestmark = pytest.mark.row("C8")


def column(*values: float) -> torch.Tensor:
    """One pixel with these channels, [1, c, 1, 1]."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)


def test_hand_worked_channels() -> None:
    # n = 3, k = 1, alpha = 1, beta = 1: b = a / (1 + sum over the neighbours' squares).
    got = local_response_norm(column(1, 2, 3), size=3, k=1.0, alpha=1.0, beta=1.0)
    assert_close(got, column(1 / (1 + 1 + 4), 2 / (1 + 1 + 4 + 9), 3 / (1 + 4 + 9)))


def test_averaged_variant_divides_alpha_by_the_window_even_at_the_edge() -> None:
    got = averaged_response_norm(column(1, 2, 3), size=3, k=1.0, alpha=3.0, beta=1.0)
    assert_close(got, local_response_norm(column(1, 2, 3), size=3, k=1.0, alpha=1.0, beta=1.0))


def test_papers_constants() -> None:
    x = column(10, 20, 30, 40, 50, 60)
    middle = 30 / (2 + 1e-4 * (100 + 400 + 900 + 1600 + 2500)) ** 0.75
    assert math.isclose(LocalResponseNorm()(x)[0, 2].item(), middle, rel_tol=1e-12)


def test_layer_against_torch_with_alpha_times_n() -> None:
    x = torch.rand(2, 7, 3, 4) * 50
    assert_close(LocalResponseNorm()(x), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(x))
    assert not torch.allclose(
        LocalResponseNorm()(x), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)(x)
    )


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_averaged_variant_against_torch_for_even_windows_too(size: int) -> None:
    x = torch.rand(2, 7, 3, 4, dtype=torch.float64) * 50
    expected = nn.LocalResponseNorm(size, alpha=0.5, beta=0.75, k=2.0)(x)
    assert_close(averaged_response_norm(x, size=size, alpha=0.5, beta=0.75, k=2.0), expected)


@pytest.mark.parametrize("norm", [local_response_norm, averaged_response_norm])
def test_gradient_in_float64(norm: Callable[..., torch.Tensor]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 2, 3, dtype=torch.float64, requires_grad=True)
    # The paper's alpha would leave the window without a trace in the gradient.
    assert torch.autograd.gradcheck(lambda y: norm(y, size=3, alpha=0.7), x)


def test_layer_has_no_parameters_and_says_its_constants() -> None:
    layer = LocalResponseNorm(size=3, alpha=0.1, beta=0.5, k=1.0)
    assert not list(layer.parameters())
    assert repr(layer) == "LocalResponseNorm(size=3, alpha=0.1, beta=0.5, k=1.0)"
