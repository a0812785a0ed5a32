"""Adaptive average pooling against torch's, and by hand."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.nn.pooling import adaptive_average


def test_overlapping_cells_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0, 4.0, 8.0, 16.0]]]])
    # 5 values in 3 cells: 0..2, 1..4, 3..5.
    expected = [1.5, (2 + 4 + 8) / 3, 12.0]
    assert_close(adaptive_average(x, rows=1, columns=3).flatten(), torch.tensor(expected))


def test_a_larger_result_repeats_values() -> None:
    x = torch.tensor([[[[1.0, 2.0]]]])
    got = adaptive_average(x, rows=2, columns=4)
    assert_close(got, torch.tensor([[[[1.0, 1, 2, 2], [1, 1, 2, 2]]]]))


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 7), (3, 20), (14, 31)])
@pytest.mark.parametrize("cells", [(7, 7), (1, 1), (2, 5)])
def test_against_torch(size: tuple[int, int], cells: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    rows, columns = cells
    assert_close(
        adaptive_average(x, rows=rows, columns=columns), functional.adaptive_avg_pool2d(x, cells)
    )


def test_the_same_size_changes_nothing() -> None:
    x = torch.rand(1, 2, 5, 4)
    assert torch.equal(adaptive_average(x, rows=5, columns=4), x)
