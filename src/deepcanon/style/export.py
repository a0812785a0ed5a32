"""Transform networks as `.onnx` files: bytes in, bytes out, and their weights back out again."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from deepcanon.core.record import Record
from deepcanon.engine.export import Interface, export
from deepcanon.style.forms import SHIPPED, Forms, cut, instance_norm
from deepcanon.style.johnson import ConvNorm, Output, Padding, Residual, TransformNet, Upsampling
from deepcanon.style.norms import ConditionalInstanceNorm


class ForPictures(nn.Module):
    """The network as it is shipped: bytes in, bytes out, height before width, channels last.

    Networks that enlarge by nearest neighbours and reflect at each convolution are computed in
    ``forms``, others as in training.
    """

    def __init__(self, net: TransformNet, *, forms: Forms = SHIPPED) -> None:
        super().__init__()
        self.net = net
        self.forms = forms

    def forward(
        self, picture: UInt8[Tensor, "b h w 3"], weights: Float[Tensor, "b styles"]
    ) -> UInt8[Tensor, "b h w 3"]:
        """``picture`` and ``weights`` -> ``stylized``."""
        config = self.net.config
        x = picture.permute(0, 3, 1, 2).float()  # 0..255
        if config.padding is Padding.REFLECT_EACH and config.upsampling is Upsampling.NEAREST:
            y = self._paint(x, weights)
        else:
            y = self.net(x / 255, weights)
        return (y * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    def interface(self) -> Interface:
        """Any batch, any size from 16x16."""
        sizes = {0: "batch", 1: "height", 2: "width"}
        styles = self.net.config.styles
        return Interface(
            example=_feed(self.net, 2, 40, 52),
            check=[_feed(self.net, *size) for size in ((1, 64, 64), (3, 17, 46), (1, 16, 16))],
            outputs=["stylized"],
            dynamic={"picture": sizes, "weights": {0: "batch"}, "stylized": sizes},
            labels=[f"style-{number}" for number in range(1, styles + 1)],
        )

    def _paint(
        self, x: Float[Tensor, "b 3 h w"], weights: Float[Tensor, "b styles"]
    ) -> Float[Tensor, "b 3 h w"]:
        net, forms = self.net, self.forms
        up1, up2 = net.up1.conv, net.up2.conv
        assert isinstance(up1, nn.Conv2d) and isinstance(up2, nn.Conv2d)
        height, width = x.shape[-2:]
        vectors = _vectors(net, weights)

        def norm(layer: nn.Module, y: Tensor) -> Tensor:
            if isinstance(layer, ConditionalInstanceNorm):
                return instance_norm(y, *vectors[layer])
            return layer(y, None)  # type: ignore[no-any-return]

        def conv_norm(layer: ConvNorm, y: Tensor) -> Tensor:
            return norm(layer.norm, layer.conv(y))

        x = functional.relu(norm(net.enter.norm, _enter(net.enter.conv, x)))
        x = functional.relu(conv_norm(net.down1, x))
        x = functional.relu(conv_norm(net.down2, x))
        for block in net.blocks:
            assert isinstance(block, Residual)
            x = x + conv_norm(block.second, functional.relu(conv_norm(block.first, x)))
        x = functional.relu(norm(net.up1.norm, forms.enlarge(x, up1)))
        x = functional.relu(norm(net.up2.norm, forms.enlarge(x, up2)))
        x = cut(x, height=height, width=width)
        x = forms.leave(x, net.leave)
        if net.leave_norm is not None:
            x = norm(net.leave_norm, x)
        return torch.sigmoid(x) if net.config.output is Output.SIGMOID else (torch.tanh(x) + 1) / 2


def _enter(conv: nn.Conv2d, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
    """The first convolution of bytes: the weights bring them to -2..2, instead of two passes."""
    assert conv.bias is not None
    x = functional.pad(x, (4, 4, 4, 4), mode="reflect")
    bias = conv.bias - 2 * conv.weight.sum(dim=(1, 2, 3))
    return functional.conv2d(x, conv.weight * (4 / 255), bias)


def _vectors(
    net: TransformNet, weights: Float[Tensor, "b styles"]
) -> dict[nn.Module, tuple[Float[Tensor, "b c 1 1"], Float[Tensor, "b c 1 1"]]]:
    """The blended scale and shift of each conditional norm, each from a 1x1 convolution.

    As rows of a matrix product, OpenVINO would bring every map into their layout and back.
    """
    rows = weights[:, :, None, None]

    def blend(table: Float[Tensor, "styles c"]) -> Float[Tensor, "b c 1 1"]:
        return functional.conv2d(rows, table.T[:, :, None, None])

    return {
        norm: (blend(norm.scales), blend(norm.shifts))
        for norm in net.modules()
        if isinstance(norm, ConditionalInstanceNorm)
    }


def export_transform_net(net: TransformNet, path: str | Path, *, record: Record) -> Path:
    """Write ``net`` as the `.onnx` file that `deepcanon.style.predict` reads.

    Inputs `picture` uint8 [b, h, w, 3] and `weights` float32 [b, styles] (of no effect in networks
    of one style), output `stylized` uint8 [b, h, w, 3]; any batch, any size from 16x16. Raises
    Failed when ONNX Runtime and torch differ, BadInput when the file cannot be written.
    """
    own = ForPictures(net).interface()
    return export(
        net,
        path,
        example=own.example,
        outputs=own.outputs,
        dynamic=own.dynamic,
        record=record,
        check=own.check,
    )


def _feed(net: TransformNet, batch: int, height: int, width: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    pictures = torch.rand(batch, height, width, 3, generator=generator) * 255
    weights = torch.rand(batch, net.config.styles, generator=generator)
    return {
        "picture": pictures.to(torch.uint8),
        "weights": weights / weights.sum(1, keepdim=True),
    }
