"""Pooling by hand, with gradients in float64; adaptive average pooling against torch's too."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.nn.convolution import Padding
from deepcanon.nn.pooling import (
    AdaptiveAverage,
    L2Pool,
    adaptive_average,
    average_pool,
    l2_pool,
    max_pool,
)

# The chapter's input, of which it pools 2x2 windows with stride 2.
INPUT = torch.tensor(
    [
        [2.0, 3, 1, 5, 2, 3],
        [7, 4, 5, 2, 3, 1],
        [3, 9, 6, 0, 4, 2],
        [0, 6, 4, 7, 1, 2],
        [4, 1, 0, 8, 0, 6],
        [7, 0, 2, 1, 6, 3],
    ]
).view(1, 1, 6, 6)
POOLS = [max_pool, average_pool, l2_pool]

# --- max, average, L2 ----------------------------------------------------------------------------


@pytest.mark.row("C2")
def test_chapters_example() -> None:
    # The chapter prints 6 in the middle, where its own input has 6 0 / 4 7.
    assert max_pool(INPUT, kernel=2)[0, 0].tolist() == [[7, 5, 3], [9, 7, 4], [7, 8, 6]]


@pytest.mark.row("C2")
def test_average_and_l2_of_the_same_windows() -> None:
    average = average_pool(INPUT, kernel=2)[0, 0, 0]
    assert average.tolist() == [16 / 4, 13 / 4, 9 / 4]
    length = l2_pool(INPUT, kernel=2)[0, 0, 0]
    expected = [math.sqrt(4 + 9 + 49 + 16), math.sqrt(1 + 25 + 25 + 4), math.sqrt(4 + 9 + 9 + 1)]
    assert_close(length, torch.tensor(expected))


@pytest.mark.row("C2")
def test_overlapping_windows() -> None:
    # 3x3 windows with stride 2 share a row and a column with their neighbours.
    got = max_pool(INPUT, kernel=3, stride=2)[0, 0].tolist()
    assert got == [[9, 6], [9, 8]]
    assert average_pool(INPUT, kernel=3, stride=2)[0, 0, 0].tolist() == pytest.approx(
        [40 / 9, 28 / 9]
    )


@pytest.mark.row("C2")
def test_a_max_pool_never_takes_the_border_and_an_average_does() -> None:
    x = torch.full((1, 1, 2, 2), -4.0)
    assert max_pool(x, kernel=2, stride=2, padding=1).unique().tolist() == [-4]
    assert average_pool(x, kernel=2, stride=2, padding=1).unique().tolist() == [-1]
    assert l2_pool(x, kernel=2, stride=2, padding=1).unique().tolist() == [4]


@pytest.mark.row("C2")
def test_same_keeps_the_rest_of_an_odd_side() -> None:
    x = INPUT[..., :5]
    assert max_pool(x, kernel=2, padding=Padding.SAME)[0, 0, 0].tolist() == [7, 5, 3]
    assert average_pool(x, kernel=2, padding=Padding.SAME)[0, 0, 0, 2].item() == 5 / 4
    assert max_pool(x, kernel=2, padding=Padding.VALID).shape == (1, 1, 3, 2)


@pytest.mark.row("C2")
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_gradients_in_float64(pool, kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: pool(x, kernel=kernel, stride=stride, padding=padding), x)


@pytest.mark.row("C2")
def test_l2_of_a_window_of_zeros_has_the_gradient_zero() -> None:
    x = torch.tensor([[[[0.0, 0.0, 3.0, 4.0]]]]).expand(1, 1, 2, 4).clone().requires_grad_()
    got = L2Pool(2)(x)
    got.sum().backward()
    length = math.sqrt(50)
    assert got.flatten().tolist() == pytest.approx([0, length])
    assert_close(x.grad[0, 0, 0], torch.tensor([0, 0, 3 / length, 4 / length]))


@pytest.mark.row("C2")
def test_l2_layer_is_the_function_and_says_its_window() -> None:
    layer = L2Pool(3, stride=2, padding=1)
    assert_close(layer(INPUT), l2_pool(INPUT, kernel=3, stride=2, padding=1))
    assert L2Pool(3).stride == 3
    assert repr(layer) == "L2Pool(kernel=3, stride=2, padding=1)"


@pytest.mark.row("C2")
@pytest.mark.parametrize("pool", POOLS)
def test_windows_that_do_not_fit_are_refused(pool) -> None:
    with pytest.raises(BadInput, match="window of 7x7 does not fit into 6x6"):
        pool(INPUT, kernel=7)
    with pytest.raises(BadInput, match="windows of 3x3 with no value"):
        pool(INPUT, kernel=3, padding=2)
    with pytest.raises(BadInput, match="stride 0"):
        pool(INPUT, kernel=3, stride=0)


# --- adaptive average ----------------------------------------------------------------------------


def test_layer_is_the_function() -> None:
    layer = AdaptiveAverage(4)
    assert_close(layer(INPUT), adaptive_average(INPUT, rows=4, columns=4))
    assert repr(layer) == "AdaptiveAverage(side=4)"


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
