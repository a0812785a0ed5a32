"""Inception-v3's parts: borders, the auxiliary classifier, starting weights, sizes, files."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.inception_v3 import (
    PAPER,
    TORCHVISION,
    Auxiliary,
    Border,
    Config,
    InceptionV3,
    Initialisation,
    Stem,
    load,
)
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C13")

VARIANTS = {"paper": PAPER, "torchvision": TORCHVISION}
each_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def small(config: Config, *, classes: int = 5) -> InceptionV3:
    """One module of each kind, with few channels where the config has a say."""
    torch.manual_seed(0)
    return InceptionV3(shrunk(config, classes=classes)).eval()


def shrunk(config: Config, *, classes: int = 5) -> Config:
    return dataclasses.replace(
        config, num_classes=classes, pool_widths=(8,), seven_widths=(8,), coarse_modules=1
    )


def lively(net: InceptionV3) -> InceptionV3:
    """Weights that keep a signal's size, so that scores differ by what is seen."""
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    return net


# --- modules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("border", "corner"), [(Border.LEFT_OUT, 1.0), (Border.COUNTED, 4 / 9)])
def test_borders_of_average_pools(border: Border, corner: float) -> None:
    net = small(dataclasses.replace(PAPER, border=border))
    pools = [each for each in net.modules() if isinstance(each, nn.AvgPool2d)]
    assert len(pools) == 1 + 3  # the auxiliary classifier's has no border
    ones = torch.ones(1, 1, 4, 4)
    for pool in (pool for pool in pools if pool.stride == 1):
        got = pool(ones)[0, 0]
        assert got[0, 0].item() == pytest.approx(corner) and got[1, 1] == 1


def test_stems() -> None:
    kinds = {
        how: ["pool" if isinstance(each, nn.MaxPool2d) else "conv" for each in small(config).stem]
        for how, config in ((Stem.CONVOLUTIONS, PAPER), (Stem.POOLED, TORCHVISION))
    }
    assert kinds[Stem.CONVOLUTIONS] == ["conv"] * 3 + ["pool"] + ["conv"] * 3  # Table 1
    assert kinds[Stem.POOLED] == ["conv"] * 3 + ["pool"] + ["conv"] * 2 + ["pool"]


# --- the auxiliary classifier --------------------------------------------------------------------


@each_variant
def test_all_logits_are_the_scores_and_the_head_on_the_last_17x17(config: Config) -> None:
    net = lively(small(config))
    x = torch.rand(2, 3, 107, 91)
    seen: list[torch.Tensor] = []
    net.sevens.register_forward_hook(lambda _layer, _input, output: seen.append(output))
    with torch.no_grad():
        scores, auxiliary = net.all_logits(x)
        assert_close(scores, net(x))
        assert_close(auxiliary, net.auxiliary(seen[0]))
    assert scores.shape == auxiliary.shape == (2, 5)
    assert not torch.allclose(scores, auxiliary)


def test_forward_leaves_the_head_alone() -> None:
    net, ran = small(PAPER).train(), []
    net.auxiliary.register_forward_hook(lambda *_: ran.append(1))
    x = torch.rand(2, 3, 75, 75)
    assert net(x).shape == (2, 5) and not ran
    net.all_logits(x)
    assert len(ran) == 1


