"""timm's random weights in our Inception-v4 give timm's scores and gradients."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcanon.classify.inception_v4 import PAPER, TF_SLIM, InceptionV4, load
from deepcanon.classify.weights.inception_v4 import v4_keys
from deepcanon.core.catalog import create_model
from deepcanon.nn.preprocessing import INCEPTION
from tests.likeness import close, close_gradients, close_statistics, randomise

theirs = pytest.importorskip("timm.models.inception_v4")

pytestmark = pytest.mark.row("C14")

CLASSES = 6
BLOCKS = (2, 2, 2)
SMALL = [(1, (75, 75)), (3, (75, 107)), (2, (109, 91))]


def reference(*, classes: int = CLASSES) -> nn.Module:
    """timm's, with two of each module."""
    with torch.device("meta"):
        net = theirs.InceptionV4(num_classes=classes)
    kept = {6, 7, 10, 11, 12, 18, 19, 20} | set(range(6))  # 4 of A to 10, 7 of B to 18, 3 of C
    net.features = nn.Sequential(*(each for n, each in enumerate(net.features) if n in kept))
    return randomise(net.to_empty(device="cpu"))


def ours(net: nn.Module, path: Path) -> InceptionV4:
    torch.save(net.state_dict(), path / "theirs.pth")
    made = InceptionV4(replace(TF_SLIM, num_classes=CLASSES, blocks=BLOCKS))
    assert load(made, path / "theirs.pth") == made.preprocessing == INCEPTION
    return made


def test_scores(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


# At the end 107 pixels leave 2x2, of which the average pool makes four times the same: a norm needs
# other pictures beside it then.
@pytest.mark.parametrize(("batch", "side"), [(1, 139), (3, 107)])
def test_training(batch: int, side: int, tmp_path: Path) -> None:
    other = reference().train()
    net = ours(other, tmp_path).train()
    net.top.dropout.p = 0.0  # timm's default
    x = torch.rand(batch, 3, side, side)
    got, expected = net(x), other(x)
    close(got, expected)
    for each in (got, expected):
        each.square().mean().backward()
    keys = v4_keys(BLOCKS)
    close_gradients(net, other, lambda key: str(keys[key]))
    close_statistics(net, other, lambda key: str(keys[key]))


def test_full_network_fits_timms_keys_and_shapes() -> None:
    with torch.device("meta"):
        other = theirs.InceptionV4().state_dict()
        net = create_model("inception_v4", variant="tf_slim").state_dict()
    keys = v4_keys((4, 7, 3))
    assert {to: other[key].shape for key, to in keys.items()} == {
        key: value.shape for key, value in net.items()
    }
    assert keys.keys() == other.keys()


# --- the paper's network, from timm's with the figures' kernels ----------------------------------


def turn(block: nn.Module) -> None:
    """Let a kernel of 1xn stand upright, and the other way round."""
    conv = block.conv
    conv.kernel_size, conv.padding = conv.kernel_size[::-1], conv.padding[::-1]
    conv.weight = nn.Parameter(conv.weight.detach().transpose(2, 3).contiguous())


def test_paper_variant(tmp_path: Path) -> None:
    other = reference()
    for block in other.features:
        if isinstance(block, theirs.Mixed4a):
            turned = [block.branch1[1], block.branch1[2]]
        elif isinstance(block, theirs.InceptionB):
            turned = list(block.branch2[1:])
        elif isinstance(block, theirs.InceptionC):
            turned = [block.branch2_1, block.branch2_2]
        else:
            continue
        for each in turned:
            turn(each)
    keys = v4_keys(BLOCKS)
    renamed = {keys[key]: value for key, value in other.state_dict().items()}
    torch.save(renamed, tmp_path / "ours.pth")
    net = InceptionV4(replace(PAPER, num_classes=CLASSES, blocks=BLOCKS, dropout=0.0))
    assert load(net, tmp_path / "ours.pth") is None
    net.eval(), other.eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))
        x = torch.rand(3, 3, 107, 107)
        close(net.train()(x), other.train()(x))
