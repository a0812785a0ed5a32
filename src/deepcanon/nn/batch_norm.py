"""Batch normalisation written out (S. Ioffe, C. Szegedy, ICML 2015, https://arxiv.org/abs/1502.03167).

*What was new*: each activation is normalised over the mini-batch, as a part of the network through
which gradients flow, and then scaled and shifted by two learned numbers. Networks learn with much
larger steps, and depend less on how they are initialised.

    Algorithm 1 (training, over the m values of one activation in a mini-batch)
        mean      mu    = 1/m sum x_i
        variance  s2    = 1/m sum (x_i - mu)^2
        normalise x'_i  = (x_i - mu) / sqrt(s2 + eps)
        output    y_i   = gamma x'_i + beta
    Algorithm 2 (inference, lines 10 and 11)
        E[x] = mean over batches of mu,  Var[x] = m / (m - 1) mean over batches of s2
        y    = gamma / sqrt(Var[x] + eps) x + (beta - gamma E[x] / sqrt(Var[x] + eps))

After a convolution, m counts the places of the map as well as the pictures (§3.2): one gamma, one
beta, one mean and one variance to a channel.

*What differs from the paper.* Algorithm 2 averages over many batches after training; `BatchNorm`
keeps moving averages during it, as §3.1 allows: ``momentum`` is the weight of the newest batch, as
in torch (Caffe's and TensorFlow's is one minus that). ``momentum=None`` is Algorithm 2's average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepcanon.core.errors import BadInput

EPS = 1e-5  # the paper names none; torch's


class Statistics(NamedTuple):
    """Mean and variance of every channel, [c]."""

    mean: Tensor
    variance: Tensor


def batch_statistics(x: Float[Tensor, "b c *hw"]) -> Statistics:
    """Lines 1 and 2 of Algorithm 1. The variance is divided by m, not by m - 1.

    Raises BadInput for a single value per channel: it would always be normalised to zero.
    """
    if _count(x) < 2:
        raise BadInput(
            "a batch with one value per channel has no variance",
            hint="train with two pictures or more in a batch, or call eval() for inference",
        )
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean = x.mean(dim=axes)
    variance = (x - _per_channel(mean, x)).square().mean(dim=axes)
    return Statistics(mean, variance)


def normalise(
    x: Float[Tensor, "b c *hw"],
    *,
    statistics: Statistics,
    gamma: Float[Tensor, " c"],
    beta: Float[Tensor, " c"],
    eps: float = EPS,
) -> Float[Tensor, "b c *hw"]:
    """Lines 3 and 4 of Algorithm 1."""
    mean, variance = (_per_channel(each, x) for each in statistics)
    normalised = (x - mean) / torch.sqrt(variance + eps)
    return _per_channel(gamma, x) * normalised + _per_channel(beta, x)


def population(batches: Sequence[Statistics], *, count: int) -> Statistics:
    """Line 10 of Algorithm 2: from the statistics of several batches to those of all pictures.

    ``count`` is m, the number of values per channel in each batch.
    """
    mean = torch.stack([each.mean for each in batches]).mean(dim=0)
    variance = torch.stack([each.variance for each in batches]).mean(dim=0)
    return Statistics(mean, variance * count / (count - 1))


def infer(
    x: Float[Tensor, "b c *hw"],
    *,
    statistics: Statistics,
    gamma: Float[Tensor, " c"],
    beta: Float[Tensor, " c"],
    eps: float = EPS,
) -> Float[Tensor, "b c *hw"]:
    """Line 11 of Algorithm 2: for fixed statistics the layer is one scale and one shift."""
    scale = gamma / torch.sqrt(statistics.variance + eps)
    shift = beta - scale * statistics.mean
    return _per_channel(scale, x) * x + _per_channel(shift, x)


class BatchNorm(nn.Module):
    """Both algorithms as a layer, for [b, c] and [b, c, h, w]; ``state_dict`` keys are torch's."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, *, eps: float = EPS, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))  # gamma
        self.bias = nn.Parameter(torch.zeros(channels))  # beta
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
        """Training: by the batch's own statistics. Evaluation: by those kept. Shape is kept."""
        if not self.training:
            kept = Statistics(self.running_mean, self.running_var)
            return infer(x, statistics=kept, gamma=self.weight, beta=self.bias, eps=self.eps)
        statistics = batch_statistics(x)
        self._keep(statistics, count=_count(x))
        return normalise(x, statistics=statistics, gamma=self.weight, beta=self.bias, eps=self.eps)

    @torch.no_grad()
    def _keep(self, statistics: Statistics, *, count: int) -> None:
        """Move the kept statistics towards this batch's."""
        self.num_batches_tracked += 1
        newest = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        mean, variance = population([statistics], count=count)
        self.running_mean.lerp_(mean, newest)
        self.running_var.lerp_(variance, newest)


def _count(x: Tensor) -> int:
    """m: how many values a channel has in this batch."""
    return x.numel() // x.shape[1]


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """[c] -> [1, c, 1, ...], to go with x."""
    return values.view(1, -1, *[1] * (x.ndim - 2))
