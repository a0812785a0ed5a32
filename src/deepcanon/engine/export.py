"""A torch module becomes a `.onnx` file: with its record inside, checked before it is written.

The initialisers keep the names of the module's state dict, whatever they are used for, so that the
weights can be read back out of the file (`read_weights`).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.onnx_file import open_onnx
from deepcanon.core.record import KEY, Record

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor, nn

__all__ = ["OPSET", "Interface", "export", "interface_of", "read_weights"]

OPSET = 18  # what torch's exporter is written for; read by ONNX Runtime since 1.14
_CONSTANT = "constant/"  # begins the names of initialisers that are no weights

Feed = Mapping[str, "Tensor"]
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What a `.onnx` file takes and gives, and the feeds with which it is traced and checked.

    ``dynamic`` names the axes, of inputs and of outputs, that may have any length:
    ``{"pictures": {0: "batch"}}``. ``labels`` name what the network tells apart.
    """

    example: Feed
    check: Sequence[Feed]
    outputs: Sequence[str]
    dynamic: Mapping[str, Mapping[int, str]]
    labels: Sequence[str] = ()


def interface_of(module: nn.Module, *, input_size: tuple[int, int, int]) -> Interface:
    """The inputs and outputs that ``module`` has once exported.

    A form that ``exportable()`` returns may have a method ``interface()`` that says them. Else
    there is one input of pictures, float32 [b, c, h, w], which has the name of the parameter, and
    one output, "output"; any batch, and any size when the module has such a form, else that of
    ``input_size`` (c, h, w). Raises BadInput for a module of several inputs that says nothing.
    """
    import torch

    form = _form(module)
    own = getattr(form, "interface", None)
    if own is not None:
        said: Interface = own()
        return said
    name, *others = inspect.signature(form.forward).parameters
    if others:
        raise BadInput(
            f"{type(form).__name__} takes {', '.join(others)} beside pictures: no .onnx of it",
            hint="give it an interface() that names its inputs and outputs",
        )
    channels, height, width = input_size
    sizes = [(2, height, width), (1, height, width), (3, height, width)]
    free = {0: "batch"}
    if form is not module:
        sizes[0] = (2, height + 32, width + 64)  # an example of no special size
        free |= {2: "height", 3: "width"}
    feeds = [{name: torch.rand(batch, channels, *size)} for batch, *size in sizes]
    return Interface(
        example=feeds[0],
        check=feeds,
        outputs=["output"],
        dynamic={name: free, "output": {0: "batch"}},
    )


