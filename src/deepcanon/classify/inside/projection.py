"""From a layer back into the picture: what made its values what they are (row C6).

K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks", ICLR 2014 workshop,
https://arxiv.org/abs/1312.6034 (the gradient); M. D. Zeiler, R. Fergus, "Visualizing and
understanding convolutional networks", ECCV 2014, https://arxiv.org/abs/1311.2901, §2.1 (the
deconvnet); J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for simplicity",
ICLR 2015 workshop, https://arxiv.org/abs/1412.6806, §3.4 (guided backpropagation).

*What was new*: a deconvnet runs the network backwards: a map is unpooled by the switches that
remember where each maximum was, rectified, and filtered with the transposed filters. That is the
gradient with one thing changed, the ReLU (1312.6034, §4); and guided backpropagation changes it
again (1412.6806, figure 1). What comes down through a ReLU is kept where

    ================= ======================= ============================
    rule              its input was positive  what comes down is positive
    ================= ======================= ============================
    backpropagation   x
    deconvnet                                 x
    guided            x                       x
    ================= ======================= ============================

and the deconvnet starts from the value itself where the gradients start from 1.

*What differs from the papers.* Where pooling windows overlap, one value may be the maximum of two:
their shares are added. What neither paper's network has, or says nothing about, comes down as its
derivative: response and batch normalisation, average pools, sums and concatenations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from deepcanon.core.errors import Failed


class Rule(StrEnum):
    """What a ReLU lets down; see the table above."""

    BACKPROPAGATION = "backpropagation"
    DECONVNET = "deconvnet"
    GUIDED = "guided"


# --- ReLU ----------------------------------------------------------------------------------------


def relu_down(
    coming: Float[Tensor, "*shape"], *, x: Float[Tensor, "*shape"], rule: Rule
) -> Float[Tensor, "*shape"]:
    """What a ReLU that read ``x`` lets down of what comes from above."""
    if rule is not Rule.DECONVNET:
        coming = coming * (x > 0)
    if rule is not Rule.BACKPROPAGATION:
        coming = coming.clamp(min=0)
    return coming


class _Relu(torch.autograd.Function):
    """ReLU forwards, `relu_down` backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: Rule) -> Tensor:
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *coming: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return relu_down(coming[0], x=x, rule=ctx.rule), None


_RELUS = {functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class _Ruled(TorchFunctionMode):
    """Every ReLU inside follows a rule, also one that is not a module, or works in place.

    None works in place in here: the next layer gets what the ReLU returns.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _RELUS:
            return func(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        return _Relu.apply(x, self.rule)


# --- max pooling ---------------------------------------------------------------------------------


def pool_with_switches(
    x: Float[Tensor, "b c h w"], *, kernel: int, stride: int, padding: int = 0
) -> tuple[Float[Tensor, "b c h2 w2"], Int[Tensor, "b c h2 w2"]]:
    """The maximum of every window, and its switch: where in the map, row by row, it was."""
    pooled, switches = functional.max_pool2d(x, kernel, stride, padding, return_indices=True)
    return pooled, switches


def unpool(
    y: Float[Tensor, "b c h2 w2"], *, switches: Int[Tensor, "b c h2 w2"], size: tuple[int, int]
) -> Float[Tensor, "b c h w"]:
    """Each value back to where its switch says, in a map of ``size`` (h, w) that is zero elsewhere.

    Values of overlapping windows that had the same maximum are added. `project` need not call
    this: it is what the derivative of a max pool does.
    """
    flat = y.new_zeros(*y.shape[:2], size[0] * size[1])
    flat.scatter_add_(2, switches.flatten(2), y.flatten(2))
    return flat.view(*y.shape[:2], *size)


# --- layers --------------------------------------------------------------------------------------


class _Reached(Exception):  # noqa: N818 - no error: all that was wanted has been seen
    """Ends a forward pass that need not go on."""


def run_to(
    net: nn.Module, x: Float[Tensor, "b 3 h w"], layers: Sequence[str]
) -> dict[str, Float[Tensor, "b c h2 w2"]]:
    """The outputs of parts of ``net``, by the names of ``named_modules``, in evaluation mode.

    A vector is given as a map of one value, [b, c, 1, 1]; of a part that runs more than once, the
    first run. Nothing behind the last of them is computed. Raises KeyError for a name that is not
    there and for a part that does not run, Failed for values that are not finite, and what the
    network raises.
    """
    found: dict[str, Tensor] = {}
    parts = dict(net.named_modules())

    def keep(name: str) -> Callable[[object, object, Tensor], None]:
        def hook(_module: object, _inputs: object, output: Tensor) -> None:
            # A copy: a ReLU in place behind this layer would write into what it gave.
            found.setdefault(name, output.clone())
            if len(found) == len(set(layers)):
                raise _Reached

        return hook

    with ExitStack() as stack:
        stack.enter_context(evaluating(net))
        for name in set(layers):
            handle = parts[name].register_forward_hook(keep(name))
            stack.callback(handle.remove)
        with suppress(_Reached):
            net(x)
    for name in layers:
        if not bool(torch.isfinite(found[name]).all()):
            raise Failed(
                f"the values of {name} are not finite numbers (NaN or infinity)",
                hint="these weights are broken: take an earlier checkpoint, or export again",
            )
    return {name: _as_map(found[name]) for name in layers}


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """``net`` in evaluation mode; afterwards each of its parts is in the mode that it was in."""
    before = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _as_map(output: Tensor) -> Tensor:
    return output[..., None, None] if output.ndim == 2 else output


# --- down to the picture -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What a channel's strongest value at (row, column) of its map looks for in the picture."""

    channel: int
    value: float
    row: int
    column: int
    pixels: Float[Tensor, "3 h w"]  # signed, in the picture's own channels


def strongest(maps: Float[Tensor, "c h w"], *, count: int) -> list[int]:
    """The channels with the largest values, the largest first."""
    peaks = maps.flatten(1).amax(dim=1)
    return [int(index) for index in peaks.argsort(descending=True, stable=True)[:count]]


def project(
    net: nn.Module,
    picture: Float[Tensor, "3 h w"],
    *,
    layer: str,
    rule: Rule,
    channels: Sequence[int] | None = None,
    count: int = 16,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> list[Projection]:
    """Channels of a layer, projected into the picture from their strongest value each (§2.1).

    Without ``channels`` the ``count`` strongest. ``prepare`` makes of a picture what the network
    reads; projections go back through it, so that they are in the picture's terms. A channel that
    nothing excites projects to zeros. Raises as `run_to` does.
    """
    x = picture.detach().clone()[None].requires_grad_()
    with torch.enable_grad(), _Ruled(rule):
        maps = run_to(net, x if prepare is None else prepare(x), [layer])[layer]
    chosen = strongest(maps.detach()[0], count=count) if channels is None else channels
    found = []
    for channel in chosen:
        plane = maps[0, channel]
        place = int(plane.detach().argmax())
        row, column = divmod(place, plane.shape[1])
        value = plane[row, column]
        start = value.detach() if rule is Rule.DECONVNET else torch.ones_like(value)
        (pixels,) = torch.autograd.grad(value, x, start, retain_graph=True)
        found.append(
            Projection(
                channel=channel,
                value=float(value.detach()),
                row=row,
                column=column,
                pixels=pixels[0],
            )
        )
    return found
