"""A moving average of a network's weights, which is often better than the weights of any step.

B. Polyak, A. Juditsky, *Acceleration of stochastic approximation by averaging*, 1992; with a share
that is kept, as the Inception networks have it (Szegedy et al. 2016, §8).
"""

from __future__ import annotations

import torch
from torch import nn


def move_average(average: nn.Module, net: nn.Module, *, keep: float, steps: int) -> None:
    """``a <- k a + (1 - k) w`` for weights and buffers, after ``steps`` steps.

    ``k`` is ``keep``, and less in the first steps: the weights drawn at random are soon forgotten.
    What is counted, not measured (batch norm's batches), is taken as it is.
    """
    decay = min(keep, (1 + steps) / (10 + steps))
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)
