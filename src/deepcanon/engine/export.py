"""A torch module becomes a `.onnx` file: with its record inside, checked before it is written.

The initialisers keep the names of the module's state dict, whatever they are used for, so that the
weights can be read back out of the file (`weights_of`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import Failed
from deepcanon.core.onnx_file import open_onnx
from deepcanon.core.record import KEY, Record

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor, nn

__all__ = ["OPSET", "export", "weights_of"]

OPSET = 18  # what torch's exporter is written for; read by ONNX Runtime since 1.14

Feed = Mapping[str, "Tensor"]
Array = npt.NDArray[Any]


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

    ``example`` names the inputs and gives a tensor for each; ``dynamic`` names the axes, of inputs
    and of outputs, that may have any length: ``{"image": {0: "batch"}}``. A module that has
    ``exportable()`` is exported as what that returns. Each feed of ``check`` (other batches, other
    sizes) is then run by ONNX Runtime and by torch. Raises Failed when they differ by more than
    rounding (one step, for integers), and what `write_whole` raises.
    """
    names = {id(tensor): name for name, tensor in module.state_dict(keep_vars=True).items()}
    wrap = getattr(module, "exportable", None)
    outer = wrap() if wrap is not None else module
    training = outer.training
    outer.eval()
    try:
        content = _convert(outer, names, example, outputs, dynamic, record)
        for feed in check:
            _compare(outer, content, feed, outputs, path)
    finally:
        outer.train(training)
    with write_whole(path) as file:
        file.write(content)
    return Path(path)


def weights_of(path: str | Path) -> dict[str, Tensor]:
    """The initialisers of a ``.onnx`` file by name; those of the module, and some constants.

    Raises BadInput when the file is missing or damaged.
    """
    import torch

    return {name: torch.from_numpy(value.copy()) for name, value in open_onnx(path).weights()}


def _convert(
    outer: nn.Module,
    names: Mapping[int, str],
    example: Feed,
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
    record: Record,
) -> bytes:
    import onnx
    import torch

    program = torch.onnx.export(
        outer,
        kwargs=dict(example),
        dynamo=True,
        input_names=list(example),
        output_names=list(outputs),
        dynamic_shapes={
            name: dict.fromkeys(dynamic.get(name, {}), torch.export.Dim.DYNAMIC) for name in example
        },
        opset_version=OPSET,
        optimize=False,  # it would merge equal weights and fold norms, and names would be lost
        verbose=False,
    )
    assert program is not None
    inner = {
        name: names[id(tensor)]
        for name, tensor in outer.state_dict(keep_vars=True).items()
        if id(tensor) in names
    }
    _tidy(program.model, keep=set(inner))
    _rename(program.model, inner)
    proto = program.model_proto
    del proto.graph.value_info[:]  # formulas in the exporter's own names of the axes
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, name in dynamic.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    onnx.helper.set_model_props(proto, {KEY: record.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    file = io.BytesIO()
    onnx.save(proto, file)
    return file.getvalue()


def _tidy(model: ir.Model, *, keep: set[str]) -> None:
    """Fold what does not depend on weights, drop what nobody uses."""
    from onnx_ir.passes import common
    from onnxscript.optimizer import fold_constants, inline

    def may_fold(node: ir.Node) -> bool | None:
        return False if any(x is not None and x.name in keep for x in node.inputs) else None

    inline(model)
    fold_constants(model, should_fold=may_fold)
    for each in (
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.CommonSubexpressionEliminationPass(),
        common.ClearMetadataAndDocStringPass(),
        common.NameFixPass(),
    ):
        each(model)


def _rename(model: ir.Model, names: Mapping[str, str]) -> None:
    for name, value in list(model.graph.initializers.items()):
        if name in names:
            value.name = names[name]


def _compare(
    outer: nn.Module, content: bytes, feed: Feed, outputs: Sequence[str], path: str | Path
) -> None:
    import onnxruntime as ort
    import torch

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(list(outputs), {name: value.numpy() for name, value in feed.items()})
    with torch.inference_mode():
        expected = outer(**feed)
    expected = expected if isinstance(expected, (tuple, list)) else (expected,)
    for name, theirs, ours in zip(outputs, found, expected, strict=True):
        if not _close(theirs, ours.numpy()):
            shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in feed.items())
            raise Failed(
                f"{path} was not written: for {shapes} its {name} differs from torch's",
                hint="please report it, with the model and the versions of torch and onnxruntime",
            )


def _close(found: Array, expected: Array) -> bool:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.dtype.kind == "f":
        scale = float(np.abs(expected).max(initial=1e-3))
        return np.allclose(found, expected, rtol=1e-3, atol=1e-4 * scale)
    return not found.size or int(np.abs(found.astype(int) - expected.astype(int)).max()) <= 1
