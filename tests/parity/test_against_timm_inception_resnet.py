"""timm's random weights in our Inception-ResNet-v2 give timm's scores and gradients.

timm has only the authors' code of v2. The papers' networks are put together here from its parts,
with what their figures say written out.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcanon.classify.inception_resnet import (
    PAPER_V1,
    PAPER_V2,
    TF_SLIM,
    Config,
    InceptionResNet,
    load,
)
from deepcanon.classify.weights.inception_v4 import resnet_v2_keys
from deepcanon.core.catalog import create_model
from deepcanon.nn.preprocessing import INCEPTION
from tests.likeness import close, close_gradients, close_statistics, randomise

theirs = pytest.importorskip("timm.models.inception_resnet_v2")
conv_layer = pytest.importorskip("timm.layers").ConvNormAct

pytestmark = pytest.mark.row("C14")

CLASSES = 6
BLOCKS = (2, 2, 2)
SMALL = [(1, (75, 75)), (3, (75, 107)), (2, (109, 91))]


def reference() -> nn.Module:
    """timm's, with two of each module; of the 8x8 ones the second is the one that ends."""
    with torch.device("meta"):
        net = theirs.InceptionResnetV2(num_classes=CLASSES)
    net.repeat, net.repeat_1, net.repeat_2 = net.repeat[:2], net.repeat_1[:2], net.repeat_2[:1]
    return randomise(net.to_empty(device="cpu"))


def ours(net: nn.Module, path: Path) -> InceptionResNet:
    torch.save(net.state_dict(), path / "theirs.pth")
    made = InceptionResNet(replace(TF_SLIM, num_classes=CLASSES, blocks=BLOCKS))
    assert load(made, path / "theirs.pth") == made.preprocessing == INCEPTION
    return made


def close_after_training(net: nn.Module, other: nn.Module, keys: dict[str, str]) -> None:
    """Gradients and statistics, after both went forward and backward once. ``keys``: -> ours."""
    close_gradients(net, other, keys.__getitem__)
    close_statistics(net, other, keys.__getitem__)


