"""Conditional instance norm in numbers worked by hand (Dumoulin et al. 2017, eq. 5)."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.style.norms import ConditionalInstanceNorm, UnconditionalNorm

pytestmark = pytest.mark.row("T2")


@pytest.fixture
def norm() -> ConditionalInstanceNorm:
    """One channel; three styles: scales 2, -4, 1, shifts 1, 10, 0."""
    norm = ConditionalInstanceNorm(1, styles=3)
    with torch.no_grad():
        norm.scales.copy_(torch.tensor([[2.0], [-4.0], [1.0]]))
        norm.shifts.copy_(torch.tensor([[1.0], [10.0], [0.0]]))
    return norm


# Mean 5, variance (9 + 9 + 1 + 1) / 4 = 5: normalised (x - 5) / sqrt(5).
X = torch.tensor([[2.0, 8.0], [4.0, 6.0]]).reshape(1, 1, 2, 2)
NORMALISED = torch.tensor([[-3.0, 3.0], [-1.0, 1.0]]).reshape(1, 1, 2, 2) / 5**0.5


def test_it_starts_as_plain_instance_norm() -> None:
    x = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, 0.0], [0.3, 0.7]])
    assert_close(ConditionalInstanceNorm(4, styles=2)(x, weights), nn.InstanceNorm2d(4)(x))


@pytest.mark.parametrize(
    ("weights", "scale", "shift"),
    [
        ([1.0, 0.0, 0.0], 2.0, 1.0),
        ([0.0, 1.0, 0.0], -4.0, 10.0),
        ([0.5, 0.5, 0.0], -1.0, 5.5),  # §3.4: a blend has the mean of the vectors
        ([0.5, 0.25, 0.25], 0.25, 3.0),
    ],
)
def test_by_hand(
    norm: ConditionalInstanceNorm, weights: list[float], scale: float, shift: float
) -> None:
    assert_close(norm(X, torch.tensor([weights])), scale * NORMALISED + shift, rtol=1e-4, atol=1e-4)


def test_each_picture_has_its_own_style_and_statistics(norm: ConditionalInstanceNorm) -> None:
    both = torch.cat([X, 7 * X + 3])
    got = norm(both, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert_close(got[:1], 2 * NORMALISED + 1, rtol=1e-4, atol=1e-4)
    assert_close(got[1:], NORMALISED, rtol=1e-4, atol=1e-4)


def test_only_the_rows_of_the_styles_in_use_learn(norm: ConditionalInstanceNorm) -> None:
    norm(X, torch.tensor([[0.25, 0.0, 0.75]])).square().sum().backward()
    for table in (norm.scales, norm.shifts):
        assert table.grad is not None
        assert table.grad[1].item() == 0.0
        assert table.grad[0].item() != 0.0
        assert_close(table.grad[2], 3 * table.grad[0])


def test_gradients_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    norm = ConditionalInstanceNorm(2, styles=2).double()
    with torch.no_grad():
        norm.scales.normal_()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, 0.0], [0.4, 0.6]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *inputs: norm(*inputs), (x, weights), eps=1e-6, atol=1e-6
    )


def test_maps_keep_their_precision(norm: ConditionalInstanceNorm) -> None:
    assert norm(X.bfloat16(), torch.tensor([[1.0, 0.0, 0.0]])).dtype is torch.bfloat16


def test_weights_are_needed(norm: ConditionalInstanceNorm) -> None:
    with pytest.raises(ValueError, match="style weights"):
        norm(X, None)


def test_other_norms_pass_the_weights_by() -> None:
    norm = UnconditionalNorm(nn.InstanceNorm2d(1))
    assert torch.equal(norm(X, None), norm(X, torch.ones(1, 3)))
    assert_close(norm(X, None), NORMALISED, rtol=1e-4, atol=1e-4)
