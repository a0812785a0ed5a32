"""Factors that bring activations to a scale."""

from __future__ import annotations

import pytest
import torch

from deepcanon.style.activations import QUIETEST, RMS_OF_MEAN, Activations, scale

pytestmark = pytest.mark.row("T1")

# Two filters: means 1 and 3 on the photograph, 3 and 5 on the painting: 2 and 4 over both.
PHOTOGRAPH = torch.tensor([[[[0.0, 2.0]], [[3.0, 3.0]]]])
PAINTING = torch.tensor([[[[3.0, 3.0]], [[5.0, 5.0]]]])


def factors(what: Activations, *, filters: int = 2, mean: float = 1.0) -> list[float]:
    return scale(PHOTOGRAPH, PAINTING, filters=filters, what=what, mean=mean).flatten().tolist()


def test_as_given() -> None:
    assert factors(Activations.AS_GIVEN) == [1, 1]


def test_filter_by_filter() -> None:
    assert factors(Activations.FILTER) == pytest.approx([1 / 2, 1 / 4])
    assert factors(Activations.FILTER, mean=6) == pytest.approx([3, 6 / 4])


def test_layer_by_layer() -> None:
    # Mean squares: (0 + 4 + 9 + 9) / 4 and (9 + 9 + 25 + 25) / 4; their mean is 11.25.
    expected = RMS_OF_MEAN / 11.25**0.5
    assert factors(Activations.LAYER) == pytest.approx([expected] * 2)
    # Two components of eight filters: the squares are spread over eight.
    assert factors(Activations.LAYER, filters=8) == pytest.approx([2 * expected] * 2)


def test_components_are_no_filters() -> None:
    assert factors(Activations.FILTER, filters=8) == factors(Activations.LAYER, filters=8)


def test_a_silent_filter_is_not_blown_up() -> None:
    loud = torch.tensor([[[[0.0, 0.0]], [[9.0, 9.0]]]])
    layer = (2 * 81 / 4) ** 0.5 / RMS_OF_MEAN
    silent, other = (
        scale(loud, loud, filters=2, what=Activations.FILTER, mean=1.0).flatten().tolist()
    )
    assert silent == pytest.approx(1 / (QUIETEST * layer))
    assert other == pytest.approx(1 / 9)


def test_a_silent_layer_is_left_alone() -> None:
    silent = torch.zeros(1, 2, 1, 2)
    for what in Activations:
        assert scale(silent, silent, filters=2, what=what, mean=5.0).flatten().tolist() == [1, 1]
