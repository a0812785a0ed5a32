"""What Inception-v3 and later are made of: by hand, and the starting weights' distribution."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify.parts.inception_parts import (
    Branches,
    chain,
    check_settings,
    conv_norm_keys,
    plain_keys,
    reset_norms,
    same,
    shrink,
    smooth,
    top,
    valid,
)
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C13", "C14")


def of_ones(net: nn.Module) -> nn.Module:
    """Kernels of ones, and norms that leave values alone."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return net.eval()


def spot(height: int, width: int, *, row: int, column: int) -> torch.Tensor:
    x = torch.zeros(1, 1, height, width)
    x[0, 0, row, column] = 2.0
    return x


@pytest.mark.parametrize(
    ("kernel", "rows", "columns"),
    [(1, (3, 4), (3, 4)), (3, (2, 5), (2, 5)), ((1, 7), (3, 4), (0, 7)), ((7, 1), (0, 7), (3, 4))],
)
def test_same_keeps_the_size_whatever_the_kernel(
    kernel: int | tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    got = of_ones(chain(1, same(kernel, 1)))(spot(7, 7, row=3, column=3))
    expected = torch.zeros(7, 7)
    expected[slice(*rows), slice(*columns)] = 2.0
    assert_close(got[0, 0], expected)


def test_valid_loses_its_border() -> None:
    x = torch.arange(1.0, 26).view(1, 1, 5, 5)
    assert of_ones(chain(1, valid(3, 1)))(x).shape == (1, 1, 3, 3)
    got = of_ones(chain(1, valid(3, 1, stride=2)))(x)[0, 0]
    assert_close(got, 9 * torch.tensor([[7.0, 9], [17, 19]]))  # the windows' middles


def test_chain_counts_channels_and_rectifies_between() -> None:
    net = chain(2, same(1, 5), shrink(), same(3, 4))
    assert [each.conv.weight.shape[:2] for each in (net[0], net[2])] == [(5, 2), (4, 5)]
    of_ones(net)
    nn.init.constant_(net[0].conv.weight, -1.0)
    assert not net(torch.ones(1, 2, 5, 5)).any()
    assert net(-torch.ones(1, 2, 5, 5)).shape == (1, 4, 2, 2)


def test_branches_stand_side_by_side_in_order() -> None:
    net = of_ones(Branches(chain(1, same(1, 1)), chain(1, same(3, 2)), nn.Identity()))
    x = spot(5, 5, row=2, column=2)
    got = net(x)[0]
    assert got.shape == (4, 5, 5)
    assert [int(each.count_nonzero()) for each in got] == [1, 9, 9, 1]


def test_pools() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert shrink()(x).tolist() == [[[[10.0]]]]
    corner, edge = smooth()(x)[0, 0, 0, :2].tolist()
    assert corner == (0 + 1 + 4 + 5) / 4  # the border is not averaged
    assert edge == (0 + 1 + 2 + 4 + 5 + 6) / 6


def test_top_averages_any_map() -> None:
    net = top(2, 3, dropout=0.5).eval()
    nn.init.ones_(net.fc.weight)
    nn.init.zeros_(net.fc.bias)
    x = torch.stack([torch.full((3, 5), 1.0), torch.full((3, 5), 3.0)])[None]
    assert net(x).tolist() == [[4.0, 4.0, 4.0]]


# --- starting weights ----------------------------------------------------------------------------


def test_norms_start_anew() -> None:
    net = chain(1, same(1, 3))
    for tensor in (*net[0].norm.parameters(), *net[0].norm.buffers()):
        tensor.data.fill_(7)
    reset_norms(net)
    norm = net[0].norm
    assert norm.weight.eq(1).all() and not norm.bias.any() and not norm.running_mean.any()
    assert norm.running_var.eq(1).all() and norm.num_batches_tracked == 0


# --- settings and keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "classes", "dropout", "says"),
    [
        ((1, 1), 5, 0.0, r"blocks is \[1, 1\]"),
        ((1, 0, 1), 5, 0.0, r"blocks is \[1, 0, 1\]"),
        ((1, 1, 1), 0, 0.0, "num_classes is 0"),
        ((1, 1, 1), 5, 1.0, r"dropout is 1\.0"),
        ((1, 1, 1), 5, -0.1, r"dropout is -0\.1"),
    ],
)
def test_settings_are_refused_by_name(
    blocks: tuple[int, ...], classes: int, dropout: float, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        check_settings(blocks=blocks, papers="4, 7 and 3", classes=classes, dropout=dropout)
    check_settings(blocks=(1, 1, 1), papers="4, 7 and 3", classes=1, dropout=0.0)


def test_keys() -> None:
    keys = conv_norm_keys({"theirs.0": "ours"})
    assert keys["theirs.0.conv.weight"] == "ours.conv.weight"
    assert keys["theirs.0.bn.running_var"] == "ours.norm.running_var"
    assert set(keys.values()) == {f"ours.{key}" for key in chain(1, same(1, 1))[0].state_dict()}
    assert plain_keys({"a": "b.c"}) == {"a.weight": "b.c.weight", "a.bias": "b.c.bias"}
