"""Layers whose weights are drawn once, by the paper's rule, and not by torch's first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def unfilled(module: nn.Module) -> Iterator[None]:
    """Layers that ``module`` is given in here have shapes; at the end, memory with no values in it.

    Whoever uses it must set every parameter and every buffer afterwards: torch's own initialisation
    would only be overwritten. The memory is on torch's default device, which may be "meta".
    """
    device = torch.get_default_device()
    with torch.device("meta"):
        yield
    module.to_empty(device=device)
