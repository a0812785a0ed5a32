"""The moving average of weights by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepcanon.training.average import move_average

pytestmark = [pytest.mark.row("T2"), pytest.mark.row("C18")]


def norm(value: float, *, batches: int) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(1)
    with torch.no_grad():
        for each in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
            assert each is not None
            each.fill_(value)
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.fill_(batches)
    return layer


@pytest.mark.parametrize(
    ("keep", "steps", "expected"),
    [
        (0.9, 10_000, 0.9 * 1 + 0.1 * 3),
        (0.9, 8, 0.5 * 1 + 0.5 * 3),  # (1 + 8) / (10 + 8)
        (0.0, 8, 3.0),  # no average
    ],
)
def test_weights_and_statistics_move_and_counts_are_taken(
    keep: float, steps: int, expected: float
) -> None:
    average, net = norm(1, batches=2), norm(3, batches=7)
    move_average(average, net, keep=keep, steps=steps)
    found = dict(average.state_dict())
    assert found.pop("num_batches_tracked") == 7
    assert {round(float(value), 6) for value in found.values()} == {round(expected, 6)}
    assert all(float(value) in (3, 7) for value in net.state_dict().values())
