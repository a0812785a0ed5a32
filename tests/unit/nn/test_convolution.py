"""Convolution by hand: the chapter's worked examples, sides, shapes that do not fit, gradients."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.nn.convolution import (
    Padding,
    Rounding,
    Window,
    border,
    convolve,
    cross_correlate,
    output_side,
    side_after,
    smallest_side,
)

pytestmark = pytest.mark.row("C1")

# The chapter's 6x6 input and 3x3 kernel.
INPUT = """2 3 1 5 2 3
           7 4 5 2 3 1
           3 9 6 0 4 2
           0 6 4 7 1 2
           4 1 0 8 0 6
           7 0 2 1 6 3"""
KERNEL = "1 0 1 / 4 -3 2 / 3 0 -1"


def matrix(text: str) -> torch.Tensor:
    """Rows divided by new lines or slashes -> [1, 1, h, w]."""
    rows = text.replace("\n", "/").split("/")
    return torch.tensor([[[[float(each) for each in row.split()] for row in rows]]])


def rows(y: torch.Tensor) -> list[list[float]]:
    assert y.shape[:2] == (1, 1)
    return y[0, 0].tolist()


# --- the chapter's examples ----------------------------------------------------------------------


def test_chapters_example() -> None:
    got = rows(cross_correlate(matrix(INPUT), weight=matrix(KERNEL)))
    assert got[0] == [32, 40, 37, 7]
    assert got[1][0] == 5
    assert [len(row) for row in got] == [4, 4, 4, 4]


def test_vertical_edge() -> None:
    image = matrix("/".join(["10 10 10 0 0 0"] * 6))
    got = cross_correlate(image, weight=matrix("1 0 -1 / 1 0 -1 / 1 0 -1"))
    assert rows(got) == [[0, 30, 30, 0]] * 4


def test_diagonal_edge() -> None:
    # 10 above the second diagonal, 0 from it on.
    image = matrix(
        "/".join(" ".join("10" if i + j < 5 else "0" for j in range(6)) for i in range(6))
    )
    got = cross_correlate(image, weight=matrix("1 1 0 / 1 0 -1 / 0 -1 -1"))
    assert rows(got) == [[0, 10, 30, 30], [10, 30, 30, 10], [30, 30, 10, 0], [30, 10, 0, 0]]


def test_convolution_of_mathematics_turns_the_kernel_round() -> None:
    x, kernel = matrix(INPUT), matrix(KERNEL)
    got = convolve(x, weight=kernel)
    # -1 0 3 / 2 -3 4 / 1 0 1 on the first window: -2 + 0 + 3, 14 - 12 + 20, 3 + 0 + 6.
    assert got[0, 0, 0, 0] == 1 + 22 + 9
    assert_close(got, cross_correlate(x, weight=matrix("-1 0 3 / 2 -3 4 / 1 0 1")))
    assert not torch.equal(got, cross_correlate(x, weight=kernel))


def test_convolution_multiplies_polynomials() -> None:
    # (1 + 2t + 3t^2)(4 + 5t) = 4 + 13t + 22t^2 + 15t^3, in one row; padded only sideways.
    got = convolve(matrix("0 1 2 3 0"), weight=matrix("4 5"))
    assert rows(got) == [[4, 13, 22, 15]]


# --- channels, filters, bias, stride -------------------------------------------------------------


def test_channels_are_summed_filters_are_not_and_each_has_its_bias() -> None:
    x = torch.cat([matrix("1 2 / 3 4"), matrix("10 20 / 30 40")], dim=1)
    first = torch.cat([matrix("1 0 / 0 1"), matrix("0 1 / 0 0")], dim=1)  # 1 + 4 + 20
    second = torch.cat([matrix("0 0 / 0 0"), matrix("1 1 / 1 1")], dim=1)  # 100
    weight = torch.cat([first, second])
    got = cross_correlate(x, weight=weight, bias=torch.tensor([0.5, -1.0]))
    assert got.flatten().tolist() == [25.5, 99.0]


def test_stride_leaves_windows_out() -> None:
    x, kernel = matrix(INPUT), matrix(KERNEL)
    every = cross_correlate(x, weight=kernel)
    assert_close(cross_correlate(x, weight=kernel, stride=2), every[..., ::2, ::2])
    assert_close(cross_correlate(x, weight=kernel, stride=3), every[..., ::3, ::3])


def test_padding_is_zeros_all_around() -> None:
    got = cross_correlate(matrix("1 2 / 3 4"), weight=matrix("1 1 / 1 1"), padding=1)
    assert rows(got) == [[1, 3, 2], [4, 10, 6], [3, 7, 4]]


def test_same_puts_an_odd_zero_at_the_end_and_valid_puts_none() -> None:
    x, kernel = matrix("1 2 / 3 4"), matrix("1 1 / 1 1")
    assert rows(cross_correlate(x, weight=kernel, padding=Padding.SAME)) == [[10, 6], [7, 4]]
    assert rows(cross_correlate(x, weight=kernel, padding=Padding.VALID)) == [[10]]
    # The stride decides too: 3 values, kernel 3, stride 2 need one zero on each side.
    x = matrix("1 2 3")
    got = cross_correlate(x, weight=matrix("1 10 100"), stride=2, padding=Padding.SAME)
    assert rows(got) == [[210, 32]]


# --- sides ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", range(1, 13))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_sides(side: int, kernel: int, stride: int) -> None:
    x, weight = torch.ones(1, 1, side, 2 * side), torch.ones(1, 1, kernel, kernel)
    same = cross_correlate(x, weight=weight, stride=stride, padding=Padding.SAME)
    assert same.shape[2:] == (math.ceil(side / stride), math.ceil(2 * side / stride))
    counted = len([start for start in range(0, side, stride) if start + kernel <= side])
    assert output_side(side, kernel=kernel, stride=stride, padding=Padding.VALID) == counted
    if counted:
        valid = cross_correlate(x, weight=weight, stride=stride, padding=Padding.VALID)
        assert valid.shape[2] == counted


def test_same_adds_no_more_zeros_than_it_must() -> None:
    assert border(224, kernel=3, stride=1, padding=Padding.SAME) == (1, 1)
    assert border(224, kernel=3, stride=2, padding=Padding.SAME) == (0, 1)
    assert border(224, kernel=7, stride=2, padding=Padding.SAME) == (2, 3)
    assert border(4, kernel=1, stride=4, padding=Padding.SAME) == (0, 0)


@pytest.mark.parametrize(
    "windows",
    [
        [Window(3)],
        [Window(2, 2)] * 5,
        [Window(11, 4, 2), Window(3, 2), Window(5, 1, 2), Window(3, 2)],
        [Window(1, 2), Window(5, 1, 4), Window(3, 2, 1)],
        [Window(3, 2, rounding=Rounding.UP)],
        [Window(11, 4), *[Window(5, 1, 2), Window(3, 2, rounding=Rounding.UP)] * 3],
        [Window(2, 3, rounding=Rounding.UP), Window(3, 3, 1, Rounding.UP)] * 2,
    ],
)
def test_smallest_side_leaves_one_value_and_one_less_leaves_none(windows: list[Window]) -> None:
    smallest = smallest_side(windows)
    assert side_after(smallest, windows) >= 1
    assert smallest == 1 or side_after(smallest - 1, windows) == 0


def test_side_after_alexnets_first_layers() -> None:
    windows = [Window(11, 4, 2), Window(3, 2), Window(5, 1, 2), Window(3, 2)]
    assert [side_after(224, windows[:depth]) for depth in range(5)] == [224, 55, 27, 27, 13]


@pytest.mark.parametrize(
    "window", [(3, 2, 0), (3, 2, 1), (2, 2, 1), (2, 3, 0), (3, 4, 1), (5, 1, 2)]
)
def test_rounding_up_is_torchs_ceil_mode(window: tuple[int, int, int]) -> None:
    grew = False
    for side in range(max(window[0] - 2 * window[2], 2), 20):
        pooled = torch.nn.functional.max_pool2d(
            torch.rand(1, 1, side, side), *window, ceil_mode=True
        )
        up = side_after(side, [Window(*window, Rounding.UP)])
        assert up == pooled.shape[2]
        grew = grew or up > side_after(side, [Window(*window)])
    # With (2, 2, 1) the window that is left over would start on the border: it is dropped.
    assert grew == (window not in [(2, 2, 1), (5, 1, 2)])


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [cross_correlate, convolve])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (2, Padding.SAME)])
def test_gradients_in_float64(operation, stride: int, padding: int | Padding) -> None:
    torch.manual_seed(0)
    shapes = [(2, 2, 4, 5), (3, 2, 3, 2), (3,)]
    x, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes
    )
    assert gradcheck(
        lambda x, weight, bias: operation(
            x, weight=weight, bias=bias, stride=stride, padding=padding
        ),
        (x, weight, bias),
    )


# --- what does not fit ---------------------------------------------------------------------------


def test_shapes_that_do_not_go_together_are_refused() -> None:
    x = torch.ones(1, 3, 5, 4)
    with pytest.raises(BadInput, match="read 2 channels, the input has 3"):
        cross_correlate(x, weight=torch.ones(1, 2, 3, 3))
    with pytest.raises(BadInput, match=r"4 filters and a bias of shape \[3\]"):
        cross_correlate(x, weight=torch.ones(4, 3, 3, 3), bias=torch.ones(3))
    with pytest.raises(BadInput, match="window of 5x5 does not fit into 4x5"):
        cross_correlate(x, weight=torch.ones(1, 3, 5, 5))


@pytest.mark.parametrize(("stride", "padding"), [(0, 0), (-1, 0), (1, -1)])
def test_impossible_windows_are_refused(stride: int, padding: int) -> None:
    with pytest.raises(BadInput, match=f"stride {stride}, padding {padding} cannot slide"):
        cross_correlate(
            torch.ones(1, 1, 5, 5), weight=torch.ones(1, 1, 3, 3), stride=stride, padding=padding
        )
