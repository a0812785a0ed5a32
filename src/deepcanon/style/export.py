"""Transform networks as `.onnx` files: bytes in, bytes out, and their weights back out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from deepcanon.core.record import Record
from deepcanon.engine.export import export, weights_of

if TYPE_CHECKING:
    from deepcanon.style.johnson import TransformNet


class ForPictures(nn.Module):
    """The network as it is shipped: bytes in, bytes out, height before width, channels last."""

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, picture: UInt8[Tensor, "b h w 3"], weights: Float[Tensor, "b styles"]
    ) -> UInt8[Tensor, "b h w 3"]:
        """``picture`` and ``weights`` -> ``stylized``."""
        x = picture.permute(0, 3, 1, 2).float() / 255
        y = self.net(x, weights)
        return (y * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def export_transform_net(net: TransformNet, path: str | Path, *, record: Record) -> Path:
    """Write ``net`` as the `.onnx` file that `deepcanon.style.predict` reads.

    Inputs `picture` uint8 [b, h, w, 3] and `weights` float32 [b, styles] (of no effect in networks
    of one style), output `stylized` uint8 [b, h, w, 3]; any batch, any size from 16x16. Raises
    Failed when ONNX Runtime and torch differ, BadInput when the file cannot be written.
    """
    sizes = {0: "batch", 1: "height", 2: "width"}
    return export(
        net,
        path,
        example=_feed(net, 2, 40, 52),
        outputs=["stylized"],
        dynamic={"picture": sizes, "weights": {0: "batch"}, "stylized": sizes},
        record=record,
        check=[_feed(net, 1, 64, 64), _feed(net, 3, 17, 46), _feed(net, 1, 16, 16)],
    )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict of the network in a `.onnx` file that `export_transform_net` wrote.

    Raises BadInput when the file is missing or damaged.
    """
    return weights_of(path)


def _feed(net: TransformNet, batch: int, height: int, width: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    pictures = torch.rand(batch, height, width, 3, generator=generator) * 255
    weights = torch.rand(batch, net.config.styles, generator=generator)
    return {
        "picture": pictures.to(torch.uint8),
        "weights": weights / weights.sum(1, keepdim=True),
    }
