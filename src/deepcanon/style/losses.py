"""What the style papers measure with: Gram matrices, feature distances, total variation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepcanon.style.color import LUMA

CELL = 8  # pixels whose mean is one tone
PERIOD = 4  # pixels after which a pattern of two doublings of the size repeats


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


def tone_distance(
    painted: Float[Tensor, "b 3 h w"], photos: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """1 - the correlation of two pictures' tones, the means of their luma over 8 x 8 pixels.

    0 where light is light and dark is dark, 2 for a negative. A palette, its contrast and its mean
    cost nothing; where a picture has one tone only, the distance is 1. Ours: deep activations say
    little about light and dark, and a network judged by them alone lets them change places.
    """
    ours, theirs = (_tones(pictures) for pictures in (painted, photos))
    sizes = (ours.square().sum(1) * theirs.square().sum(1) + 1e-8).sqrt()
    return 1 - (ours * theirs).sum(1) / sizes


def lattice(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """The variance of the means of each place in a raster of 4 x 4 pixels, a mean over channels.

    0 for a picture that favours no row or column; by Parseval the sum of squared amplitudes of its
    waves of periods 2 and 4. Sides below 4 have no raster: ValueError. Ours: a network that doubles
    the size twice can print such a pattern, which no Gram matrix forbids.
    """
    height, width = (side // PERIOD for side in pictures.shape[-2:])
    if not height or not width:
        raise ValueError(f"a raster of {PERIOD} pixels in {tuple(pictures.shape[-2:])}")
    whole = pictures[..., : height * PERIOD, : width * PERIOD]
    cells = whole.reshape(*whole.shape[:2], height, PERIOD, width, PERIOD)
    places = cells.mean((2, 4))
    variance: Tensor = places.flatten(2).var(2, correction=0)
    return variance.mean(1)


def _tones(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
    luma = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    tones = functional.avg_pool2d(luma, CELL).flatten(1)
    return tones - tones.mean(1, keepdim=True)