def test_scores(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_training(batch: int, tmp_path: Path) -> None:
    other = reference().train()
    net = ours(other, tmp_path).train()
    net.top.dropout.p = 0.0  # timm's default
    x = torch.rand(batch, 3, 107, 107)
    got, expected = net(x), other(x)
    close(got, expected)
    for each in (got, expected):
        each.square().mean().backward()
    close_after_training(net, other, {a: str(b) for a, b in resnet_v2_keys(BLOCKS).items()})


def test_full_network_fits_timms_keys_and_shapes() -> None:
    with torch.device("meta"):
        other = theirs.InceptionResnetV2().state_dict()
        net = create_model("inception_resnet_v2", variant="tf_slim").state_dict()
    keys = resnet_v2_keys((10, 20, 10))
    assert {to: other[key].shape for key, to in keys.items()} == {
        key: value.shape for key, value in net.items()
    }
    assert keys.keys() == other.keys()


# --- the paper's networks, from timm's parts -----------------------------------------------------


def line(into: int, text: str) -> nn.Sequential:
    """Convolutions in a row: kernel, width, and V for no padding, V2 for stride 2 as well."""
    layers = []
    for each in text.split(", "):
        kernel, out, *mark = each.split()
        height, width = map(int, kernel.split("x"))
        padding = (0, 0) if mark else (height // 2, width // 2)
        layers.append(
            conv_layer(
                into,
                int(out),
                kernel_size=(height, width),
                stride=2 if mark == ["V2"] else 1,
                padding=padding,
                norm_kwargs={"eps": 1e-3},
            )
        )
        into = int(out)
    return nn.Sequential(*layers)


class Concat(nn.Module):
    """Branches of a figure; "pool" is the max pool 3x3, stride 2, without padding."""

    def __init__(self, into: int, *branches: str) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.MaxPool2d(3, stride=2) if each == "pool" else line(into, each) for each in branches
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([each(x) for each in self.branches], dim=1)


class Sum(nn.Module):
    """A residual module: ``width`` channels back to ``into`` by a linear 1x1, scaled, added."""

    def __init__(self, into: int, width: int, scale: float, *branches: str) -> None:
        super().__init__()
        self.branches = Concat(into, *branches)
        self.linear = nn.Conv2d(width, into, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.scale * self.linear(self.branches(x)))


def v1() -> list[nn.Module]:
    a = ("1x1 32", "1x1 32, 3x3 32", "1x1 32, 3x3 32, 3x3 32")
    b = ("1x1 128", "1x1 128, 1x7 128, 7x1 128")
    c = ("1x1 192", "1x1 192, 1x3 192, 3x1 192")
    return [
        line(3, "3x3 32 V2, 3x3 32 V, 3x3 64"),
        nn.MaxPool2d(3, stride=2),
        line(64, "1x1 80, 3x3 192 V, 3x3 256 V2"),
        *(Sum(256, 96, 0.17, *a) for _ in range(2)),
        Concat(256, "3x3 384 V2", "1x1 192, 3x3 192, 3x3 256 V2", "pool"),
        *(Sum(896, 256, 0.1, *b) for _ in range(2)),
        Concat(
            896,
            "1x1 256, 3x3 384 V2",
            "1x1 256, 3x3 256 V2",
            "1x1 256, 3x3 256, 3x3 256 V2",
            "pool",
        ),
        *(Sum(1792, 384, 0.2, *c) for _ in range(2)),
    ]


def v2() -> list[nn.Module]:
    a = ("1x1 32", "1x1 32, 3x3 32", "1x1 32, 3x3 48, 3x3 64")
    b = ("1x1 192", "1x1 128, 1x7 160, 7x1 192")
    c = ("1x1 192", "1x1 192, 1x3 224, 3x1 256")
    return [
        line(3, "3x3 32 V2, 3x3 32 V, 3x3 64"),
        Concat(64, "pool", "3x3 96 V2"),
        Concat(160, "1x1 64, 3x3 96 V", "1x1 64, 7x1 64, 1x7 64, 3x3 96 V"),
        Concat(192, "3x3 192 V2", "pool"),
        *(Sum(384, 128, 0.17, *a) for _ in range(2)),
        Concat(384, "3x3 384 V2", "1x1 256, 3x3 256, 3x3 384 V2", "pool"),
        *(Sum(1152, 384, 0.1, *b) for _ in range(2)),
        Concat(
            1152,
            "1x1 256, 3x3 384 V2",
            "1x1 256, 3x3 288 V2",
            "1x1 256, 3x3 288, 3x3 320 V2",
            "pool",
        ),
        *(Sum(2144, 448, 0.2, *c) for _ in range(2)),
    ]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_paper_variants(version: str, tmp_path: Path) -> None:
    parts, channels = (v1(), 1792) if version == "v1" else (v2(), 2144)
    config: Config = PAPER_V1 if version == "v1" else PAPER_V2
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))
    other = randomise(nn.Sequential(*parts, *end))
    net = InceptionResNet(replace(config, num_classes=CLASSES, blocks=BLOCKS, dropout=0.0))
    # Both hold their layers in the figures' order; shapes that differ would not be copied.
    keys = dict(zip(other.state_dict(), net.state_dict(), strict=True))
    renamed = {keys[key]: value for key, value in other.state_dict().items()}
    torch.save(renamed, tmp_path / "ours.pth")
    assert load(net, tmp_path / "ours.pth") is None
    net.eval(), other.eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))
    x = torch.rand(3, 3, 107, 107)
    got, expected = net.train()(x), other.train()(x)
    close(got, expected)
    for each in (got, expected):
        each.square().mean().backward()
    close_after_training(net, other, keys)
