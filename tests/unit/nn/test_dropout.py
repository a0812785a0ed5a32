"""Dropout by what it promises: what is dropped, what is kept, and the mean."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.nn.dropout import Dropout, dropout

pytestmark = pytest.mark.row("C9")


def test_evaluation_changes_nothing() -> None:
    x = torch.rand(3, 4)
    assert torch.equal(Dropout(rate=0.9).eval()(x), x)
    assert torch.equal(Dropout(rate=0.0).train()(x), x)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.8])
def test_training_drops_at_the_rate_and_scales_what_it_keeps(rate: float) -> None:
    torch.manual_seed(0)
    n = 40_000
    got = Dropout(rate=rate).train()(torch.ones(n))
    values = got.unique()
    assert_close(values, torch.tensor([0, 1 / (1 - rate)]))
    spread = math.sqrt(rate * (1 - rate) / n)
    assert abs((got == 0).float().mean().item() - rate) < 4 * spread
    assert abs(got.mean().item() - 1) < 4 * spread / (1 - rate)  # the mean is the unit's own


def test_each_unit_of_each_picture_is_drawn_anew() -> None:
    torch.manual_seed(0)
    layer = Dropout().train()
    first, second = layer(torch.ones(2, 64)), layer(torch.ones(2, 64))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


def test_weights_of_dropped_units_are_left_alone_in_the_step() -> None:
    torch.manual_seed(0)
    before, layer, after = nn.Linear(3, 8), Dropout().train(), nn.Linear(8, 2)
    start = [each.weight.detach().clone() for each in (before, after)]
    hidden = before(torch.rand(1, 3))
    kept = layer(hidden)
    dropped = kept[0] == 0
    assert 0 < dropped.sum() < 8
    after(kept).square().sum().backward()
    torch.optim.SGD([*before.parameters(), *after.parameters()], lr=0.1).step()
    into = (before.weight != start[0]).any(dim=1)
    out_of = (after.weight != start[1]).any(dim=0)
    assert torch.equal(into, ~dropped)
    assert torch.equal(out_of, ~dropped)


def test_gradient_is_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.rand(50, dtype=torch.float64, requires_grad=True)
    got = dropout(x, rate=0.5)
    got.sum().backward()
    assert_close(x.grad, torch.where(got == 0, 0.0, 2.0).double())

    def with_the_same_mask(y: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return dropout(y, rate=0.5)

    assert torch.autograd.gradcheck(with_the_same_mask, x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(BadInput, match=f"dropout rate of {rate}"):
        Dropout(rate=rate)
    with pytest.raises(BadInput, match=f"dropout rate of {rate}"):
        dropout(torch.ones(2), rate=rate)


def test_layer_says_its_rate() -> None:
    assert repr(Dropout(rate=0.25)) == "Dropout(rate=0.25)"
