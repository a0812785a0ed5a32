"""What makes every recipe quick: stand-in pictures, a tiny judge and teacher, slim classifiers.

Run as a program it is `deepcanon` with those in place: `python -m tests.tiny_recipes train ...`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.images import resize, save
from deepcanon.core.standin import SHAPES, shape
from deepcanon.style import distill, train
from deepcanon.style.slim import TEACHER_CHANNELS
from tests.tiny_features import TinyFeatures

# Settings common to all recipes, and those of a transform network besides.
QUICK = ("batch=1", "precision=float32")
NETWORK = (
    *(
        "side=24",
        "margin=4",
        "painting_side=16",
        "content_tap=relu2_1",
        "style_taps={relu1_1: 0.5, relu3_1: 0.5}",
    ),
    "preview_every=100",
)
PHOTOS = 3
# Of classifiers: as small as the network of each allows.
CLASSIFIER = ("hold_out=3", "measure_every=1", "patience=1", "batch=2")
SLIM = {
    "resnet20-cifar10": ("side=8", "network={width: 2}"),
    "resnet56-cifar10": ("side=8", "network={width: 2}"),
    "plain20-cifar10": ("side=8", "network={width: 2}"),
    "plain56-cifar10": ("side=8", "network={width: 2}"),
    "alexnet-imagenet": ("side=64", "network={hidden: 4}"),
    "zfnet-imagenet": ("side=64", "network={hidden: 4}"),
    "vgg16-imagenet": ("side=32", "network={hidden: 4}"),
    "googlenet-imagenet": ("side=32",),
    "inception_v3-imagenet": ("side=80",),
    "resnet50-imagenet": ("side=32", "network={width: 4}"),
    "classifier": ("side=32", "network={width: 4}"),
}


class TinyTeacher(nn.Module):
    """As many feature maps as VGG16 has at every tap: a fixed mixture of the shrunken picture."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.mixtures = {
            tap: torch.randn(width, 3, 1, 1, generator=generator)
            for tap, width in TEACHER_CHANNELS.items()
        }

    @property
    def channels(self) -> Mapping[str, int]:
        return TEACHER_CHANNELS

    def forward(self, pictures: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        found = {}
        for tap in wanted:
            small = functional.avg_pool2d(pictures, 2 ** (int(tap[4]) - 1))
            found[tap] = functional.relu(functional.conv2d(small, self.mixtures[tap]))
        return found


def pictures(folder: Path) -> Path:
    """Write photographs, the paintings of the multistyle recipe, two classes below ``folder``."""
    files = [f"photos/{place}.png" for place in range(PHOTOS)]
    for seed, file in enumerate([*files, "paintings/one.png", "paintings/two.png"]):
        coarse = np.random.default_rng(seed).integers(30, 226, (4, 5, 3), dtype=np.uint8)
        save(resize(coarse, size=(24, 30)), folder / file)
    for place in range(12):
        kind = place % 2
        save(shape(kind, [7, place], 24), folder / "shapes" / SHAPES[kind] / f"{place}.png")
    return folder


def settings(name: str, folder: Path, *, start: Path | None = None) -> list[str]:
    """What to set so that a recipe takes a moment; ``start`` is the network of new-style."""
    if name in SLIM:
        return [QUICK[-1], f"data={folder / 'shapes'}", *CLASSIFIER, *SLIM[name]]
    found = [*QUICK, f"photos={folder / 'photos'}"]
    if name == "slim-vgg":
        return [*found, "side=16", f"paintings={folder / 'paintings'}"]
    if name == "new-style":
        return [
            *found,
            *NETWORK,
            f"painting={folder / 'paintings' / 'one.png'}",
            f"start={start}",
            "name=three",
        ]
    styles = "{one: one.png, two: two.png}" if name == "multistyle" else "{one: one.png}"
    alike = ["turns={}", "content_weights={}"]
    return [*found, *NETWORK, f"paintings={folder / 'paintings'}", f"styles={styles}", *alike]


def with_tiny_networks() -> None:
    """Let the runners judge and teach with the tiny networks, in this process and for good."""
    distill.load_features = lambda name: TinyTeacher()  # type: ignore[assignment,misc]
    train.load_features = lambda name: TinyFeatures()  # type: ignore[assignment,misc]


if __name__ == "__main__":
    from deepcanon.cli import main

    with_tiny_networks()
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
