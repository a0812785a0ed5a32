"""Recipes of the style domain: what `deepcanon train NAME` does when nothing else is said.

A recipe states what it costs and what it gave. ``deepcanon recipes show NAME`` prints one as YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal

Precision = Literal["auto", "float32", "bfloat16"]

# Name of a shipped style -> the painting's file.
PAINTINGS: Mapping[str, str] = MappingProxyType(
    {
        "starry-night": "starry_night_google.jpg",
        "great-wave": "wave.jpg",
        "the-scream": "the_scream.jpg",
        "composition-vii": "composition_vii.jpg",
        "udnie": "udnie.jpg",
        "woman-with-a-hat": "woman-with-hat-matisse.jpg",
        "shipwreck": "shipwreck.jpg",
    }
)

# Johnson et al. 2016, §3.1: the four taps of the style loss, here with unequal weights: shallow
# ones carry a painting's colours.
STYLE_TAPS: Mapping[str, float] = MappingProxyType(
    {"relu1_2": 0.3, "relu2_2": 0.3, "relu3_3": 0.2, "relu4_3": 0.2}
)


@dataclass(frozen=True, kw_only=True)
class SlimRecipe:
    """Distil a slim VGG from a VGG16."""

    runner: ClassVar[str] = "deepcanon.style.distill:train"

    photos: str = ""  # a folder
    paintings: str = ""  # a folder
    teacher: str = "vgg16"  # as for load_features
    side: int = 128  # of the crops, pixels
    batch: int = 6
    steps: int = 2500
    learning_rate: float = 3e-3
    gram_weight: float = 0.5
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every: int = 500


@dataclass(frozen=True, kw_only=True)
class JohnsonRecipe:
    """Train a transform network on a folder of photographs, for one painting or for many."""

    runner: ClassVar[str] = "deepcanon.style.train:train"

    variant: str = "modern"  # of `johnson`: paper, instance_norm, modern, multistyle
    photos: str = ""  # a folder
    paintings: str = ""  # the folder in which the styles' files are
    styles: dict[str, str] = field(default_factory=dict)  # style name -> file in it
    features: str = "slim"  # the judge, as for load_features
    start: str = ""  # weights to start from: a .onnx or .safetensors of ours
    side: int = 192  # of the photographs' crops, pixels
    painting_side: int = 320  # shorter side of a painting: its strokes grow with it
    batch: int = 4
    steps: int = 4000
    learning_rate: float = 2e-3
    content_tap: str = "relu2_2"  # Johnson et al. 2016, §3.1
    style_taps: dict[str, float] = field(default_factory=lambda: dict(STYLE_TAPS))
    content_weight: float = 1.0
    style_weight: float = 12.0
    tv_weight: float = 8.0
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every: int = 500
    preview_every: int = 500


@dataclass(frozen=True, kw_only=True)
class NewStyleRecipe:
    """Add one painting to a trained multistyle network: only its scale and shift vectors learn."""

    runner: ClassVar[str] = "deepcanon.style.train:train_new_style"

    painting: str = ""  # a picture
    photos: str = ""  # a folder
    name: str = ""  # of the new style; the painting's file name if empty
    start: str = "multistyle"  # the shipped network, or a .onnx of ours
    features: str = "slim"
    side: int = 192
    painting_side: int = 320
    batch: int = 4
    steps: int = 800
    learning_rate: float = 2e-2
    content_tap: str = "relu3_3"
    style_taps: dict[str, float] = field(default_factory=lambda: dict(STYLE_TAPS))
    content_weight: float = 1.0
    style_weight: float = 12.0
    tv_weight: float = 8.0
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every: int = 200
    preview_every: int = 200


Recipe = SlimRecipe | JohnsonRecipe | NewStyleRecipe

RECIPES: dict[str, Recipe] = {
    "slim-vgg": SlimRecipe(),
    "johnson-paper": JohnsonRecipe(variant="paper", features="vgg16", side=256, steps=40_000),
    "johnson": JohnsonRecipe(),
    "multistyle": JohnsonRecipe(
        variant="multistyle", styles=dict(PAINTINGS), content_tap="relu3_3"
    ),
    "new-style": NewStyleRecipe(),
}
