"""What the style papers measure with: Gram matrices, feature distances, total variation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepcanon.style.color import LUMA

CELL = 8  # pixels whose mean is one tone
PERIOD = 4  # pixels after which a pattern of two doublings of the size repeats
WINDOW = 32  # pixels in which such a pattern is looked for
GREY_LEVEL = 1 / 255


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
    """How much of a picture's roughness repeats every 2 and 4 pixels, a mean over windows; 0..1.

    In windows of 32 x 32 pixels that fade to their sides (Hann), smaller in smaller pictures: the
    variance of the means of each place in a raster of 4 x 4, which by Parseval is the power of the
    waves of periods 2 and 4, over the mean squared step between neighbours and one grey level's.
    Strong stripes of period 4 have 1, those of period 2 one half. The same pattern counts most
    where nothing else is, as to the eye, so the steps are taken as given: no gradient. Windows
    begin at every half of their side; what is left over at the far ends is not seen. Sides below 8
    have no window: ValueError. Ours: a network that doubles the size twice can print such a
    pattern, which no Gram matrix forbids; in a mean over the whole picture, places where it lies
    otherwise cancel one another.
    """
    side = min(WINDOW, *(PERIOD * (each // PERIOD) for each in pictures.shape[-2:]))
    if side < 2 * PERIOD:
        raise ValueError(f"windows of {2 * PERIOD} pixels in {tuple(pictures.shape)}")
    hann = torch.hann_window(side, dtype=pictures.dtype, device=pictures.device)
    fade = torch.outer(hann, hann) / hann.sum() ** 2

    def windows(each: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c n m s s"]:
        return each.unfold(2, side, side // 2).unfold(3, side, side // 2)

    faded = windows(pictures) * fade
    cells = faded.reshape(*faded.shape[:-2], side // PERIOD, PERIOD, side // PERIOD, PERIOD)
    places = PERIOD**2 * cells.sum((-4, -2))
    pattern = places.flatten(-2).var(-1, correction=0).mean(1)
    beyond = functional.pad(pictures.detach(), (0, 1, 0, 1), mode="replicate")
    down, across = beyond.diff(dim=-2)[..., :-1], beyond.diff(dim=-1)[..., :-1, :]
    steps = (windows((down.square() + across.square()) / 2) * fade).sum((-2, -1)).mean(1)
    share: Tensor = pattern / (steps + GREY_LEVEL**2)
    return share.flatten(1).mean(1)


def _tones(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
    luma = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    tones = functional.avg_pool2d(luma, CELL).flatten(1)
    return tones - tones.mean(1, keepdim=True)
