"""Model arithmetic: output shape, weights, multiply-adds and receptive field of every layer.

The network runs once on torch's meta device, on shapes alone: no weight is made or touched, so
the table of a 144 M-parameter network costs milliseconds. Counting happens below the modules, on
the operations they issue, so it does not matter how a layer is written.

*Multiply-adds* are those of convolutions and matrix products, one for a multiplication with its
addition; biases, activations and pools are not counted. The *receptive field* is what one output
value can see of the picture, padding included: a k x k kernel adds (k - 1) x jump, where the jump
is the product of the strides before it. A layer that reads a whole map is a kernel of its size.
Statistics that normalisation layers take over a picture are not counted as seeing it. Where in the
picture that is, `receptive_fields` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import ceil, floor, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One line of the table. ``output`` has no batch axis; fields and jumps are (height, width)."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int] | None  # None where the input is not a picture


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """The layers in the order in which they ran, and their sums."""

    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int  # of the whole module, also where no layer used them
    multiply_adds: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where the values of one map look, in pixels; all but ``output`` are (height, width).

    The value in row i and column j sees ``size`` pixels from ``start`` + (i, j) x ``jump`` on;
    behind a transposed convolution or a resize, to within a jump of the map that it read.
    ``output`` is the map's shape without the batch axis.
    """

    output: tuple[int, ...]
    size: tuple[int, int]
    jump: tuple[Fraction, Fraction]
    start: tuple[Fraction, Fraction]  # under zero where padding is seen

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what a value sees, the ends not included.

        May reach beyond the picture, into the padding.
        """
        top, left = (
            floor(start + place * jump)
            for start, place, jump in zip(self.start, (row, column), self.jump, strict=True)
        )
        return top, left, top + self.size[0], left + self.size[1]


@dataclass(frozen=True)
class _View:
    """What a tensor's values see of the picture, and how far apart two neighbours look."""

    field: tuple[Fraction, Fraction]
    jump: tuple[Fraction, Fraction]
    start: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))  # of what the first value sees


def example_inputs(module: nn.Module, pictures: Tensor) -> tuple[Any, ...]:
    """The arguments with which ``module`` runs on ``pictures``, [b, c, h, w].

    These are the pictures alone, unless the module has a method ``example_inputs(pictures)`` that
    returns all of them: for networks that also take, say, the weights of styles.
    """
    more = getattr(module, "example_inputs", None)
    return (pictures,) if more is None else tuple(more(pictures))


def layer_table(module: nn.Module, *, input_size: Sequence[int]) -> LayerTable:
    """Run ``module`` in eval mode on one picture of ``input_size`` (c, h, w), by shapes alone.

    What else the module takes comes from `example_inputs`. The module is not changed, wherever
    its weights are. Raises what its ``forward`` raises.
    """
    counter = _watched(module, input_size=input_size)
    return LayerTable(
        input=tuple(input_size),
        layers=tuple(counter.layers),
        parameters=sum(each.numel() for each in module.parameters()),
        multiply_adds=sum(layer.multiply_adds for layer in counter.layers),
    )


def receptive_fields(module: nn.Module, *, input_size: Sequence[int]) -> dict[str, Field]:
    """What every part of ``module`` that runs on a picture of ``input_size`` (c, h, w) sees of it.

    By the names of ``named_modules``, blocks and stages included, "" being the whole; of a part
    that runs more than once, its first run. Else as `layer_table`.
    """
    return _watched(module, input_size=input_size).fields


