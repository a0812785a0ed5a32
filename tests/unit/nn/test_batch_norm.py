"""Batch normalisation by hand: Algorithms 1 and 2, the paper's gradients, what is kept."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.nn.batch_norm import (
    BatchNorm,
    Statistics,
    batch_statistics,
    infer,
    normalise,
    population,
)

pytestmark = pytest.mark.row("C15")


def column(*values: float) -> torch.Tensor:
    """A mini-batch of one activation, [m, 1]."""
    return torch.tensor(values, dtype=torch.float64).view(-1, 1)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


# --- the algorithms ------------------------------------------------------------------------------


def test_algorithm_1_by_hand() -> None:
    x = column(1, 2, 3, 6)  # mean 3, deviations -2 -1 0 3, variance 14 / 4
    statistics = batch_statistics(x)
    assert (statistics.mean.item(), statistics.variance.item()) == (3, 3.5)
    got = normalise(x, statistics=statistics, gamma=one(2), beta=one(10), eps=0.5)
    assert_close(got, column(*(10 + 2 * deviation / 2 for deviation in (-2, -1, 0, 3))))


def test_algorithm_2_by_hand() -> None:
    # Two batches of m = 4: E[x] = (3 + 5) / 2, Var[x] = 4/3 (3.5 + 2.5) / 2 = 4.
    batches = [Statistics(one(3), one(3.5)), Statistics(one(5), one(2.5))]
    statistics = population(batches, count=4)
    assert (statistics.mean.item(), statistics.variance.item()) == (4, 4)
    got = infer(column(4, 8), statistics=statistics, gamma=one(3), beta=one(1), eps=0.0)
    assert_close(got, column(1, 7))


def test_a_channel_of_maps_is_normalised_over_pictures_and_places() -> None:
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    statistics = batch_statistics(x)
    rows = x.permute(1, 0, 2, 3).reshape(3, -1)
    assert_close(statistics.mean, rows.mean(dim=1))
    assert_close(statistics.variance, rows.var(dim=1, correction=0))
    y = BatchNorm(3, eps=0.0).double().train()(x).permute(1, 0, 2, 3).reshape(3, -1)
    assert_close(y.mean(dim=1), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert_close(y.square().mean(dim=1), torch.ones(3, dtype=torch.float64))


def test_scale_of_the_weights_before_does_not_matter() -> None:
    # §3.3: BN(W u) = BN((a W) u).
    x = torch.rand(8, 2, dtype=torch.float64)
    layer = BatchNorm(2, eps=0.0).double().train()
    assert_close(layer(x), layer(30 * x))


# --- gradients -----------------------------------------------------------------------------------


def test_gradients_in_float64() -> None:
    torch.manual_seed(0)
    shapes = [(3, 2, 2, 2), (2,), (2,)]
    arguments = tuple(
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes
    )

    def layer(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        return normalise(x, statistics=batch_statistics(x), gamma=gamma, beta=beta)

    assert gradcheck(layer, arguments)
    fixed = Statistics(torch.tensor([0.3, -1.0]).double(), torch.tensor([0.5, 2.0]).double())
    assert gradcheck(
        lambda x, gamma, beta: infer(x, statistics=fixed, gamma=gamma, beta=beta), arguments
    )


def test_gradients_are_those_that_the_paper_writes_down() -> None:
    """§3's chain rule: through the normalised value, the variance and the mean."""
    torch.manual_seed(0)
    m, eps = 6, 1e-3
    x = torch.randn(m, 1, dtype=torch.float64, requires_grad=True)
    gamma, beta = one(1.7).requires_grad_(), one(-0.4).requires_grad_()
    dy = torch.randn(m, 1, dtype=torch.float64)
    normalise(x, statistics=batch_statistics(x), gamma=gamma, beta=beta, eps=eps).backward(dy)

    with torch.no_grad():
        mean, variance = batch_statistics(x)
        centred, deviation = x - mean, math.sqrt(variance.item() + eps)
        d_normal = dy * gamma
        d_variance = (d_normal * centred).sum() * -0.5 * deviation**-3
        d_mean = (d_normal * -1 / deviation).sum() + d_variance * (-2 * centred).sum() / m
        dx = d_normal / deviation + d_variance * 2 * centred / m + d_mean / m
        assert_close(x.grad, dx)
        assert_close(gamma.grad, (dy * centred / deviation).sum(dim=0))
        assert_close(beta.grad, dy.sum(dim=0))


# --- what is kept --------------------------------------------------------------------------------


def test_moving_averages_take_momentum_as_the_weight_of_the_newest() -> None:
    layer = BatchNorm(1, momentum=0.25).double().train()
    layer(column(1, 2, 3, 6))
    assert layer.running_mean.item() == pytest.approx(0.75 * 0 + 0.25 * 3)
    assert layer.running_var.item() == pytest.approx(0.75 * 1 + 0.25 * 14 / 3)
    assert layer.num_batches_tracked.item() == 1


def test_no_momentum_is_the_average_of_algorithm_2() -> None:
    torch.manual_seed(0)
    batches = [torch.randn(5, 3, 2, 2, dtype=torch.float64) for _ in range(4)]
    layer = BatchNorm(3, momentum=None).double().train()
    for batch in batches:
        layer(batch)
    expected = population([batch_statistics(batch) for batch in batches], count=5 * 2 * 2)
    assert_close(layer.running_mean, expected.mean)
    assert_close(layer.running_var, expected.variance)


def test_evaluation_uses_what_was_kept_and_keeps_it() -> None:
    torch.manual_seed(0)
    layer = BatchNorm(2).train()
    layer(torch.randn(16, 2) * 3 + 5)
    kept = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.eval()
    x = torch.rand(4, 2)
    assert_close(layer(x)[:1], layer(x[:1]))  # a picture does not see the others of its batch
    assert all(torch.equal(value, kept[key]) for key, value in layer.state_dict().items())
    assert not torch.allclose(layer(x), layer.train()(x))


def test_epsilon_and_momentum_go_by_their_names() -> None:
    """Torch's second argument is epsilon, which ``BatchNorm2d(64, 0.1)`` often does not mean."""
    with pytest.raises(TypeError, match="positional"):
        BatchNorm(3, 0.1)


def test_one_value_per_channel_cannot_be_trained_on() -> None:
    layer = BatchNorm(3).train()
    with pytest.raises(BadInput, match="one value per channel"):
        layer(torch.rand(1, 3))
    assert layer.num_batches_tracked == 0
    layer(torch.rand(1, 3, 1, 2))
    assert torch.isfinite(layer.eval()(torch.rand(1, 3))).all()
