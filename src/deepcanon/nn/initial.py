"""Starting weights that torch draws only slowly."""

from __future__ import annotations

from math import erf, sqrt

import torch
from torch import Tensor


def truncated_normal(weight: Tensor, *, std: float) -> None:
    """Fill ``weight`` from normal(0, std) without what lies beyond two of ``std``, as TensorFlow.

    Through the inverse of the distribution, in one pass: torch's own draws again and again what
    falls outside, which takes seconds for these networks. What is left spreads by 0.88 ``std``.
    """
    inside = erf(2 / sqrt(2))
    with torch.no_grad():
        weight.uniform_(-inside, inside).erfinv_().mul_(std * sqrt(2)).clamp_(-2 * std, 2 * std)
