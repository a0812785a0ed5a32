"""A classifier of two operations that keeps the whole contract, so its results are known.

It tells red, green and blue pictures apart: a logit is the mean of its channel as prepared, times
`GAIN`. With the usual preprocessing (`PLAIN`: 0 to 1) a red picture has the logits (GAIN, 0, 0).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deepcanon.core.record import KEY, Record
from deepcanon.nn.preprocessing import Preprocessing

CLASSES = ("red", "green", "blue")
GAIN = 4.0
PLAIN = Preprocessing(name="plain", order="RGB", scale=1.0, mean=(0.0, 0.0, 0.0))


def record(**changes: object) -> Record:
    """A record as a classifier carries it."""
    content: dict[str, Any] = {
        "model": "tiny",
        "variant": "paper",
        "domain": "classify",
        "config": {},
        "labels": list(CLASSES),
        "preprocessing": {**PLAIN.to_dict(), "side": 24, "resize": 32},
        "licence": "Apache-2.0",
        "recipe": {},
        "data": "none: made by hand",
        "date": "2025-01-01",
        "hardware": "none",
        "scores": {"top1": 1.0},
    }
    return Record(**{**content, **changes})


def write(
    path: Path,
    *,
    weight: np.ndarray | None = None,
    size: tuple[int | str, int | str] = ("height", "width"),
    outputs: tuple[str, ...] = ("output",),
    **changes: object,
) -> Path:
    """Write the network; `weight` [3, classes] replaces the one described above, `size` the height
    and width that the file allows, and `changes` go into the record."""
    if weight is None:
        weight = GAIN * np.eye(3)
    classes = weight.shape[1]
    nodes = [
        helper.make_node("GlobalAveragePool", ["pictures"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "weight"], ["output"]),
    ]
    nodes += [helper.make_node("Identity", ["output"], [name]) for name in outputs[1:]]
    graph = helper.make_graph(
        nodes,
        "tiny_classifier",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 3, *size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", classes])
            for name in outputs
        ],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {KEY: record(**changes).to_json()})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def plain(colour: str, *, size: tuple[int, int] = (32, 48), strength: int = 255) -> np.ndarray:
    """A picture uint8 [h, w, 3] of one class."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[..., CLASSES.index(colour)] = strength
    return pixels
