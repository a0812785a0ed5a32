"""A style network of three operations that keeps the whole contract, so its results are known.

Style k maps a channel value x to ``scale_k · x + shift_k``; a blend uses the blended scales and
shifts. Rounded, clipped to 0..255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deepcanon.core.record import KEY, Record

# Style name -> (scale a channel, shift a channel).
STYLES = {
    "starry-night": ((-1.0, -1.0, -1.0), (255.0, 255.0, 255.0)),  # the negative
    "great-wave": ((0.5, 0.5, 0.5), (0.0, 0.0, 100.0)),  # dark and blue
    "udnie": ((1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),  # red alone
}


def expected(pixels: np.ndarray, weights: dict[str, float]) -> np.ndarray:
    """What the network makes of uint8 [h, w, 3]."""
    scale = sum(weight * np.array(STYLES[name][0]) for name, weight in weights.items())
    shift = sum(weight * np.array(STYLES[name][1]) for name, weight in weights.items())
    return np.clip(np.rint(pixels * scale + shift), 0, 255).astype(np.uint8)


def record(**changes: object) -> Record:
    """A record as a style network carries it."""
    content = {
        "model": "johnson",
        "variant": "multistyle",
        "domain": "style",
        "config": {},
        "labels": list(STYLES),
        "preprocessing": {},
        "licence": "Apache-2.0",
        "recipe": {},
        "data": "none: made by hand",
        "date": "2025-01-01",
        "hardware": "none",
        "scores": {},
    }
    return Record(**{**content, **changes})  # type: ignore[arg-type]


def write(path: Path, *, metadata: dict[str, str] | None = None) -> Path:
    """Write the network; `metadata` replaces that with the record."""
    names = list(STYLES)
    constants = {
        "scales": np.array([STYLES[name][0] for name in names], np.float32),
        "shifts": np.array([STYLES[name][1] for name in names], np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(255, np.float32),
        "pixel_axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["picture"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["weights", "scales"], ["scale_row"]),
        helper.make_node("MatMul", ["weights", "shifts"], ["shift_row"]),
        helper.make_node("Unsqueeze", ["scale_row", "pixel_axes"], ["scale"]),
        helper.make_node("Unsqueeze", ["shift_row", "pixel_axes"], ["shift"]),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Round", ["shifted"], ["rounded"]),
        helper.make_node("Clip", ["rounded", "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["stylized"], to=TensorProto.UINT8),
    ]
    size = ["b", "h", "w", 3]
    graph = helper.make_graph(
        nodes,
        "tiny_style",
        [
            helper.make_tensor_value_info("picture", TensorProto.UINT8, size),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["b", len(names)]),
        ],
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, size)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {KEY: record().to_json()} if metadata is None else metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