def _watched(module: nn.Module, *, input_size: Sequence[int]) -> _Counter:
    meta = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
    }
    counter = _Counter()
    with ExitStack() as stack:
        for each in module.modules():
            stack.callback(setattr, each, "training", each.training)
        module.eval()
        for name, each in module.named_modules():
            stack.enter_context(each.register_forward_pre_hook(counter.entering(name, each)))
            stack.enter_context(each.register_forward_hook(counter.leaving))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.device("meta"))
        picture = torch.empty(1, *input_size)
        inputs = example_inputs(module, picture)
        counter.see(picture, _View((Fraction(1), Fraction(1)), (Fraction(1), Fraction(1))))
        stack.enter_context(counter)
        functional_call(module, meta, inputs)
    return counter


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches modules come and go, and every operation between."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []
        self.fields: dict[str, Field] = {}
        self.running: list[tuple[str, nn.Module]] = []
        self.spent: list[int] = []  # multiply-adds of each running module itself
        self.views: dict[int, tuple[Tensor, _View]] = {}  # keeps tensors, so that ids stay theirs
        self.counted: set[int] = set()

    def see(self, tensor: Tensor, view: _View) -> None:
        """Note what ``tensor`` sees."""
        self.views[id(tensor)] = (tensor, view)

    def view_of(self, tensors: Iterable[object]) -> _View | None:
        """What the values computed from ``tensors`` see: the most that any of them does."""
        views = [self.views[id(each)][1] for each in tensors if id(each) in self.views]
        if not views:
            return None
        fields = zip(*(view.field for view in views), strict=True)
        jumps = zip(*(view.jump for view in views), strict=True)
        height, width = (max(each) for each in fields)
        down, across = (max(each) for each in jumps)
        top, left = (min(each) for each in zip(*(view.start for view in views), strict=True))
        return _View((height, width), (down, across), (top, left))

    def entering(self, name: str, module: nn.Module) -> Any:
        """The hook that runs before ``module`` does."""

        def hook(*_: object) -> None:
            self.running.append((name, module))
            self.spent.append(0)

        return hook

    def leaving(self, module: nn.Module, _: object, output: object) -> None:
        """The hook that runs after: leaves, and modules that computed themselves, make a line."""
        name, _module = self.running.pop()
        multiply_adds = self.spent.pop()
        own = [each for each in module.parameters(recurse=False) if id(each) not in self.counted]
        leaf = not any(True for _ in module.children())
        tensors = [each for each in tree_leaves(output) if isinstance(each, Tensor)]
        view = self.view_of(tensors)
        if view is not None:
            self.fields.setdefault(
                name,
                Field(
                    output=tuple(tensors[0].shape[1:]),
                    size=_whole(view.field),
                    jump=view.jump,
                    start=view.start,
                ),
            )
        if not tensors or not (leaf or multiply_adds or own):
            return
        self.counted.update(id(each) for each in own)
        self.layers.append(
            Layer(
                name=name or "(itself)",
                kind=type(module).__name__,
                output=tuple(tensors[0].shape[1:]),
                parameters=sum(each.numel() for each in own),
                multiply_adds=multiply_adds,
                receptive_field=None if view is None else _whole(view.field),
            )
        )

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operation, count it, and note what its results see."""
        output = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        results = [each for each in tree_leaves(output) if isinstance(each, Tensor)]
        if self.spent and results:
            self.spent[-1] += _multiply_adds(func, args, results[0])
        view = self.view_of(tensors)
        if view is not None and results:
            view = _through(func, args, results[0], view)
            for each in results:
                self.see(each, view)
        return output


def _whole(field: tuple[Fraction, Fraction]) -> tuple[int, int]:
    return ceil(field[0]), ceil(field[1])


def _multiply_adds(func: Any, args: tuple[Any, ...], output: Tensor) -> int:
    packet = func.overloadpacket
    if packet is aten.convolution:
        source, weight, transposed = args[0], args[1], args[6]
        # Every value of the shorter side meets each weight of one filter: [out, in, k, k] forwards,
        # [in, out, k, k] when transposed.
        return int((source if transposed else output).numel() * prod(weight.shape[1:]))
    if packet is aten.addmm or packet is aten.baddbmm:
        return int(output.numel() * args[1].shape[-1])
    if packet is aten.mm or packet is aten.bmm:
        return int(output.numel() * args[0].shape[-1])
    return 0


def _through(func: Any, args: tuple[Any, ...], output: Tensor, view: _View) -> _View:
    """What the results of an operation see when its inputs see ``view``."""
    packet = func.overloadpacket
    source = args[0] if args and isinstance(args[0], Tensor) else output
    if packet is aten.convolution:
        weight, stride, padding, dilation, transposed = args[1], *args[3:7]
        kernel = weight.shape[2:]
        if transposed:
            return _unslide(view, kernel, stride, padding)
        wide = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        return _slide(view, wide, stride, padding)
    if packet in _POOLS:
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else (0, 0)
        return _slide(view, kernel[-2:], stride[-2:], padding[-2:])
    if packet in _PADS:
        return _padded(view, args[1])
    if source.ndim == 4 and _leaves_the_plane(packet, source, output):
        return _slide(view, source.shape[2:], (1, 1))
    if source.ndim == 4 and output.ndim == 4 and packet in _RESIZES:
        return _resized(view, source.shape[2:], output.shape[2:])
    return view


_POOLS = {aten.max_pool2d_with_indices, aten.avg_pool2d, aten.avg_pool3d, aten.max_pool2d}
_PADS = {aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d}
_RESIZES = {
    aten._adaptive_avg_pool2d,
    aten.adaptive_max_pool2d,
    aten.upsample_nearest2d,
    aten.upsample_bilinear2d,
}


def _leaves_the_plane(packet: Any, source: Tensor, output: Tensor) -> bool:
    """Whether height and width are summed up or laid out in one row: then all of it is seen."""
    if packet in (aten.mean, aten.sum, aten.amax):
        return output.ndim < 4 or output.shape[2:] == (1, 1)
    return output.ndim == 2 and packet in (aten.view, aten._unsafe_view, aten.reshape)


def _slide(
    view: _View, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int] = (0, 0)
) -> _View:
    field = [f + (k - 1) * j for f, k, j in zip(view.field, kernel, view.jump, strict=True)]
    jump = [j * s for j, s in zip(view.jump, stride, strict=True)]
    start = [x - p * j for x, p, j in zip(view.start, padding, view.jump, strict=True)]
    return _View((field[0], field[1]), (jump[0], jump[1]), (start[0], start[1]))


def _unslide(
    view: _View, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> _View:
    """Of a transposed convolution: one output value meets ceil(k / s) input values."""
    near = [ceil(k / s) for k, s in zip(kernel, stride, strict=True)]
    jump = [j / s for j, s in zip(view.jump, stride, strict=True)]
    # The first input value that meets output value 0 is the least i for which 0 <= p - i s < k.
    first = [(k - 1 - p) // s for k, s, p in zip(kernel, stride, padding, strict=True)]
    return replace(_slide(view, near, (1, 1), first), jump=(jump[0], jump[1]))


def _padded(view: _View, border: Sequence[int]) -> _View:
    """Torch counts borders from the last axis: left, right, top, bottom."""
    top = border[2] if len(border) > 2 else 0
    return _slide(view, (1, 1), (1, 1), (top, border[0]))


def _resized(view: _View, before: Sequence[int], after: Sequence[int]) -> _View:
    """An adaptive pool or an upsampling: the jump changes with the size."""
    scale = [Fraction(b, a) for b, a in zip(before, after, strict=True)]
    field = [f + (ceil(s) - 1) * j for f, s, j in zip(view.field, scale, view.jump, strict=True)]
    jump = [j * s for j, s in zip(view.jump, scale, strict=True)]
    return _View((field[0], field[1]), (jump[0], jump[1]), view.start)
