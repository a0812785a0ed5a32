"""Weights that others have published for a network, and how they get into ours.

A dialect is a `KeyMap` from a file's names to ours, in which ``None`` says dropped on purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import nn

from deepcanon.core.assets import fetch
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.weights import KeyMap, Weights, copy_into, read, rename

_SIDE = 224  # pixels, of the pictures that every network with an image_side was trained on


@dataclass(frozen=True, kw_only=True)
class Official:
    """A published file, trained on ImageNet (ILSVRC 2012, 1000 classes)."""

    url: str
    sha256: str  # or the first eight digits of it, where no more is published
    preprocessing: Preprocessing

    def fetch(self) -> Path:
        """The file in the cache, downloaded if need be. Raises Unavailable when it cannot be."""
        return fetch(self.url, sha256=self.sha256, name=self.url.rsplit("/", 1)[1])


def imagenet_classes() -> list[str]:
    """The 1000 classes of ILSVRC 2012 in the order in which published weights answer."""
    from torchvision.models import ResNet18_Weights

    return list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


class Published(NamedTuple):
    """Where a network's weights are from: `Network.published` once `fetch_for` was called."""

    url: str
    sha256: str  # of the whole file


def fetch_for(model: nn.Module, official: Official) -> Path:
    """The file for ``model``, which keeps as ``published`` where it is from.

    Raises BadInput for a network that is built for pictures of another side than the published one,
    Unavailable when the file cannot be fetched.
    """
    side = getattr(getattr(model, "config", None), "image_side", _SIDE)
    if side != _SIDE:
        raise BadInput(
            f"the published weights are for side {_SIDE}, and the network is built for side {side}",
            hint=f"build it with image_side={_SIDE} (deepcanon train: --set side={_SIDE}; or, for "
            f"smaller pictures, --set network.image_side={_SIDE})",
        )
    path = official.fetch()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model.published = Published(official.url, digest)  # type: ignore[assignment]
    return path


def load_weights(
    model: nn.Module,
    source: str | Path,
    *,
    official: Official | None,
    dialect: KeyMap | None = None,
    preprocessing: Preprocessing | None = None,
    adapt: Callable[[Weights], Weights] | None = None,
) -> Preprocessing | None:
    """Fill ``model`` from "imagenet", from a file of ours, or from a foreign ``.pth``.

    ``dialect`` renames the keys of a foreign file; None: they are ours already. ``adapt`` changes
    its tensors before that, under its own names. Returns how pictures must be prepared: for a
    foreign file as ``preprocessing`` says, for ours as its record does, None when nobody says.

    Raises BadInput for a file that does not fit, Unavailable when "imagenet" cannot be fetched.
    """
    if str(source) == "imagenet":
        if official is None:
            raise BadInput(
                "there are no published ImageNet weights for this network",
                hint="give the path of a weights file, or leave weights out and train",
            )
        source, preprocessing = fetch_for(model, official), official.preprocessing
    weights = read(source)
    if weights.record is not None:
        copy_into(model, weights)
        return weights.preprocessing
    if adapt is not None:
        weights = adapt(weights)
    copy_into(model, weights if dialect is None else rename(weights, dialect))
    return preprocessing
