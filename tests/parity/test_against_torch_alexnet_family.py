"""AlexNet, ZF-net and the layer-pattern network against the same layers of torch in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from deepcanon.core.catalog import create_model
from tests.likeness import close, close_gradients, randomise

pytestmark = pytest.mark.row("C4", "C7", "C8", "C17")

CLASSES, HIDDEN = 10, 32  # full FC layers take 230 MB
WHITE = 255.0  # as in the papers: response normalisation hardly touches values around 1


def by_sum() -> nn.Module:
    """§3.3 of AlexNet's paper: k = 2, and 1e-4 times the sum. Torch divides alpha by its size."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def by_mean() -> nn.Module:
    """The prototxt of Caffe's release, whose alpha means what torch's does."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def fully_connected(read: int, *, dropout: float) -> list[nn.Module]:
    return [
        nn.Flatten(),
        *(nn.Linear(read, HIDDEN), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(HIDDEN, CLASSES),
    ]


def alexnet(
    *, padding: int = 2, groups: int = 2, norm: Callable[[], nn.Module] = by_sum, up: bool = False
) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, stride=4, padding=padding), nn.ReLU(), norm()),
        nn.MaxPool2d(3, stride=2, ceil_mode=up),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=groups), nn.ReLU(), norm()),
        nn.MaxPool2d(3, stride=2, ceil_mode=up),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=groups), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=groups), nn.ReLU()),
        nn.MaxPool2d(3, stride=2, ceil_mode=up),
        nn.AdaptiveAvgPool2d(6),
        *fully_connected(256 * 6 * 6, dropout=0.5),
    )


def zfnet(third: int = 384, fourth: int = 384, fifth: int = 256) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 7, stride=2, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(3, stride=2, padding=1), by_sum()),
        *(nn.Conv2d(96, 256, 5, stride=2), nn.ReLU()),
        *(nn.MaxPool2d(3, stride=2, padding=1), by_sum()),
        *(nn.Conv2d(256, third, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(third, fourth, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(fourth, fifth, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(3, stride=2),
        nn.AdaptiveAvgPool2d(6),
        *fully_connected(fifth * 6 * 6, dropout=0.5),
    )


def chapters_example() -> nn.Module:
    """N = 3, M = 1, K = 2, on pictures of 32 pixels."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(16),
        *fully_connected(32 * 16 * 16, dropout=0.0),
    )


def lenets_order() -> nn.Module:
    """N = 1, M = 2, K = 2, with windows of 5x5 and pools that average."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(8, 16, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2)),
        nn.AdaptiveAvgPool2d(8),
        *fully_connected(16 * 8 * 8, dropout=0.0),
    )


class Pair(NamedTuple):
    """A network of ours by its settings, torch's layers for it, the side of its pictures."""

    model: str
    variant: str
    reference: Callable[[], nn.Module]
    side: int
    settings: Mapping[str, Any] = {}


LENET = {"convolutions": 1, "blocks": 2, "pool": "average", "kernel": 5, "channels": 8}
PAIRS = {
    "alexnet": Pair("alexnet", "paper", alexnet, 224),
    "alexnet single": Pair("alexnet", "single", lambda: alexnet(groups=1), 224),
    "alexnet caffe": Pair(
        "alexnet", "caffe", lambda: alexnet(padding=0, norm=by_mean, up=True), 227
    ),
    "zfnet": Pair("zfnet", "paper", zfnet, 224),
    "zfnet wide": Pair("zfnet", "wide", lambda: zfnet(512, 1024, 512), 224),
    "convnet": Pair("convnet", "paper", chapters_example, 32),
    "convnet as LeNet": Pair("convnet", "paper", lenets_order, 32, LENET),
}
each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def built(pair: Pair) -> tuple[nn.Module, nn.Module]:
    """Ours with the reference's weights, whose order is the same, and the reference."""
    reference = randomise(pair.reference())
    settings = {"hidden": HIDDEN, "num_classes": CLASSES, **pair.settings}
    net = create_model(pair.model, variant=pair.variant, **settings)
    weights = reference.state_dict().values()
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
    return net, reference


def pictures(batch: int, height: int, width: int) -> Tensor:
    return WHITE * (torch.rand(batch, 3, height, width) - 0.5)


@each_pair
def test_scores(pair: Pair) -> None:
    net, reference = (each.eval() for each in built(pair))
    with torch.no_grad():
        for batch, height, width in ((1, pair.side, pair.side), (3, 79, 96)):
            x = pictures(batch, height, width)
            close(net(x), reference(x))


@each_pair
@pytest.mark.parametrize("batch", [1, 3])
def test_training_with_the_same_dropout(pair: Pair, batch: int) -> None:
    net, reference = (each.train() for each in built(pair))
    x = pictures(batch, 68, 68)
    scores = []
    for each in (net, reference):
        torch.manual_seed(3)
        scores.append(each(x))
        (scores[-1] / WHITE).square().mean().backward()
    close(*scores)
    names = dict(zip(reference.state_dict(), net.state_dict(), strict=True))
    close_gradients(net, reference, names.__getitem__)
