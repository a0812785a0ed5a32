"""A session of torch: of a module, or of one rebuilt from a file (``deepcanon[train]``)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.core.onnx_file import OnnxFile, open_onnx
from deepcanon.core.record import Record
from deepcanon.engine.running import Array, Feeds, Running, Session

if TYPE_CHECKING:
    from torch import nn


def open_file(path: Path, record: Record, threads: int | None) -> Session:
    """Rebuild the module that the record names and give it the weights of the file.

    Raises `BadInput` where these do not fit it.
    """
    from deepcanon.core.catalog import create_model

    file = open_onnx(path)
    module = create_model(record.model, variant=record.variant, **record.config)
    _copy_weights(file, module, path)
    # A network that is exported inside a wrapper (bytes in, bytes out) says so by `exportable()`.
    wrap = getattr(module, "exportable", None)
    if wrap is not None:
        module = wrap()
    outputs = tuple(file.outputs())
    inputs = tuple(file.inputs())
    return _torch_session(module, inputs, outputs, record=record, threads=threads)


def _copy_weights(file: OnnxFile, module: nn.Module, path: Path) -> None:
    import torch

    state = module.state_dict()
    found = {name: values for name, values in file.weights() if name in state}
    missing = [
        name for name in state if name not in found and not name.endswith("num_batches_tracked")
    ]
    wrong = [name for name in found if tuple(found[name].shape) != tuple(state[name].shape)]
    if missing or wrong:
        what = f"lacks the weight {missing[0]}" if missing else f"has {wrong[0]} in another shape"
        raise BadInput(
            f"{path} {what}, so torch cannot rebuild it",
            hint="use the engine onnxruntime or openvino, or export the model again",
        )
    tensors = {name: torch.from_numpy(values.copy()) for name, values in found.items()}
    module.load_state_dict(tensors, strict=False)


def open_module(module: nn.Module, *, threads: int | None) -> Session:
    """Run a module as it is, in eval mode. Raises `MissingExtra` without torch."""
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need="running a torch module")
    inputs = tuple(inspect.signature(module.forward).parameters)
    return _torch_session(module, inputs, None, record=None, threads=threads)


def _torch_session(
    module: nn.Module,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...] | None,
    *,
    record: Record | None,
    threads: int | None,
) -> Session:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)  # torch has one number for the whole process
    module.eval()

    def compute(feeds: Feeds) -> dict[str, Array]:
        # Copied: torch warns about arrays that are not writable.
        tensors = [torch.from_numpy(np.array(feeds[name])) for name in inputs]
        with torch.inference_mode():
            results = _named(module(*tensors), outputs)
        session.outputs = tuple(results)
        return {name: value.numpy() for name, value in results.items()}

    session = Running("torch", inputs=inputs, outputs=outputs or (), record=record, compute=compute)
    return session


def _named(results: Any, names: tuple[str, ...] | None) -> dict[str, Any]:
    if isinstance(results, Mapping):
        return dict(results)
    values = results if isinstance(results, (tuple, list)) else (results,)
    if names is None:
        names = tuple(f"output_{i}" for i in range(len(values))) if len(values) > 1 else ("output",)
    return dict(zip(names, values, strict=True))