def test_head_reads_windows_of_5x5_three_apart() -> None:
    torch.manual_seed(0)
    head = Auxiliary(3, 4).eval()
    seen: list[torch.Tensor] = []
    head.reduce.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 3, 17, 17)
    head(x)
    assert seen[0].shape == (1, 3, 5, 5)
    for row in range(5):
        for column in range(5):
            window = x[..., 3 * row : 3 * row + 5, 3 * column : 3 * column + 5]
            assert_close(seen[0][..., row, column], window.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("size", "becomes", "out"),
    [((3, 3), (17, 17), (1, 1)), ((3, 23), (17, 23), (1, 3)), ((23, 20), (23, 20), (3, 2))],
)
def test_head_stretches_small_maps_and_averages_large_ones(
    size: tuple[int, int], becomes: tuple[int, int], out: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    head = Auxiliary(3, 4).eval()
    seen: list[torch.Tensor] = []
    head.pool.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    head.wide.register_forward_hook(lambda _layer, _input, output: seen.append(output))
    x = torch.rand(2, 3, *size)
    scores = head(x)
    assert_close(seen[0], functional.adaptive_avg_pool2d(x, becomes))
    assert seen[1].shape[-2:] == out
    assert_close(scores, head.fc(seen[1].mean(dim=(2, 3))))


def test_dropout_is_the_main_classifiers_alone() -> None:
    for config, rate in ((PAPER, 0.2), (TORCHVISION, 0.5)):
        dropped = [each for each in small(config).modules() if isinstance(each, nn.Dropout)]
        assert [each.p for each in dropped] == [rate]


# --- starting weights ----------------------------------------------------------------------------


@each_variant
def test_starting_weights(config: Config) -> None:
    net = small(config, classes=200)
    cut = config.initialisation is Initialisation.AUTHORS_CODE
    odd = {"auxiliary.wide.conv": 0.01, "auxiliary.fc": 0.001, "top.fc": 0.01 if cut else 0.1}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            std = odd.get(name, 0.1)
            expected, number = std * (0.8796 if cut else 1.0), layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(number))
            if cut:
                assert layer.weight.abs().max().item() <= 2.0001 * std
                assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.eq(1).all() and not layer.bias.any()
            assert not layer.running_mean.any() and layer.running_var.eq(1).all()
    if not cut:
        assert net.coarse[0].branches[0][0].conv.weight.abs().max() > 0.3  # not cut at two
        reach = 1 / math.sqrt(2048)  # torch's own, uniform
        assert 0.9 * reach < net.top.fc.bias.abs().max() <= 1.0001 * reach


# --- sizes ---------------------------------------------------------------------------------------


@each_variant
def test_smallest_picture_is_the_smallest(config: Config) -> None:
    assert config.smallest == 75
    net = lively(small(config))
    with torch.no_grad():
        for size in ((75, 75), (75, 90), (91, 76)):
            for each in net.all_logits(torch.rand(2, 3, *size)):
                assert torch.isfinite(each).all() and not torch.equal(each[0], each[1])
        with pytest.raises(RuntimeError):  # torch's own word: no pixel is left
            net.to_8(net.sevens(net.to_17(net.fine(net.stem(torch.rand(1, 3, 74, 74))))))


@pytest.mark.parametrize("size", [(74, 90), (90, 74), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        net, x = InceptionV3(shrunk(PAPER)), torch.empty(1, 3, *size)
    for run in (net, net.all_logits):
        with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
            run(x)
        assert "75x75" in caught.value.hint


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_classes", 0, "num_classes is 0"),
        ("coarse_modules", 0, "coarse_modules is 0"),
        ("pool_widths", [], r"pool_widths is \[\]"),
        ("seven_widths", [128, 0], r"seven_widths is \[128, 0\]"),
        ("paired_kernel", 4, "paired_kernel is 4"),
        ("dropout", 1.0, r"dropout is 1\.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_model("inception_v3", **{field: value})


@each_variant
def test_config_through_json_builds_the_same_network(config: Config) -> None:
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    with torch.device("meta"):
        net = create_model("inception_v3", **plain)
    assert net.config == config
    assert isinstance(net.config.stem, Stem) and isinstance(net.config.border, Border)


# --- weights -------------------------------------------------------------------------------------


def test_imagenet_is_for_the_torchvision_variant() -> None:
    with torch.device("meta"), pytest.raises(BadInput, match="no published") as caught:
        load(InceptionV3(PAPER), "imagenet")
    assert "torchvision" in caught.value.hint


def test_file_of_another_network_changes_nothing(tmp_path: Path) -> None:
    net = small(TORCHVISION)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(BadInput, match="has no place for bias, weight"):
        load(net, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.preprocessing is None


def test_plain_state_dict_of_the_paper_variant(tmp_path: Path) -> None:
    net, other = small(PAPER), small(PAPER)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    torch.save(net.state_dict(), tmp_path / "ours.pth")
    assert load(other, tmp_path / "ours.pth") is None
    assert all(map(torch.equal, net.parameters(), other.parameters()))
