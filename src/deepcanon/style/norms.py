"""Norms that take style weights: the conditional one uses them, the others pass them by."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-5  # under the root of the variance: torch's default


class ConditionalInstanceNorm(nn.Module):
    """Instance norm whose scale and shift are a weighted mean of each style's own vectors.

    V. Dumoulin, J. Shlens, M. Kudlur, *A Learned Representation for Artistic Style*, ICLR 2017,
    eq. 5 (``z = gamma_s (x - mu) / sigma + beta_s``) and §3.4 (blending).
    """

    def __init__(self, channels: int, *, styles: int) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.ones(styles, channels))
        self.shifts = nn.Parameter(torch.zeros(styles, channels))

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b styles"] | None
    ) -> Float[Tensor, "b c h w"]:
        """Statistics of each picture and channel; weights sum to 1 for a mean."""
        if weights is None:
            raise ValueError("a multistyle network needs style weights, one row a picture")
        x = functional.instance_norm(x, eps=EPS)
        weights = weights.to(self.scales.dtype)
        scale = (weights @ self.scales)[:, :, None, None]
        shift = (weights @ self.shifts)[:, :, None, None]
        return x * scale.to(x.dtype) + shift.to(x.dtype)


class UnconditionalNorm(nn.Module):
    """A norm of torch's beside style weights, which it does not look at."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b styles"] | None
    ) -> Float[Tensor, "b c h w"]:
        """The norm of ``x``."""
        return self.norm(x)  # type: ignore[no-any-return]
