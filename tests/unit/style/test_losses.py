"""Gram matrices and total variation by hand."""

from __future__ import annotations

import pytest
import torch

from deepcanon.style.losses import gram, mean_gram, total_variation

pytestmark = [pytest.mark.row("T1"), pytest.mark.row("T2")]


def test_gram_of_two_maps_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # F = [[1, 2], [3, -1]]
    assert gram(features).tolist() == [[[5.0, 1.0], [1.0, 10.0]]]
    assert mean_gram(features).tolist() == [[[1.25, 0.25], [0.25, 2.5]]]  # / (C H W) = / 4


def test_gram_forgets_where_things_are() -> None:
    features = torch.rand(2, 3, 4, 5)
    shuffled = features.flatten(2)[:, :, torch.randperm(20)].view_as(features)
    torch.testing.assert_close(gram(features), gram(shuffled))


def test_gram_sums_in_float32_under_autocast() -> None:
    features = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    features[0, 0, 0, 0] = 0.5  # 4095.25: bfloat16 would say 4096
    with torch.autocast("cpu", torch.bfloat16):
        found = gram(features)
    assert found.dtype == torch.float32
    assert found.item() == 4095.25


def test_total_variation_by_hand() -> None:
    # down: (3-1)^2 + (5-2)^2 = 13, across: (2-1)^2 + (5-3)^2 = 5
    pictures = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]], [[[4.0, 4.0], [4.0, 4.0]]]])
    assert total_variation(pictures).tolist() == [18.0, 0.0]
