"""AlexNet's parts: the forward pass step by step, starting weights, sizes, settings, weights."""

import dataclasses
import hashlib
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify import alexnet
from deepcanon.classify.alexnet import CAFFE, PAPER, SINGLE, TORCHVISION, AlexNet, Config, load
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn import preprocessing

pytestmark = pytest.mark.row("C7")

VARIANTS = {"paper": PAPER, "single": SINGLE, "caffe": CAFFE, "torchvision": TORCHVISION}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def narrow(config: Config, **changes: object) -> Config:
    """The same geometry, eight times thinner."""
    convolutions = tuple(each._replace(channels=each.channels // 8) for each in config.convolutions)
    small = dataclasses.replace(config, convolutions=convolutions, hidden=12, num_classes=5)
    return dataclasses.replace(small, **changes)


def lively(config: Config) -> AlexNet:
    """The network with weights that keep a signal's size."""
    torch.manual_seed(0)
    net = AlexNet(config)
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


# --- the forward pass ----------------------------------------------------------------------------


def two_gpus(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Each half of the filters reads its own half of the maps."""
    maps, weights, biases = x.chunk(2, dim=1), layer.weight.chunk(2), layer.bias.chunk(2)
    halves = [
        functional.conv2d(*each, padding=layer.padding)
        for each in zip(maps, weights, biases, strict=True)
    ]
    return torch.cat(halves, dim=1)


def test_paper_step_by_step() -> None:
    net = lively(narrow(PAPER))
    part = dict(net.features.named_children()) | dict(net.classifier.named_children())
    x = pictures = torch.rand(2, 3, 224, 224) * 4

    def weights(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return part[name].weight, part[name].bias

    def norm(x: torch.Tensor) -> torch.Tensor:
        squares = functional.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(dim=-1)
        return x / (2 + 1e-4 * squares) ** 0.75

    x = functional.conv2d(functional.pad(x, [2] * 4), *weights("conv1"), stride=4)
    x = functional.max_pool2d(norm(x.relu()), 3, 2)
    x = functional.max_pool2d(norm(two_gpus(x, part["conv2"]).relu()), 3, 2)
    x = functional.conv2d(x, *weights("conv3"), padding=1).relu()
    x = two_gpus(x, part["conv4"]).relu()
    x = functional.max_pool2d(two_gpus(x, part["conv5"]).relu(), 3, 2)
    assert x.shape[2:] == (6, 6)
    for name in ("fc6", "fc7"):
        x = functional.linear(x.flatten(1), *weights(name)).relu()
    expected = functional.linear(x, *weights("fc8"))
    assert expected.std() > 0.01
    assert_close(net(pictures), expected, rtol=1e-4, atol=1e-5)


def test_caffes_norm_divides_alpha_by_the_window() -> None:
    norm = AlexNet(narrow(CAFFE)).features.norm1
    x = torch.rand(1, 12, 2, 2) * 100
    assert_close(norm(x), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)(x))


def test_caffes_pools_keep_a_row_that_is_left_over() -> None:
    x = torch.rand(1, 3, 80, 80)
    assert AlexNet(narrow(CAFFE)).features(x).shape[2] == 2  # 18, 9, 4, 2
    assert AlexNet(narrow(PAPER)).features(x).shape[2] == 1  # 19, 9, 4, 1
    for config in (PAPER, CAFFE):
        net = AlexNet(narrow(config, image_side=80))
        assert net.config.map_side == net.features(x).shape[2]


def test_dropout_acts_on_the_outputs_of_fc6_and_fc7() -> None:
    net = lively(narrow(PAPER, hidden=200, image_side=64)).train()
    seen = {}
    for name in ("drop6", "drop7"):
        net.classifier.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
    net(torch.rand(4, 3, 64, 64))
    for before, after in seen.values():
        dropped = (after == 0) & (before > 0)
        assert 0.3 < dropped.sum() / (before > 0).sum() < 0.7
    assert len(seen) == 2


# --- starting weights ----------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "raised", "fc"), [("paper", 1.0, 0.01), ("caffe", 0.1, 0.005)])
def test_normal_weights_and_raised_biases(variant: str, raised: float, fc: float) -> None:
    torch.manual_seed(0)
    net = AlexNet(dataclasses.replace(VARIANTS[variant], hidden=64, num_classes=100))
    layers = dict(net.features.named_children()) | dict(net.classifier.named_children())
    stds = dict.fromkeys(("conv1", "conv2", "conv3", "conv4", "conv5", "fc8"), 0.01)
    for name, std in (stds | {"fc6": fc, "fc7": fc}).items():
        weight, bias = layers[name].weight, layers[name].bias
        count = weight.numel()
        assert weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * count))
        assert abs(weight.mean().item()) < 5 * std / math.sqrt(count)
        first = raised if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0.0
        assert (bias == first).all()
    assert layers["conv3"].weight.abs().max().item() > 0.03  # a uniform would stop at 0.0173


def test_torchvision_variant_starts_as_torch_does() -> None:
    torch.manual_seed(0)
    net = AlexNet(dataclasses.replace(TORCHVISION, hidden=64, num_classes=100))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())  # uniform between -bound and bound
            assert 0.99 * bound < layer.weight.abs().max().item() <= bound * (1 + 1e-6)
            assert 0 < layer.bias.abs().max().item() <= bound * (1 + 1e-6)


def test_seed_decides_the_weights_and_the_meta_device_is_respected() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return AlexNet(narrow(PAPER)).features.conv1.weight

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    with torch.device("meta"):
        net = AlexNet(PAPER)
    assert {each.device.type for each in net.parameters()} == {"meta"}


# --- sizes ---------------------------------------------------------------------------------------


@each_variant
@pytest.mark.parametrize("size", [(67, 67), (67, 130), (230, 100)])
def test_any_size_is_averaged_to_the_map_of_fc6(variant: str, size: tuple[int, int]) -> None:
    net, x = lively(narrow(VARIANTS[variant])), torch.rand(2, 3, *size)
    scores = net(x)
    maps = functional.adaptive_avg_pool2d(net.features(x), (6, 6))
    assert_close(scores, net.classifier(maps.flatten(1)))
    assert scores.shape == (2, 5) and scores.std() > 1e-3


@each_variant
def test_too_small_names_the_smallest(variant: str) -> None:
    net = lively(narrow(VARIANTS[variant]))
    side = 39 if variant == "caffe" else 63
    assert torch.isfinite(net(torch.rand(1, 3, side, side))).all()
    for height, width in [(side - 1, 80), (80, side - 1), (1, 1)]:
        with pytest.raises(BadInput, match=f"{width}x{height} pixels") as caught:
            net(torch.rand(1, 3, height, width))
        assert f"{side}x{side}" in caught.value.hint


def test_smaller_training_crops_make_fc6_smaller() -> None:
    assert AlexNet(narrow(PAPER, image_side=64)).classifier.fc6.in_features == 32
    assert AlexNet(narrow(PAPER, image_side=128)).classifier.fc6.in_features == 32 * 3 * 3


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_side": 62}, "image_side is 62"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout_after": (4, 6)}, r"after the layers \(4, 6\)"),
        ({"convolutions": PAPER.convolutions[:4]}, "there are 4 convolutions"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        create_model("alexnet", **changes)


def test_groups_that_do_not_divide_are_refused() -> None:
    first, second, *rest = PAPER.convolutions
    with pytest.raises(BadInput, match="conv2 cannot turn 95 channels into 256 in 2 groups"):
        Config(convolutions=(first._replace(channels=95), second, *rest))
    with pytest.raises(BadInput, match="conv2 cannot turn 96 channels into 255 in 2 groups"):
        Config(convolutions=(first, second._replace(channels=255), *rest))


def test_config_through_json_builds_the_same_network() -> None:
    convolutions = [list(each) for each in CAFFE.convolutions]
    with torch.device("meta"):
        net = create_model(
            "alexnet",
            convolutions=convolutions,
            pool=[3, 2, 0, "up"],
            normalisation="mean",
            initialisation="caffe",
            image_side=227,
            dropout_after=[6, 7],
        )
    assert net.config == CAFFE


# --- weights -------------------------------------------------------------------------------------


def test_file_of_another_variant_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    # What torchvision publishes fits its own widths only.
    published = {theirs: torch.rand(4) for theirs in alexnet.TORCHVISION_KEYS}
    torch.save(published, tmp_path / "a.pth")
    net = AlexNet(narrow(PAPER))
    before = net.features.conv1.weight.detach().clone()
    with pytest.raises(BadInput, match=r"no place for classifier\.1\.bias"):
        load(net, tmp_path / "a.pth")
    other = AlexNet(dataclasses.replace(TORCHVISION, hidden=8, num_classes=5))
    with pytest.raises(BadInput, match=r"features\.conv1\.weight of shape \[4\]"):
        load(other, tmp_path / "a.pth")
    published.pop("features.8.bias")
    torch.save(published, tmp_path / "b.pth")
    with pytest.raises(BadInput, match=r"lacks features\.8\.bias"):
        load(other, tmp_path / "b.pth")
    assert torch.equal(net.features.conv1.weight, before)
    assert net.preprocessing is None and other.preprocessing is None


def test_our_own_keys_fill_the_paper_variant(tmp_path: Path) -> None:
    source, net = lively(narrow(PAPER)), AlexNet(narrow(PAPER))
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(net, tmp_path / "a.pth") is None
    assert_close(net.state_dict(), source.state_dict())


@pytest.mark.parametrize("config", [PAPER, SINGLE, CAFFE])
def test_only_torchvisions_has_published_weights(config: Config) -> None:
    with torch.device("meta"):
        net = AlexNet(config)
    with pytest.raises(BadInput, match="no published ImageNet weights"):
        load(net, "imagenet")


def test_imagenet_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path))
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")
    small = dataclasses.replace(TORCHVISION, hidden=8, num_classes=5)
    source, net = lively(small), AlexNet(small)
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    theirs = {ours: name for name, ours in alexnet.TORCHVISION_KEYS.items()}
    torch.save({theirs[key]: value for key, value in source.state_dict().items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    official = dataclasses.replace(alexnet.IMAGENET, sha256=digest)
    monkeypatch.setattr(alexnet, "IMAGENET", official)
    assert load(net, "imagenet") == preprocessing.TORCHVISION == net.preprocessing
    assert_close(net.state_dict(), source.state_dict())