def export(
    module: nn.Module,
    path: str | Path,
    *,
    example: Feed,
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
    record: Record,
    check: Sequence[Feed],
) -> Path:
    """Write ``module`` in evaluation mode as ``.onnx``, whole or not at all.

    ``example`` names the inputs and gives a tensor for each, in the order of the module's own
    parameters; the rest is as in `Interface`. A module that has ``exportable()`` is exported as
    what that returns. Each feed of ``check`` (other batches, other sizes) is then run by ONNX
    Runtime and by torch. Raises Failed when they differ by more than rounding (one step, for
    integers), and what `write_whole` raises.
    """
    outer = _form(module)
    names = _names(outer, module)
    training = outer.training
    outer.eval()
    try:
        content = _convert(outer, names, example, outputs, dynamic, record)
        _compare(outer, content, check, outputs, path)
    finally:
        outer.train(training)
    with write_whole(path) as file:
        file.write(content)
    return Path(path)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict of the module in a ``.onnx`` file that `export` wrote.

    Parameters that do not take part in the module's result are not in the file; how many batches
    a norm has seen is not either, and comes as 0. Raises BadInput when the file is missing or
    damaged.
    """
    import torch

    tensors = {
        name: torch.from_numpy(value.copy())
        for name, value in open_onnx(path).weights()
        if not name.startswith(_CONSTANT)
    }
    for name in [each for each in tensors if each.endswith(".running_mean")]:
        tensors[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    return tensors


def _form(module: nn.Module) -> nn.Module:
    wrap = getattr(module, "exportable", None)
    form: nn.Module = module if wrap is None else wrap()
    return form


def _names(outer: nn.Module, module: nn.Module) -> dict[str, str]:
    """From the names of parameters and buffers in ``outer`` to theirs in ``module``."""
    inner = {id(value): name for name, value in module.state_dict(keep_vars=True).items()}
    return {
        name: inner.get(id(value), name) for name, value in outer.state_dict(keep_vars=True).items()
    }


def _convert(
    outer: nn.Module,
    names: Mapping[str, str],
    example: Feed,
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
    record: Record,
) -> bytes:
    import onnx
    import torch

    free = torch.export.Dim.DYNAMIC
    with _quiet("torch.fx.experimental.symbolic_shapes"):
        program = torch.onnx.export(
            outer,
            tuple(example.values()),
            dynamo=True,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple(dict.fromkeys(dynamic.get(name, {}), free) for name in example),
            opset_version=OPSET,
            optimize=False,  # `_optimise` does, and keeps the weights
            verbose=False,
        )
    assert program is not None
    _optimise(program.model, names)
    proto = program.model_proto
    del proto.graph.value_info[:]  # in the exporter's own names of the axes
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, name in dynamic.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    onnx.helper.set_model_props(proto, {KEY: record.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString()
    return content


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Let a logger say errors only: torch's tracebacks of conditions on sizes that it could not
    simplify, and keeps as they are, look like failures."""
    speaker = logging.getLogger(logger)
    before = speaker.level
    speaker.setLevel(logging.ERROR)
    try:
        yield
    finally:
        speaker.setLevel(before)


def _optimise(model: ir.Model, names: Mapping[str, str]) -> None:
    """Fold constants, merge what is computed twice, drop what nobody uses; rename the weights.

    Weights are made inputs for the while. As constants they would be folded into one another, or
    merged where they happen to be equal, and could not be read back out of the file.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    from onnxscript.optimizer import optimize_ir

    graph = model.graph
    weights = {name: graph.initializers.pop(name) for name in names if name in graph.initializers}
    values = {name: weight.const_value for name, weight in weights.items()}
    for weight in weights.values():
        weight.const_value = None
        graph.inputs.append(weight)
    optimize_ir(model)
    ClearMetadataAndDocStringPass()(model)
    for value in list(graph.initializers.values()):
        value.name = f"{_CONSTANT}{value.name}"
    del graph.inputs[len(graph.inputs) - len(weights) :]
    for name, weight in weights.items():
        weight.name, weight.const_value = names[name], values[name]
        graph.register_initializer(weight)


def _compare(
    outer: nn.Module,
    content: bytes,
    feeds: Sequence[Feed],
    outputs: Sequence[str],
    path: str | Path,
) -> None:
    import onnxruntime as ort
    import torch

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for feed in feeds:
        found = session.run(list(outputs), {name: value.numpy() for name, value in feed.items()})
        with torch.inference_mode():
            expected = outer(*feed.values())
        expected = expected if isinstance(expected, (tuple, list)) else (expected,)
        for name, theirs, ours in zip(outputs, found, expected, strict=True):
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in feed.items())
            if ours.is_floating_point() and not bool(torch.isfinite(ours).all()):
                raise Failed(
                    f"{path} was not written: for {shapes} the network's own {name} is not finite",
                    hint="its weights diverged in training, or saw pictures that were too small",
                )
            if not _close(theirs, ours.numpy()):
                raise Failed(
                    f"{path} was not written: for {shapes} its {name} differs from torch's",
                    hint="please report it, with the versions of torch and onnxruntime",
                )


def _close(found: Array, expected: Array) -> bool:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.dtype.kind == "f":
        scale = float(np.abs(expected).max(initial=1e-3))
        return np.allclose(found, expected, rtol=1e-3, atol=1e-4 * scale)
    return not found.size or int(np.abs(found.astype(int) - expected.astype(int)).max()) <= 1
