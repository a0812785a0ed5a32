"""Inception-v4's starting weights, sizes, settings and files."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcanon.classify.inception_v4 import (
    PAPER,
    TF_SLIM,
    Config,
    InceptionV4,
    Order,
    load,
)
from deepcanon.classify.weights.inception_v4 import V4, without_background
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.weights import Weights

pytestmark = pytest.mark.row("C14")

VARIANTS = {"paper": PAPER, "tf_slim": TF_SLIM}
each_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def small(config: Config) -> InceptionV4:
    """One module of each kind."""
    torch.manual_seed(0)
    return InceptionV4(dataclasses.replace(config, num_classes=5, blocks=(1, 1, 1))).eval()


# --- starting weights ----------------------------------------------------------------------------


def test_starting_weights() -> None:
    net = small(PAPER)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            std = math.sqrt(2 / layer.weight[0].numel())
            number = layer.weight.numel()
            # 1.3 is TF-Slim's for 1 / 0.8796 ** 2, nearly
            assert layer.weight.std().item() == pytest.approx(
                std * math.sqrt(1.3) * 0.87963, rel=4 / math.sqrt(number)
            )
            assert layer.weight.abs().max().item() <= 2.0001 * math.sqrt(1.3) * std
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all() and not layer.bias.any()
            assert not layer.running_mean.any() and layer.running_var.eq(1).all()
            assert layer.eps == 1e-3
    reach = math.sqrt(6 / (1536 + 5))
    assert 0.95 * reach < net.top.fc.weight.abs().max().item() <= 1.0001 * reach
    assert not net.top.fc.bias.any()


def test_signal_keeps_its_size_from_the_start() -> None:
    with torch.no_grad():
        scores = small(PAPER)(torch.randn(4, 3, 75, 75))
    assert 0.01 < scores.std().item() < 10


# --- sizes ---------------------------------------------------------------------------------------


@each_variant
def test_smallest_picture_is_the_smallest(config: Config) -> None:
    assert config.smallest == 75
    net = small(config)
    with torch.no_grad():
        for size in ((75, 75), (75, 90), (91, 76)):
            got = net(torch.rand(2, 3, *size))
            assert got.shape == (2, 5)
            assert torch.isfinite(got).all() and not torch.equal(got[0], got[1])
        with pytest.raises(RuntimeError):  # torch's own word: no pixel is left
            net.reduction_b(net.b(net.reduction_a(net.a(net.stem(torch.rand(1, 3, 74, 74))))))


@pytest.mark.parametrize("size", [(74, 90), (90, 74), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        net, x = small(PAPER), torch.empty(1, 3, *size)
    with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
        net(x)
    assert "75x75" in caught.value.hint


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_classes", 0, "num_classes is 0"),
        ("blocks", [4, 7], r"blocks is \[4, 7\]"),
        ("dropout", 1.0, r"dropout is 1\.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_model("inception_v4", **{field: value})


@each_variant
def test_config_through_json_builds_the_same_network(config: Config) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    with torch.device("meta"):
        net = create_model("inception_v4", **plain)
    assert net.config == config
    assert isinstance(net.config.order, Order)


# --- weights -------------------------------------------------------------------------------------


def test_imagenet_is_for_the_authors_code() -> None:
    with torch.device("meta"), pytest.raises(BadInput, match="no published") as caught:
        load(InceptionV4(PAPER), "imagenet")
    assert "tf_slim" in caught.value.hint
    assert V4.sha256 in V4.url


@pytest.mark.parametrize(
    ("rows", "classes", "first"),
    [(1001, 1000, 1.0), (1000, 1000, 0.0), (1002, 1000, 0.0), (6, 5, 0.0)],
)
def test_background_is_dropped_where_it_can_only_be_that(
    rows: int, classes: int, first: float
) -> None:
    numbered = torch.arange(float(rows))
    tensors = {"last_linear.weight": numbered[:, None], "classif.bias": numbered, "conv": numbered}
    got = without_background(Weights(tensors=tensors, source="a file"), classes=classes).tensors
    for key in ("last_linear.weight", "classif.bias"):
        assert got[key].flatten()[0] == first
        assert len(got[key]) == rows - first
    assert torch.equal(got["conv"], numbered)


def test_file_with_background_fills_a_network(tmp_path: Path) -> None:
    from deepcanon.classify.weights.inception_v4 import v4_keys

    blocks = (1, 1, 1)
    torch.manual_seed(0)
    net = InceptionV4(dataclasses.replace(TF_SLIM, blocks=blocks))
    theirs = {key: net.state_dict()[str(to)].clone() for key, to in v4_keys(blocks).items()}
    for part in ("weight", "bias"):
        rows = theirs[f"last_linear.{part}"]
        theirs[f"last_linear.{part}"] = torch.cat([torch.full_like(rows[:1], 9.0), rows])
    torch.save(theirs, tmp_path / "timm.pth")
    wanted = {key: value.clone() for key, value in net.state_dict().items()}
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    load(net, tmp_path / "timm.pth")
    assert all(torch.equal(value, wanted[key]) for key, value in net.state_dict().items())


def test_file_of_another_network_changes_nothing(tmp_path: Path) -> None:
    net = small(TF_SLIM)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(BadInput, match="has no place for bias, weight"):
        load(net, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.preprocessing is None
