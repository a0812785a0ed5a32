"""torchvision's random weights in our GoogLeNet give torchvision's scores and gradients."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.classify.googlenet import PAPER, TORCHVISION, Config, GoogLeNet, load
from deepcanon.classify.weights.googlenet import torchvision_keys
from deepcanon.core.catalog import create_model
from deepcanon.nn.preprocessing import INCEPTION, preprocess
from deepcanon.nn.weights import Weights, copy_into, rename
from tests.likeness import close, close_gradients, close_statistics, randomise

theirs = pytest.importorskip("torchvision.models.googlenet")

pytestmark = pytest.mark.row("C11")

CLASSES = 6
SMALL = [(1, (64, 64)), (3, (64, 96)), (2, (47, 33))]


def reference(*, transform: bool = False) -> nn.Module:
    return randomise(
        theirs.GoogLeNet(
            num_classes=CLASSES, aux_logits=True, transform_input=transform, init_weights=False
        )
    )


def ours(net: nn.Module, path: Path, *, heads: tuple[str, ...] = ("4a", "4d")) -> GoogLeNet:
    torch.save(net.state_dict(), path / "theirs.pth")
    made = GoogLeNet(replace(TORCHVISION, num_classes=CLASSES, heads=heads))
    assert load(made, path / "theirs.pth") == made.preprocessing == INCEPTION
    return made


def in_order_of_depth(outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    scores, after_4d, after_4a = outputs
    return scores, after_4a, after_4d


def test_scores(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


@pytest.mark.parametrize("batch", [1, 3])
def test_training_with_its_auxiliary_scores(batch: int, tmp_path: Path) -> None:
    other = reference().train()
    net = ours(other, tmp_path).train()
    x = torch.rand(batch, 3, 64, 64)
    torch.manual_seed(3)  # dropout is drawn in the same order: 4a, 4d, top
    expected = in_order_of_depth(other(x))
    torch.manual_seed(3)
    got = net.all_logits(x)
    assert len(got) == 3
    for each, wanted in zip(got, expected, strict=True):
        close(each, wanted)

    for logits in (got, expected):
        first, *auxiliary = [each.square().mean() for each in logits]
        (first + net.config.auxiliary_weight * sum(auxiliary)).backward()
    gradients = {key: each.grad for key, each in other.named_parameters()}
    keys = {ours: theirs for theirs, ours in torchvision_keys(net.state_dict()).items() if ours}
    for key, parameter in net.named_parameters():
        wanted = gradients[keys[key]]
        # One picture leaves norms of one value at the end, which let no gradient through.
        assert parameter.grad is not None and (batch == 1 or wanted.any())
        assert_close(parameter.grad, wanted, rtol=0, atol=1e-3 * wanted.abs().max().item())
    ours_of = {theirs: ours for ours, theirs in keys.items()}
    close_statistics(net, other, lambda key: ours_of.get(key, key))


def test_auxiliary_scores_in_evaluation(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path).eval()
    x = torch.rand(2, 3, 224, 224)
    found: dict[str, Tensor] = {}
    for name, head in (("inception4a", other.aux1), ("inception4d", other.aux2)):
        other.get_submodule(name).register_forward_hook(
            lambda _layer, _input, output, name=name, head=head: found.update({name: head(output)})
        )
    with torch.no_grad():
        expected = (other(x), found["inception4a"], found["inception4d"])
        for got, wanted in zip(net.all_logits(x), expected, strict=True):
            close(got, wanted)


def test_published_preprocessing_is_the_inside_of_transform_input(tmp_path: Path) -> None:
    other = reference(transform=True).eval()
    net = ours(other, tmp_path).eval()
    pictures = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        close(net(preprocess(pictures, how=INCEPTION)), other(normal))


def test_files_with_and_without_heads(tmp_path: Path) -> None:
    other = reference().eval()
    net = ours(other, tmp_path, heads=()).eval()  # the file has heads, the network none
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        close(net(x), other(x))
    other.aux1 = other.aux2 = None  # as torchvision's builder leaves it
    other.aux_logits = False
    close(ours(other, tmp_path, heads=()).eval()(x), other(x))


def test_full_network_fits_torchvisions_keys_and_shapes() -> None:
    with torch.device("meta"):
        other = theirs.GoogLeNet(init_weights=False).state_dict()
        net = create_model("googlenet", variant="torchvision").state_dict()
    keys = {key: to for key, to in torchvision_keys(net).items() if to}
    assert {to: other[key].shape for key, to in keys.items()} == {
        key: value.shape for key, value in net.items()
    }
    assert keys.keys() == other.keys()


# --- the paper's network, from torchvision's with the paper's parts ------------------------------


class Plain(nn.Module):
    """A convolution as of the paper: a bias, a ReLU."""

    def __init__(self, into: int, out: int, **settings: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, **settings)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x))


class PlainInception(theirs.Inception):
    """With the 5x5 that torchvision has not."""

    def __init__(self, *widths: int) -> None:
        super().__init__(*widths, conv_block=Plain)
        self.branch3[1] = Plain(widths[4], widths[5], kernel_size=5, padding=2)


class PlainHead(theirs.InceptionAux):
    """A head of plain convolutions, and with the paper's pool where it leaves 4x4."""

    def __init__(self, into: int, classes: int, *, dropout: float) -> None:
        super().__init__(into, classes, conv_block=Plain, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.avg_pool2d(x, 5, 3) if x.shape[-1] == 14 else x)


def papers_reference() -> nn.Module:
    net = theirs.GoogLeNet(
        num_classes=CLASSES,
        init_weights=False,
        blocks=[Plain, PlainInception, PlainHead],
        dropout=0.4,
    )
    response = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by 5
    net.maxpool1 = nn.Sequential(net.maxpool1, response)
    net.maxpool2 = nn.Sequential(response, net.maxpool2)
    net.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return randomise(net)


def papers_net(config: Config, other: nn.Module) -> GoogLeNet:
    net = GoogLeNet(replace(config, num_classes=CLASSES))
    weights = Weights(tensors=other.state_dict(), source="torchvision")
    copy_into(net, rename(weights, torchvision_keys(net.state_dict())))
    return net


def test_paper_variant() -> None:
    other = papers_reference().eval()
    net = papers_net(PAPER, other).eval()
    with torch.no_grad():
        for batch, size in SMALL:
            x = torch.rand(batch, 3, *size)
            close(net(x), other(x))


@pytest.mark.parametrize(("batch", "side"), [(1, 224), (3, 64)])
def test_training_the_paper_variant(batch: int, side: int) -> None:
    # In float64: a value that rounding takes across a ReLU's corner changes gradients by 1e-3.
    other = papers_reference().double().train()
    net = papers_net(PAPER, other).double().train()
    x = torch.rand(batch, 3, side, side, dtype=torch.float64)
    torch.manual_seed(3)
    expected = in_order_of_depth(other(x))
    torch.manual_seed(3)
    got = net.all_logits(x)
    for each, wanted in zip(got, expected, strict=True):
        close(each, wanted)
    for logits in (got, expected):
        first, *auxiliary = [each.square().mean() for each in logits]
        (first + net.config.auxiliary_weight * sum(auxiliary)).backward()
    keys = torchvision_keys(net.state_dict())
    close_gradients(net, other, lambda key: str(keys[key]))
