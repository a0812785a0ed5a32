"""ResNet's parts: shortcuts by hand, starting weights, sizes, settings, weights files."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify import resnet, resnet_cifar
from deepcanon.classify.parts.resnet_blocks import (
    Basic,
    Bottleneck,
    Initialisation,
    Padded,
    Shortcut,
    Stride,
    shortcut_layer,
)
from deepcanon.classify.resnet import RESNET18, RESNET34, RESNET50, Config, ResNet, load
from deepcanon.classify.resnet_cifar import CifarResNet
from deepcanon.classify.weights.official import Official
from deepcanon.classify.weights.resnet import IMAGENET
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn import weights as weights_io
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C16")

PLAIN20 = resnet_cifar.Config(depth=20, shortcut=Shortcut.NONE)
RESNET20 = resnet_cifar.Config(depth=20)
NETWORKS = [resnet.PLAIN18, RESNET18, RESNET50, PLAIN20, RESNET20]
each_network = pytest.mark.parametrize(
    "config", NETWORKS, ids=["plain18", "resnet18", "resnet50", "plain20", "resnet20"]
)


def narrow(config: Config | resnet_cifar.Config, **changes: object) -> ResNet | CifarResNet:
    """The same network with few channels and classes."""
    config = dataclasses.replace(config, **({"width": 8, "num_classes": 5} | changes))
    torch.manual_seed(0)
    return ResNet(config) if isinstance(config, Config) else CifarResNet(config)


# --- shortcuts -----------------------------------------------------------------------------------


def test_option_a_by_hand() -> None:
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    got = Padded(stride=2, more=2)(x)
    assert got.tolist() == [[[[1, 3], [7, 9]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]
    wide = Padded(stride=2, more=0)(torch.arange(8.0).view(1, 1, 2, 4))
    assert wide.tolist() == [[[[0, 2]]]]
    assert not list(Padded(stride=2, more=2).parameters())


@pytest.mark.parametrize(
    ("option", "same", "stride", "widens"),
    [
        (Shortcut.NONE, type(None), type(None), type(None)),
        (Shortcut.A, nn.Identity, Padded, Padded),
        (Shortcut.B, nn.Identity, nn.Sequential, nn.Sequential),
        (Shortcut.C, nn.Sequential, nn.Sequential, nn.Sequential),
    ],
)
def test_what_each_option_carries(option: Shortcut, same: type, stride: type, widens: type) -> None:
    assert type(shortcut_layer(option, 4, 4, stride=1)) is same
    assert type(shortcut_layer(option, 4, 8, stride=2)) is stride
    assert type(shortcut_layer(option, 4, 16, stride=1)) is widens


@pytest.mark.parametrize("kind", [Basic, Bottleneck])
@pytest.mark.parametrize("option", Shortcut)
def test_a_block_that_learned_nothing_gives_its_shortcut(kind: type, option: Shortcut) -> None:
    torch.manual_seed(0)
    more = {} if kind is Basic else {"placement": Stride.PAPER}
    block = kind(4, 8, stride=2, shortcut=option, **more).eval()
    last = block.bn2 if kind is Basic else block.bn3
    nn.init.zeros_(last.weight)
    x = torch.randn(2, 4, 5, 6)
    out = 8 if kind is Basic else 32
    with torch.no_grad():
        got = block(x)
        if option is Shortcut.NONE:
            expected = torch.zeros(2, out, 3, 3)
        elif option is Shortcut.A:
            expected = torch.zeros(2, out, 3, 3)
            expected[:, :4] = x[:, :, [0, 2, 4]][..., [0, 2, 4]].clamp(min=0)
        else:
            expected = block.downsample(x).relu()
    assert_close(got, expected)
    assert expected.any() == (option is not Shortcut.NONE)


def test_a_block_adds_before_its_last_relu() -> None:
    block = Basic(1, 1, stride=1, shortcut=Shortcut.A).eval()
    with torch.no_grad():
        for conv, centre in ((block.conv1, 2.0), (block.conv2, -3.0)):
            conv.weight.zero_()
            conv.weight[0, 0, 1, 1] = centre
        x = torch.tensor([[-1.0, 0.5, 4.0]]).view(1, 1, 1, 3)
        got = block(x).flatten()
    # relu(x - 3 relu(2 x)): -1, 0.5 - 3, 4 - 24, all cut to 0; with a smaller weight they are not
    assert got.tolist() == [0, 0, 0]
    with torch.no_grad():
        block.conv2.weight[0, 0, 1, 1] = -0.25
        got = block(x).flatten()
    assert_close(got, torch.tensor([0.0, 0.25, 2.0]), rtol=0, atol=1e-4)  # eps of the norms


# --- starting weights ----------------------------------------------------------------------------


@each_network
def test_starts_as_he_says(config: Config | resnet_cifar.Config) -> None:
    net = narrow(config, width=32, num_classes=200)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            number, inputs = layer.weight.numel(), layer.weight[0].numel()
            std = math.sqrt(2 / inputs)
            assert layer.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * number))
            assert abs(layer.weight.mean().item()) < 5 * std / math.sqrt(number)
            assert layer.bias is None or not layer.bias.any()
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all() and not layer.bias.any()
            assert (layer.running_var == 1).all() and not layer.running_mean.any()
            assert layer.num_batches_tracked == 0
    # a uniform of the same spread stops at 1.73 times it
    assert net.layer3[0].conv2.weight.abs().max() > 3 * net.layer3[0].conv2.weight.std()
    assert all(each.requires_grad for each in net.parameters())


def test_torchvision_variant_starts_by_fan_out_and_torch_for_fc() -> None:
    net = narrow(resnet.torchvision(RESNET50), width=32, num_classes=50)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            outputs = layer.out_channels * layer.kernel_size[0] ** 2
            number = layer.weight.numel()
            expected = pytest.approx(math.sqrt(2 / outputs), rel=5 / math.sqrt(2 * number))
            assert layer.weight.std().item() == expected
    bound = 1 / math.sqrt(net.fc.in_features)
    for values in (net.fc.weight, net.fc.bias):
        assert 0.9 * bound < values.abs().max().item() <= bound


def test_seed_decides_the_weights_and_meta_is_respected() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return CifarResNet(RESNET20).conv1.weight

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    with torch.device("meta"):
        nets = [ResNet(RESNET50), CifarResNet(RESNET20)]
    assert {each.device.type for net in nets for each in net.state_dict().values()} == {"meta"}


# --- sizes ---------------------------------------------------------------------------------------


@each_network
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (28, 28), (33, 47), (64, 32)])
def test_any_size_from_one_pixel_up(
    config: Config | resnet_cifar.Config, size: tuple[int, int]
) -> None:
    net = narrow(config).eval()
    with torch.no_grad():
        scores = net(torch.randn(2, 3, *size))
    assert scores.shape == (2, 5)
    assert torch.isfinite(scores).all()
    # one pixel meets one of nine taps a layer: plain networks are left with little, but not with 0
    assert (scores[0] - scores[1]).abs().max() > 1e-3 * scores.abs().max() > 0


@each_network
def test_no_pixel_names_the_smallest(config: Config | resnet_cifar.Config) -> None:
    net = narrow(config)
    assert net.config.smallest == 1
    with pytest.raises(BadInput, match="4x0 pixels") as caught:
        net(torch.rand(1, 3, 0, 4))
    assert "1x1" in caught.value.hint


@each_network
def test_form_to_export_computes_the_same(config: Config | resnet_cifar.Config) -> None:
    net, x = narrow(config), torch.rand(2, 3, 40, 33)
    assert net.train().exportable().training
    form = net.eval().exportable()
    assert form is not net and not form.training
    with torch.no_grad():
        assert torch.equal(form(x), net(x))


def test_the_last_map_is_averaged_whatever_its_size() -> None:
    net = narrow(RESNET18).eval()
    x = torch.rand(1, 3, 96, 64)
    with torch.no_grad():
        maps = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps = stage(maps)
        assert maps.shape == (1, 64, 3, 2)
        by_hand = sum(net.fc(maps[:, :, i, j]) for i in range(3) for j in range(2)) / 6
        assert_close(net(x), by_hand)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet18", {"blocks": (2, 2, 2)}, r"blocks is \[2, 2, 2\]"),
        ("resnet18", {"blocks": (2, 0, 2, 2)}, r"blocks is \[2, 0, 2, 2\]"),
        ("resnet50", {"num_classes": 0}, "num_classes is 0"),
        ("resnet50", {"width": -1}, "width is -1"),
        ("resnet20", {"num_classes": 0}, "num_classes is 0"),
        ("plain20", {"width": 0}, "width is 0"),
        ("resnet18", {"shortcut": "d"}, "shortcut cannot be 'd'"),
    ],
)
def test_impossible_settings_are_refused_by_name(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        create_model(name, **settings)


@pytest.mark.parametrize(
    ("depth", "nearest"), [(21, "20 and 26"), (18, "14 and 20"), (2, "8 and 14"), (-4, "8 and 14")]
)
def test_depth_other_than_6n_plus_2_names_the_nearest(depth: int, nearest: str) -> None:
    with pytest.raises(BadInput, match=f"depth is {depth}, which is not 6n") as caught:
        create_model("resnet20", depth=depth)
    assert nearest in caught.value.hint


def test_config_through_json_builds_the_same_network() -> None:
    plain = {"block": "bottleneck", "blocks": [1, 2, 1, 1], "shortcut": "c", "stride": "v1_5"}
    with torch.device("meta"):
        net = create_model("resnet50", width=8, initialisation="torchvision", **plain)
    assert net.config == dataclasses.replace(
        RESNET50,
        blocks=(1, 2, 1, 1),
        shortcut=Shortcut.C,
        stride=Stride.V1_5,
        width=8,
        initialisation=Initialisation.TORCHVISION,
    )
    assert len(net.layer2) == 2 and net.layer2[0].conv2.stride == (2, 2)
    with torch.device("meta"):
        net = create_model("plain56", shortcut="b", depth=14)
    assert net.config == resnet_cifar.Config(depth=14, shortcut=Shortcut.B)


# --- weights -------------------------------------------------------------------------------------


@each_network
def test_our_files_say_themselves_how_pictures_are_prepared(
    config: Config | resnet_cifar.Config, tmp_path: Path
) -> None:
    source, net = narrow(config), narrow(config)
    nn.init.normal_(source.fc.bias)
    path = weights_io.write(source, tmp_path / "a.safetensors", record=CLASSIFIER)
    load_it = load if isinstance(net, ResNet) else resnet_cifar.load
    assert load_it(net, path) == CAFFE == net.preprocessing
    assert_close(net.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (resnet.torchvision(RESNET18), TORCHVISION),
        (resnet.torchvision(RESNET50), TORCHVISION),
        (dataclasses.replace(RESNET50, stride=Stride.V1_5), TORCHVISION),
        (RESNET50, None),
        (RESNET18, None),
        (resnet.PLAIN18, None),
    ],
)
def test_foreign_files_are_torchvisions_where_the_network_is(
    config: Config, expected: object, tmp_path: Path
) -> None:
    source, net = narrow(config, blocks=(1, 1, 1, 1)), narrow(config, blocks=(1, 1, 1, 1))
    nn.init.normal_(source.fc.bias)
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(net, tmp_path / "a.pth") == expected == net.preprocessing
    assert_close(net.state_dict(), source.state_dict())


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    deeper = narrow(RESNET34)
    torch.save(deeper.state_dict(), path)
    net = narrow(RESNET18)
    before = net.fc.weight.detach().clone()
    with pytest.raises(BadInput, match=r"has no place for layer1\.2\.bn1\.bias"):
        load(net, path)
    torch.save(narrow(RESNET18, num_classes=7).state_dict(), path)
    with pytest.raises(BadInput, match=r"has fc\.weight of shape \[7, 64\]; this model's is \[5,"):
        load(net, path)
    with pytest.raises(BadInput, match=r"lacks layer2\.0\.downsample\.0\.weight"):
        torch.save(narrow(RESNET18).state_dict(), path)
        load(narrow(RESNET18, shortcut=Shortcut.B), path)
    assert torch.equal(net.fc.weight, before) and net.preprocessing is None


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_takes_the_file_of_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(self: Official) -> Path:
        asked.append(self.url)
        raise BadInput("stop here", hint="the file is not needed")

    monkeypatch.setattr(Official, "fetch", fetch)
    with torch.device("meta"):
        nets = [create_model(name, variant="torchvision")]
        nets.append(create_model(name, variant="torchvision", initialisation="he", num_classes=3))
        if name in ("resnet18", "resnet34"):  # which have no stride to place
            nets.append(create_model(name, variant="shortcut_b"))
        else:
            nets.append(create_model(name, variant="v1_5"))
    for net in nets:
        with pytest.raises(BadInput, match="stop here"):
            load(net, "imagenet")
    assert len(set(asked)) == 1 and f"/{name}-{IMAGENET[name].sha256[:8]}.pth" in asked[0]


@pytest.mark.parametrize(
    ("name", "variant"),
    [("resnet18", "paper"), ("resnet34", "shortcut_c"), ("resnet50", "paper"), ("plain34", None)],
)
def test_imagenet_is_refused_where_nothing_is_published(name: str, variant: str | None) -> None:
    with torch.device("meta"):
        net = create_model(name, variant=variant)
    with pytest.raises(BadInput, match="no published ImageNet weights") as caught:
        load(net, "imagenet")
    assert "variant='torchvision'" in caught.value.hint


def test_no_imagenet_weights_for_cifar_networks() -> None:
    with pytest.raises(BadInput, match="no published imagenet weights for resnet20 paper"):
        create_model("resnet20", weights="imagenet")


def test_an_official_file_without_counts_of_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ResNet(resnet.TORCHVISION["resnet18"])
    nn.init.normal_(source.fc.bias)
    state = source.state_dict()
    old = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    assert len(state) - len(old) == 20
    torch.save(old, tmp_path / "a.pth")
    monkeypatch.setattr(Official, "fetch", lambda self: tmp_path / "a.pth")
    net = create_model("resnet18", variant="torchvision", weights="imagenet")
    assert net.preprocessing == TORCHVISION
    assert_close(net.state_dict(), state)
