"""Muon: momentum whose every step turns all directions of a kernel by the same amount.

K. Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024,
https://kellerjordan.github.io/posts/muon/. The step of a kernel, seen as a matrix with one row per
output channel, is its momentum with all singular values brought near 1. Where a norm follows each
convolution the size of a kernel means nothing, and this is all that a step needs to say.

torch.optim.Muon takes matrices only; this takes the kernels of convolutions, and biases, scales
and shifts beside them, by Adam (D. Kingma, J. Ba, arXiv:1412.6980, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.95  # Jordan et al.'s, with Nesterov's look ahead
BETAS = (0.9, 0.999)  # Adam's own
EPS = 1e-8  # Adam's own
# x -> a x + b x^3 + c x^5, iterated, brings 0..1 into about 0.7..1.2 (Jordan et al.'s numbers).
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalised(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """``U V'`` of ``U S V'``, roughly: singular values of about 0.7 to 1.2. Zeros stay zeros."""
    a, b, c = QUINTIC
    rows, columns = matrix.shape
    x: Tensor = matrix if rows <= columns else matrix.T
    x = x / (x.norm() + 1e-12)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if rows <= columns else x.T


class Muon(torch.optim.Optimizer):
    """Kernels of convolutions (four dimensions) by Muon, all other parameters by Adam.

    A kernel's step has singular values of about ``lr * max(1, rows / columns) ** 0.5``, rows being
    its output channels and columns the products that each of them sums.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; ``closure``, if there is one, computes the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                rule = _muon if weight.ndim == 4 else _adam
                weight.sub_(rule(weight.grad, self.state[weight]), alpha=group["lr"])
        return loss


def _muon(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    momentum: Tensor = state.setdefault("momentum", torch.zeros_like(gradient))
    momentum.mul_(MOMENTUM).add_(gradient)
    ahead = gradient.add(momentum, alpha=MOMENTUM).flatten(1)
    rows, columns = ahead.shape
    step: Tensor = orthogonalised(ahead).reshape(gradient.shape)
    step = step * max(1.0, rows / columns) ** 0.5
    return step


def _adam(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    if not state:
        state["step"] = 0
        state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - BETAS[0])
    state["square"].lerp_(gradient.square(), 1 - BETAS[1])
    mean: Tensor = state["mean"] / (1 - BETAS[0] ** state["step"])
    square = state["square"] / (1 - BETAS[1] ** state["step"])
    step: Tensor = mean.div_(square.sqrt_().add_(EPS))
    return step
