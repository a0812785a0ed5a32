"""Where the values of a map look: by hand, and against what a gradient reaches."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.nn.layer_table import Field, receptive_fields

pytestmark = pytest.mark.row("C5", "C6")


class Branches(nn.Module):
    """A 1x1, a 5x5 and a pool side by side, as in Inception; ends in a residual block's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.five = nn.Conv2d(3, 2, 5, padding=2)
        self.down = nn.Conv2d(7, 7, 3, stride=2, padding=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.one(x), self.five(x), self.pool(x)], dim=1)
        return functional.relu(self.down(x) + x[:, :, ::2, ::2])


class SamePadding(nn.Module):
    """TensorFlow's SAME for an even side: the odd zero stands at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 4, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.pad(x, (1, 1, 1, 1)))
        return out


NETS = {
    "stack": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2, stride=2),
        nn.Conv2d(4, 4, 3, dilation=2, padding=2),
    ),
    "oblong": lambda: nn.Sequential(
        nn.Conv2d(3, 2, (1, 7), padding=(0, 3)), nn.Conv2d(2, 2, (3, 1), stride=(2, 1))
    ),
    "branches": Branches,
    "same": SamePadding,
    "up": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, stride=2, padding=1), nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1)
    ),
}


def reached(net: nn.Module, x: Tensor, row: int, column: int) -> tuple[int, int, int, int]:
    """The box that a gradient from one value of the output reaches in the picture."""
    (gradient,) = torch.autograd.grad(net(x)[0, 0, row, column], x)
    rows, columns = gradient[0].sum(0).nonzero(as_tuple=True)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


@pytest.mark.parametrize("name", NETS)
def test_a_gradient_reaches_what_a_value_sees(name: str) -> None:
    net = NETS[name]()
    for weights in net.parameters():  # all positive, so that nothing cancels out
        nn.init.constant_(weights, 0.1)
    x = torch.rand(1, 3, 21, 25, requires_grad=True)
    field = receptive_fields(net, input_size=(3, 21, 25))[""]
    height, width = net(x).shape[-2:]
    assert field.output[-2:] == (height, width)
    for row, column in [(0, 0), (height // 2, width // 2), (height - 1, width - 1)]:
        top, left, bottom, right = field.box(row, column)
        seen = (max(0, top), max(0, left), min(21, bottom), min(25, right))
        got = reached(net, x, row, column)
        if name == "up":  # neighbours look at the same values or not, which no jump says
            assert max(abs(a - b) for a, b in zip(got, seen, strict=True)) <= 2
        else:
            assert got == seen


def test_alexnets_first_layers_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2))
    fields = receptive_fields(net, input_size=(3, 224, 224))
    four, eight = (Fraction(4),) * 2, (Fraction(8),) * 2
    start = (Fraction(-2),) * 2
    conv = Field(output=(2, 55, 55), size=(11, 11), jump=four, start=start)
    assert fields["0"] == fields["1"] == conv
    assert fields["2"] == Field(output=(2, 27, 27), size=(19, 19), jump=eight, start=start)
    assert conv.box(0, 54) == (-2, 214, 9, 225)
    assert fields["2"].box(3, 0) == (22, -2, 41, 17)


def test_after_a_mean_everything_is_seen() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    top, left, bottom, right = receptive_fields(net, input_size=(3, 8, 8))[""].box(0, 0)
    assert top <= 0 and left <= 0 and bottom >= 8 and right >= 8


def test_parts_that_do_not_run_are_not_there_and_first_runs_count() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)
            self.unused = nn.Conv2d(3, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(self.conv(x))
            return out

    fields = receptive_fields(Twice(), input_size=(3, 9, 9))
    assert set(fields) == {"", "conv"}
    assert (fields["conv"].size, fields[""].size) == ((3, 3), (5, 5))
