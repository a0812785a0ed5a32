"""VGG's parts: starting weights, staged initialisation, sizes, dense evaluation."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify import vgg
from deepcanon.classify.parts.vgg_staged import initialise_from
from deepcanon.classify.vgg import A, B, C, Config, D, E, Initialisation, dense
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.taps import Pooling

pytestmark = pytest.mark.row("C10")


def small(config: Config, *, image_side: int = 64, classes: int = 5) -> vgg.VGG:
    """The column with narrow FC layers, its weights drawn so that signals keep their size."""
    torch.manual_seed(0)
    net = vgg.VGG(
        dataclasses.replace(config, image_side=image_side, hidden=24, num_classes=classes)
    )
    vgg.initialise(net, how=Initialisation.HE)
    for layer in net.classifier:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return net.eval()


def weighted(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [each for each in net.modules() if isinstance(each, nn.Conv2d | nn.Linear)]


# --- starting weights ----------------------------------------------------------------------------


def test_paper_starts_from_normal_with_zero_biases() -> None:
    net = vgg.VGG(dataclasses.replace(D, hidden=128, num_classes=100))
    for layer in weighted(net):
        number = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx(0.01, rel=4 / math.sqrt(2 * number))
        assert abs(layer.weight.mean().item()) < 5 * 0.01 / math.sqrt(number)
        assert not layer.bias.any()
    inner = net.features[2].weight.flatten()  # a uniform of the same spread stops at 0.0173
    assert inner.abs().max().item() > 0.03


def test_torchvision_variant_starts_as_he_for_convolutions() -> None:
    net = vgg.VGG(dataclasses.replace(vgg.torchvision(B), hidden=128))
    for layer in weighted(net.features):
        expected = math.sqrt(2 / (layer.out_channels * 9))
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
        assert not layer.bias.any()
    assert net.classifier[0].weight.std().item() == pytest.approx(0.01, rel=0.01)


def test_seed_decides_the_weights() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return vgg.convolution_stack(A)[0].weight

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_meta_device_is_respected() -> None:
    with torch.device("meta"):
        net = vgg.VGG(A)
    assert {each.device.type for each in net.parameters()} == {"meta"}
    assert next(vgg.convolution_stack(A).parameters()).device.type == "cpu"


# --- staged initialisation -----------------------------------------------------------------------


@pytest.mark.parametrize("config", [B, C, D, E])
def test_staged_initialisation_takes_seven_layers_of_a(config: Config) -> None:
    trained, net = small(A), small(config)
    torch.manual_seed(1)
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    initialise_from(net, trained)

    names = dict(zip(vgg.tap_names(net.features), net.features, strict=True))
    theirs = dict(zip(vgg.tap_names(trained.features), trained.features, strict=True))
    taken = [(names[n], theirs[n]) for n in ("conv1_1", "conv2_1", "conv3_1", "conv3_2")]
    taken += [(net.classifier[n], trained.classifier[n]) for n in (0, 3, 6)]
    for ours, source in taken:
        assert torch.equal(ours.weight, source.weight)
        assert torch.equal(ours.bias, source.bias)
        assert ours.weight is not source.weight
    changed = [
        key for key, value in net.state_dict().items() if not torch.equal(value, before[key])
    ]
    assert len(changed) == 14
    assert all(each.requires_grad for each in net.parameters())


def test_staged_initialisation_refuses_other_widths_and_changes_nothing() -> None:
    net = small(D, classes=4)
    before = net.features[0].weight.detach().clone()
    with pytest.raises(BadInput, match=r"fc8 has the shape \[5, 24\] in A and \[4, 24\]"):
        initialise_from(net, small(A))
    assert torch.equal(net.features[0].weight, before)


# --- sizes and dense evaluation ------------------------------------------------------------------


def test_classifier_slides_over_larger_pictures() -> None:
    net = small(A)
    x = torch.rand(2, 3, 130, 100)
    maps = net.features(x)  # [2, 512, 4, 3]
    scores = torch.stack(
        [
            torch.stack(
                [net.classifier(maps[:, :, i : i + 2, j : j + 2].flatten(1)) for j in range(2)], -1
            )
            for i in range(3)
        ],
        -2,
    )
    wide = dense(net)
    assert_close(wide.score_map(x), scores)
    assert scores.std(dim=(2, 3)).min() > 1e-3  # the windows do differ
    assert_close(wide(x), scores.mean(dim=(2, 3)))
    assert_close(net(x), scores.mean(dim=(2, 3)))


def test_dense_shares_weights_mode_and_keys() -> None:
    net = small(A)
    wide = dense(net)
    assert not wide.training and dense(net.train()).training
    assert wide.state_dict().keys() == net.state_dict().keys()
    assert all(a is b for a, b in zip(net.parameters(), wide.parameters(), strict=True))


@pytest.mark.parametrize("config", [A, vgg.torchvision(A)], ids=["paper", "torchvision"])
@pytest.mark.parametrize("size", [(64, 64), (32, 32), (130, 100), (200, 40)])
def test_form_to_export_computes_the_same(
    config: Config, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x = small(config), torch.rand(2, 3, *size)
    assert net.train().exportable().training
    form = net.eval().exportable()
    assert not form.training
    expected = net(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert_close(form(x), expected)


def test_gradient_reaches_the_fc_layers_of_a_larger_picture() -> None:
    net = small(A)
    net(torch.rand(1, 3, 96, 64)).sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in net.parameters())


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize("size", [(32, 32), (32, 47), (63, 90), (64, 64), (100, 64), (96, 128)])
def test_any_size_from_32_up(variant: str, size: tuple[int, int]) -> None:
    net = small(A if variant == "paper" else vgg.torchvision(A))
    scores = net(torch.rand(2, 3, *size))
    assert scores.shape == (2, 5)
    assert torch.isfinite(scores).all() and scores.std() > 1e-3


@pytest.mark.parametrize("size", [(32, 32), (32, 130), (130, 32)])
def test_small_pictures_are_stretched_along_the_short_side_only(size: tuple[int, int]) -> None:
    net = small(A)
    x = torch.rand(2, 3, *size)
    maps = net.features(x)
    for axis in (2, 3):
        if maps.shape[axis] == 1:
            maps = maps.repeat_interleave(2, dim=axis)
    windows = maps.unfold(2, 2, 1).unfold(3, 2, 1)  # [2, 512, rows, columns, 2, 2]
    windows = windows.permute(2, 3, 0, 1, 4, 5).flatten(0, 1).flatten(2)
    scores = torch.stack([net.classifier(each) for each in windows])
    assert_close(net(x), scores.mean(dim=0))


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_too_small_names_the_smallest(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{size[1]}x{size[0]} pixels") as caught:
        small(A)(torch.rand(1, 3, *size))
    assert "32x32" in caught.value.hint
    with pytest.raises(BadInput) as caught:
        dense(small(A))(torch.rand(1, 3, 63, 64))
    assert "64x64" in caught.value.hint


def test_dropout_stands_behind_the_first_two_fc_layers() -> None:
    layers = list(vgg.VGG(dataclasses.replace(A, hidden=8, dropout=0.25)).classifier)
    kinds = [type(each).__name__ for each in layers]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert layers[2].p == layers[5].p == 0.25


def test_taps_of_a_whole_network() -> None:
    net, x = small(E), torch.rand(1, 3, 64, 64)
    found = net.taps(x, ["relu1_2", "conv5_4", "pool5"])
    assert_close(found["pool5"], net.features(x))
    assert_close(found["relu1_2"], net.features[:4](x))
    assert_close(found["conv5_4"], net.features[:35](x))
    averaged = net.taps(x, ["pool5"], pooling=Pooling.AVERAGE)["pool5"]
    assert averaged.shape == (1, 512, 2, 2) and not torch.allclose(averaged, found["pool5"])


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_side", 33), ("image_side", 0), ("num_classes", 0), ("hidden", -1)],
)
def test_impossible_settings_are_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(BadInput, match=f"{field} is {value}"):
        create_model("vgg11", **{field: value})


def test_config_through_json_builds_the_same_network() -> None:
    stages = [[list(conv) for conv in stage] for stage in C.stages]
    with torch.device("meta"):
        net = create_model("vgg16_c", stages=stages, hidden=8, head="adaptive")
    assert net.config == dataclasses.replace(C, hidden=8, head=vgg.Head.ADAPTIVE)
    kernels = [each.kernel_size for each in net.features if isinstance(each, nn.Conv2d)]
    assert kernels.count((1, 1)) == 3
