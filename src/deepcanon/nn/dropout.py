"""Dropout written out (G. Hinton et al. 2012, https://arxiv.org/abs/1207.0580; N. Srivastava et
al., JMLR 2014).

In training every unit is dropped, that is set to zero, with probability ``rate``, anew for every
picture. A dropped unit takes no part in the backward pass either: the weights into it and out of
it are kept as they are in that step.

*What differs from the papers*: they multiply by 1 - rate at test time. Here, as in every framework
today, the kept units are divided by 1 - rate in training instead ("inverted dropout"), which gives
each unit the same mean, and evaluation changes nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.core.errors import BadInput


def dropout(x: Float[Tensor, "*shape"], *, rate: float) -> Float[Tensor, "*shape"]:
    """What a layer of ``x`` becomes in training: some units zero, the others / (1 - rate).

    Drawn from torch's generator. Raises BadInput for a rate outside 0 <= rate < 1.
    """
    _check(rate)
    kept = torch.empty_like(x).bernoulli_(1 - rate)  # 1: kept, 0: dropped
    return x * (kept / (1 - rate))


class Dropout(nn.Module):
    """`dropout` in training, nothing in evaluation."""

    def __init__(self, *, rate: float = 0.5) -> None:
        super().__init__()
        _check(rate)
        self.rate = rate

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Shape in, shape out."""
        return dropout(x, rate=self.rate) if self.training else x

    def extra_repr(self) -> str:
        """The rate, for ``print(net)``."""
        return f"rate={self.rate}"


def _check(rate: float) -> None:
    if not 0 <= rate < 1:
        raise BadInput(
            f"a dropout rate of {rate} leaves nothing to learn from",
            hint="take a rate from 0 up to, but not including, 1; the papers' is 0.5",
        )
