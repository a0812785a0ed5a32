"""Recipes of the style domain: what `deepcanon train NAME` does when nothing else is said.

A recipe states what it costs and what it gave. ``deepcanon recipes show NAME`` prints one as YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


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
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpoint_every: int = 500


RECIPES = {"slim-vgg": SlimRecipe()}
