"""Adaptive average pooling that can be exported while the picture's size is still free.

ONNX has no such operation, and torch can only export its own for sizes that are known. Written as
two products with small matrices it is exact and works for any size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def adaptive_average(
    x: Float[Tensor, "b c h w"], *, rows: int, columns: int
) -> Float[Tensor, "b c rows columns"]:
    """What `torch.nn.functional.adaptive_avg_pool2d` computes for (rows, columns).

    Where the result is larger than the input, values are repeated.
    """
    down = _averages(x, size=x.shape[-2], cells=rows)
    across = _averages(x, size=x.shape[-1], cells=columns)
    return down @ x @ across.t()


def _averages(like: Tensor, *, size: int, cells: int) -> Float[Tensor, "cells size"]:
    """Row i averages the values from floor(i size / cells) up to ceil((i + 1) size / cells)."""
    cell = torch.arange(cells, device=like.device)[:, None]
    place = torch.arange(size, device=like.device)[None, :]
    inside = (place >= cell * size // cells) & (place < ((cell + 1) * size + cells - 1) // cells)
    inside = inside.to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)
