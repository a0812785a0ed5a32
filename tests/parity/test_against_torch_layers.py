"""The layers that are written out in nn/ compute what torch's layers do, gradients included."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.nn.batch_norm import BatchNorm
from deepcanon.nn.convolution import Padding, convolve, cross_correlate
from deepcanon.nn.dropout import Dropout
from deepcanon.nn.pooling import average_pool, l2_pool, max_pool


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def same_gradients(ours: torch.Tensor, theirs: torch.Tensor, *of: torch.Tensor) -> None:
    """Values and gradients of both agree."""
    assert_close(ours, theirs)
    torch.manual_seed(9)
    direction = torch.randn_like(ours)
    got = torch.autograd.grad(ours, of, direction)
    for mine, expected in zip(got, torch.autograd.grad(theirs, of, direction), strict=True):
        assert expected.any()
        assert_close(mine, expected)


@pytest.mark.row("C1")
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 2), (2, 1), (3, 0)])
def test_convolution(kernel: tuple[int, int], stride: int, padding: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = random(2, 3, 8, 9), random(4, 3, *kernel), random(4)
    theirs = functional.conv2d(x, weight, bias, stride=stride, padding=padding)
    ours = cross_correlate(x, weight=weight, bias=bias, stride=stride, padding=padding)
    same_gradients(ours, theirs, x, weight, bias)


@pytest.mark.row("C1")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("padding", [Padding.SAME, Padding.VALID])
@pytest.mark.parametrize("kernel", [(3, 3), (4, 4), (2, 5)])
def test_convolution_with_named_padding(kernel: tuple[int, int], padding: Padding) -> None:
    torch.manual_seed(0)
    x, weight = random(1, 2, 7, 6), random(3, 2, *kernel)
    theirs = functional.conv2d(x, weight, padding=padding.value)
    same_gradients(cross_correlate(x, weight=weight, padding=padding), theirs, x, weight)


@pytest.mark.row("C1")
def test_full_convolution_is_the_gradient_of_correlation() -> None:
    torch.manual_seed(0)
    x, weight = random(1, 1, 5, 6), random(1, 1, 3, 3)
    theirs = functional.conv_transpose2d(x, weight)
    same_gradients(convolve(x, weight=weight, padding=2), theirs, x, weight)


@pytest.mark.row("C2")
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_pools(kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    x = random(2, 3, 8, 9)
    settings = {"kernel": kernel, "stride": stride, "padding": padding}
    theirs = functional.max_pool2d(x, kernel, stride, padding)
    same_gradients(max_pool(x, **settings), theirs, x)
    theirs = functional.avg_pool2d(x, kernel, stride, padding)
    same_gradients(average_pool(x, **settings), theirs, x)
    padded = functional.pad(x, [padding] * 4)
    theirs = functional.lp_pool2d(padded, norm_type=2, kernel_size=kernel, stride=stride)
    same_gradients(l2_pool(x, **settings), theirs, x)


@pytest.mark.row("C9")
def test_dropout_draws_what_torch_draws() -> None:
    x = torch.rand(5, 7)
    layers = nn.Dropout(0.3), Dropout(rate=0.3)
    drawn = []
    for layer in layers:
        torch.manual_seed(3)
        drawn.append(layer.train()(x))
    assert (drawn[0] == 0).any()
    assert_close(drawn[1], drawn[0])


@pytest.mark.row("C15")
@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 2)])
def test_batch_norm(momentum: float | None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs = kind(3, eps=1e-3, momentum=momentum).double()
    ours = BatchNorm(3, eps=1e-3, momentum=momentum).double()
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    for step in range(3):  # the kept statistics move with each
        x = (torch.randn(shape, dtype=torch.float64) * (1 + step) + step).requires_grad_()
        y, expected = ours.train()(x), theirs.train()(x)
        assert_close(y, expected)
        direction = torch.randn_like(y)
        got = torch.autograd.grad(y, [x, ours.weight, ours.bias], direction)
        wanted = torch.autograd.grad(expected, [x, theirs.weight, theirs.bias], direction)
        assert_close(got, wanted)
        assert_close(ours.state_dict(), theirs.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    assert_close(ours.eval()(x), theirs.eval()(x))
