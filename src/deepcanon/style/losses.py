"""What the style papers measure with: Gram matrices, feature distances, total variation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def gram(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c c"]:
    """``G_ij = sum_k F_ik F_jk`` over all places k, not normalised (Gatys et al. 2016, eq. 3).

    Always summed in float32, also under autocast: bfloat16 keeps eight bits of such sums.
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = features.flatten(2)
        if flat.dtype in (torch.bfloat16, torch.float16):
            flat = flat.float()
        return flat @ flat.transpose(1, 2)


def mean_gram(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c c"]:
    """`gram` divided by ``C H W`` (Johnson et al. 2016, eq. 3): free of the picture's size."""
    return gram(features) / features[0].numel()


def total_variation(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Sum of squared differences of neighbours, down and across (Johnson et al. 2016, §3.2)."""
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).square().flatten(1).sum(1)
    across = (pictures[..., :, 1:] - pictures[..., :, :-1]).square().flatten(1).sum(1)
    return down + across
