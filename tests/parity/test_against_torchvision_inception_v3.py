"""torchvision's random weights in our Inception-v3 give torchvision's scores and gradients."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.classify.inception_v3 import PAPER, TORCHVISION, InceptionV3, load
from deepcanon.classify.weights.inception_v3 import torchvision_keys
from deepcanon.core.catalog import create_model
from deepcanon.nn.preprocessing import INCEPTION, preprocess
from deepcanon.nn.weights import Weights, copy_into, rename
from tests.likeness import close, close_gradients, close_statistics, randomise

theirs = pytest.importorskip("torchvision.models.inception")

pytestmark = pytest.mark.row("C13")

CLASSES = 6
SMALL = [(1, (75, 75)), (3, (75, 107)), (2, (109, 91))]
Name = Callable[[str], str]


def reference(*, transform: bool = False, dropout: float = 0.5) -> nn.Module:
    return randomise(
        theirs.Inception3(
            num_classes=CLASSES, transform_input=transform, init_weights=False, dropout=dropout
        )
    )


def stretch_for_the_head(other: nn.Module) -> None:
    """What ours does with maps under 17x17, of which torchvision's head leaves nothing."""
    other.AuxLogits.register_forward_pre_hook(
        lambda _layer, inputs: functional.adaptive_avg_pool2d(inputs[0], 17)
    )


def ours(net: nn.Module, path: Path) -> InceptionV3:
    torch.save(net.state_dict(), path / "theirs.pth")
    made = InceptionV3(replace(TORCHVISION, num_classes=CLASSES))
    assert load(made, path / "theirs.pth") == made.preprocessing == INCEPTION
    return made


def test_scores(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


def test_training_with_its_auxiliary_scores(tmp_path: Path) -> None:
    other = reference().train()
    net = ours(other, tmp_path).train()
    stretch_for_the_head(other)
    x = torch.rand(3, 3, 107, 107)
    torch.manual_seed(3)
    expected = other(x)
    torch.manual_seed(3)
    got = net.all_logits(x)
    assert len(got) == len(expected) == 2
    for each, wanted in zip(got, expected, strict=True):
        close(each, wanted)
    for main, auxiliary in (got, expected):
        (main.square().mean() + net.config.auxiliary_weight * auxiliary.square().mean()).backward()
    keys = torchvision_keys()
    close_gradients(net, other, lambda key: str(keys[key]))
    close_statistics(net, other, lambda key: str(keys[key]))


def test_training_of_one_picture_without_its_head(tmp_path: Path) -> None:
    """Of a small picture the head's last norm would see one value."""
    other = reference().train()
    net = ours(other, tmp_path).train()
    other.aux_logits, other.AuxLogits = False, None
    x = torch.rand(1, 3, 107, 107)
    torch.manual_seed(3)
    expected = other(x)
    torch.manual_seed(3)
    close(net(x), expected)


def test_training_of_one_picture_with_its_head(tmp_path: Path) -> None:
    """From 347 pixels on the head's last norm sees 2x2 values or more."""
    other = reference().train()
    net = ours(other, tmp_path).train()
    x = torch.rand(1, 3, 347, 347)
    torch.manual_seed(3)
    expected = other(x)
    torch.manual_seed(3)
    for each, wanted in zip(net.all_logits(x), expected, strict=True):
        close(each, wanted)
    close_statistics(net, other, lambda key: str(torchvision_keys()[key]))


def test_auxiliary_scores_in_evaluation(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    x = torch.rand(1, 3, 299, 299)
    found: list[Tensor] = []
    other.Mixed_6e.register_forward_hook(
        lambda _layer, _input, output: found.append(other.AuxLogits(output))
    )
    with torch.no_grad():
        scores = other(x)
        main, auxiliary = net.all_logits(x)
    close(main, scores)
    close(auxiliary, found[0])


def test_published_preprocessing_is_the_inside_of_transform_input(tmp_path: Path) -> None:
    other = reference(transform=True).eval()
    net = ours(other, tmp_path).eval()
    pictures = torch.rand(2, 3, 75, 75)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        close(net(preprocess(pictures, how=INCEPTION)), other(normal))


def test_full_network_fits_torchvisions_keys_and_shapes() -> None:
    with torch.device("meta"):
        other = theirs.Inception3(init_weights=False).state_dict()
        net = create_model("inception_v3", variant="torchvision").state_dict()
    keys = torchvision_keys()
    assert {to: other[key].shape for key, to in keys.items()} == {
        key: value.shape for key, value in net.items()
    }
    assert keys.keys() == other.keys()


# --- the paper's network, from torchvision's parts -----------------------------------------------


def papers_reference() -> nn.Module:
    net = theirs.Inception3(num_classes=CLASSES, init_weights=False, dropout=0.2)
    conv = theirs.BasicConv2d
    net.Conv2d_3b_1x1 = conv(64, 80, kernel_size=3)
    net.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3, stride=2)
    net.maxpool2 = conv(192, 288, kernel_size=3, padding=1)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        module = theirs.InceptionA(288, pool_features=64)
        module.branch5x5_2 = conv(48, 64, kernel_size=3, padding=1)
        setattr(net, name, module)
    net.Mixed_6d = nn.Sequential(
        theirs.InceptionC(768, channels_7x7=160), theirs.InceptionC(768, channels_7x7=160)
    )
    return randomise(net)


def papers_name(key: str) -> str:
    """Where one of that network's tensors stands in ours."""
    if key.startswith("maxpool2."):
        return key.replace("maxpool2", "stem.6").replace(".bn.", ".norm.")
    known = torchvision_keys()
    if key.startswith("Mixed_6d."):
        _, number, rest = key.split(".", 2)
        return str(known[f"Mixed_6d.{rest}"]).replace("sevens.2", f"sevens.{2 + int(number)}")
    return str(known[key]).replace("sevens.3", "sevens.4")


def average_without_the_border(
    x: Tensor, kernel_size: int, stride: int, padding: int = 0
) -> Tensor:
    return functional.avg_pool2d(x, kernel_size, stride, padding, count_include_pad=False)


def test_paper_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = vars(functional) | {"avg_pool2d": average_without_the_border}
    monkeypatch.setattr(theirs, "F", SimpleNamespace(**parts))
    other = papers_reference().eval()
    net = InceptionV3(replace(PAPER, num_classes=CLASSES)).eval()
    weights = Weights(tensors=other.state_dict(), source="torchvision")
    copy_into(net, rename(weights, {key: papers_name(key) for key in weights.tensors}))
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))
    stretch_for_the_head(other.train())
    x = torch.rand(3, 3, 107, 107)
    torch.manual_seed(3)
    expected = other(x)
    torch.manual_seed(3)
    got = net.train().all_logits(x)
    for each, wanted in zip(got, expected, strict=True):
        close(each, wanted)
    for main, auxiliary in (got, expected):
        (main.square().mean() + 0.4 * auxiliary.square().mean()).backward()
    close_gradients(net, other, papers_name)
