"""VGG's weights dialects, on files as small as the columns of Table 1 allow."""

import dataclasses
import hashlib
from pathlib import Path

import h5py
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deepcanon.classify import vgg
from deepcanon.classify.vgg import A, Config, Conv, D, convolution_stack, load
from deepcanon.classify.weights import vgg as vgg_weights
from deepcanon.core.errors import BadInput, Unavailable
from deepcanon.nn import weights as weights_io
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C10")


def narrow(config: Config) -> Config:
    """The same column, 32 times thinner."""
    stages = tuple(
        tuple(Conv(conv.kernel, conv.channels // 32) for conv in stage) for stage in config.stages
    )
    return dataclasses.replace(config, stages=stages, hidden=6, num_classes=4, image_side=32)


def randomised(net: nn.Module, *, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


# --- PyTorch and ours ----------------------------------------------------------------------------


def test_whole_network_from_a_torchvision_file(tmp_path: Path) -> None:
    source, net = randomised(vgg.VGG(narrow(D)), seed=0), vgg.VGG(narrow(D))
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(net, tmp_path / "a.pth") == TORCHVISION == net.preprocessing
    assert_close(net.state_dict(), source.state_dict())


def test_stack_from_the_file_of_a_whole_network_drops_the_fc_layers(tmp_path: Path) -> None:
    source, stack = randomised(vgg.VGG(narrow(D)), seed=0), convolution_stack(narrow(D))
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load(stack, str(tmp_path / "a.pth")) == TORCHVISION
    assert_close(stack.state_dict(), source.features.state_dict())


def test_our_files_say_themselves_how_pictures_are_prepared(tmp_path: Path) -> None:
    source = randomised(vgg.VGG(narrow(D)), seed=0)
    whole = weights_io.write(source, tmp_path / "a.safetensors", record=CLASSIFIER)
    half = weights_io.write(source.features, tmp_path / "b.safetensors", record=CLASSIFIER)
    net = vgg.VGG(narrow(D))
    assert load(net, whole) == CAFFE == net.preprocessing
    assert_close(net.state_dict(), source.state_dict())
    for path in (whole, half):
        stack = convolution_stack(narrow(D))
        assert load(stack, path) == CAFFE
        assert_close(stack.state_dict(), source.features.state_dict())


def test_file_of_another_column_is_refused(tmp_path: Path) -> None:
    torch.save(vgg.VGG(narrow(A)).state_dict(), tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"no place for features\.11\.bias"):
        load(vgg.VGG(narrow(D)), tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"no place for features\.11\.bias"):
        load(convolution_stack(narrow(D)), tmp_path / "a.pth")


def test_file_with_other_classes_is_refused_with_both_shapes(tmp_path: Path) -> None:
    torch.save(vgg.VGG(narrow(A)).state_dict(), tmp_path / "a.pth")
    net = vgg.VGG(dataclasses.replace(narrow(A), num_classes=9))
    with pytest.raises(BadInput, match=r"classifier\.6\.weight of shape \[4, 6\].* is \[9, 6\]"):
        load(net, tmp_path / "a.pth")
    assert net.preprocessing is None


# --- Keras ---------------------------------------------------------------------------------------


def convolutions(stack: nn.Sequential) -> list[tuple[str, nn.Conv2d]]:
    pairs = zip(vgg.tap_names(stack), stack, strict=True)
    return [(name, layer) for name, layer in pairs if isinstance(layer, nn.Conv2d)]


def put(file: h5py.File, weight: str, bias: str, layer: nn.Conv2d) -> None:
    file[weight] = layer.weight.detach().permute(2, 3, 1, 0).numpy()  # [h, w, in, out]
    file[bias] = layer.bias.detach().numpy()


def keras_name(name: str) -> str:
    """conv3_1 -> block3_conv1."""
    stage, number = name.removeprefix("conv").split("_")
    return f"block{stage}_conv{number}"


def test_stack_from_keras_applications(tmp_path: Path) -> None:
    source = randomised(convolution_stack(narrow(D)), seed=0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [keras_name(name) for name, _ in convolutions(source)] + ["fc1"]
        for name, layer in convolutions(source):
            stem = f"{keras_name(name)}/{keras_name(name)}"
            put(file, f"{stem}_W_1:0", f"{stem}_b_1:0", layer)
        file["fc1/fc1_W_1:0"] = torch.rand(6, 7).numpy()
    stack = convolution_stack(narrow(D))
    assert load(stack, tmp_path / "a.h5") == CAFFE
    assert_close(stack.state_dict(), source.state_dict())


def test_stack_from_a_keras_3_file_of_an_edge_detector(tmp_path: Path) -> None:
    source = randomised(convolution_stack(narrow(D)), seed=0)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for name, layer in convolutions(source):
            stage, number = (int(n) for n in name.removeprefix("conv").split("_"))
            path = f"block{stage}/layers/conv2d" + (f"_{number - 1}" if number > 1 else "")
            put(file, f"{path}/vars/0", f"{path}/vars/1", layer)
            file[f"{path}/vars"].attrs["name"] = keras_name(name)
        for n, side in enumerate(["dsn1", "dsn2", "dsn3", "dsn4", "dsn5", "fuse"]):
            put(file, f"{side}/vars/0", f"{side}/vars/1", nn.Conv2d(2, 1, 1))
            file[f"{side}/vars"].attrs["name"] = f"conv2d_{n}" if n else "conv2d"
    stack = convolution_stack(narrow(D))
    assert load(stack, tmp_path / "a.weights.h5") == CAFFE
    assert_close(stack.state_dict(), source.state_dict())


def test_stack_from_numbered_layers_is_found_by_shapes(tmp_path: Path) -> None:
    source = randomised(convolution_stack(narrow(D)), seed=0)
    layers = [layer for _, layer in convolutions(source)]
    layers.insert(4, nn.Conv2d(4, 1, 1))  # a side output between the stages
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for n, layer in enumerate(layers):
            path = "layers/conv2d" + (f"_{n}" if n else "")
            put(file, f"{path}/vars/0", f"{path}/vars/1", layer)
    stack = convolution_stack(narrow(D))
    assert load(stack, tmp_path / "a.weights.h5") == CAFFE
    assert_close(stack.state_dict(), source.state_dict())
    with pytest.raises(BadInput, match="no convolution of shape"):
        load(convolution_stack(narrow(vgg.E)), tmp_path / "a.weights.h5")


def test_keras_files_account_for_every_layer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, layer in convolutions(convolution_stack(narrow(D))):
            put(file, f"{keras_name(name)}/kernel:0", f"{keras_name(name)}/bias:0", layer)
    with pytest.raises(BadInput, match=r"lacks block3_conv4\.bias"):
        load(convolution_stack(narrow(vgg.E)), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        put(file, "extra/kernel:0", "extra/bias:0", nn.Conv2d(2, 1, 1))
    with pytest.raises(BadInput, match=r"no place for extra\.bias, extra\.weight"):
        load(convolution_stack(narrow(D)), tmp_path / "a.h5")


def test_keras_file_does_not_fill_half_of_a_whole_network(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, layer in convolutions(convolution_stack(narrow(D))):
            put(file, f"{keras_name(name)}/kernel:0", f"{keras_name(name)}/bias:0", layer)
    net = vgg.VGG(narrow(D))
    with pytest.raises(BadInput, match="convolutions only") as caught:
        load(net, tmp_path / "a.h5")
    assert ".features" in caught.value.hint
    assert load(net.features, tmp_path / "a.h5") == CAFFE


# --- torchvision's ImageNet weights --------------------------------------------------------------


def test_urls_carry_the_first_digits_of_their_hash() -> None:
    for name, official in vgg_weights.IMAGENET.items():
        start, digits = official.url.removesuffix(".pth").rsplit("/", 1)[1].split("-")
        assert (start, digits) == (name, official.sha256[:8])


@pytest.mark.parametrize(
    ("config", "name"), [(A, "vgg11"), (vgg.B, "vgg13"), (D, "vgg16"), (vgg.E, "vgg19")]
)
def test_imagenet_without_a_network_says_which_file_goes_where(
    config: Config, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")
    with pytest.raises(Unavailable) as caught:
        load(convolution_stack(narrow(config)), "imagenet")
    file = vgg_weights.IMAGENET[name].url.rsplit("/", 1)[1]
    assert file in caught.value.message
    assert str(tmp_path / "cache" / file) in caught.value.hint


def test_imagenet_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path))
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")
    config = dataclasses.replace(narrow(A), image_side=224)  # of no other side are any published
    source, path = randomised(vgg.VGG(config), seed=0), tmp_path / "vgg11-8a719046.pth"
    torch.save(source.state_dict(), path)
    official = dataclasses.replace(
        vgg_weights.IMAGENET["vgg11"], sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    monkeypatch.setitem(vgg_weights.IMAGENET, "vgg11", official)
    net = vgg.VGG(config)
    assert load(net, "imagenet") == TORCHVISION
    assert_close(net.state_dict(), source.state_dict())


@pytest.mark.parametrize("config", [vgg.C, vgg.A_LRN])
def test_columns_without_imagenet_weights_say_so(config: Config) -> None:
    with pytest.raises(BadInput, match="no ImageNet weights") as caught:
        load(convolution_stack(narrow(config)), "imagenet")
    assert "vgg11, vgg13, vgg16, vgg19" in caught.value.hint
