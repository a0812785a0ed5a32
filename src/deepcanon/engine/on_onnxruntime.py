"""A session of ONNX Runtime, which the base installation has."""

from __future__ import annotations

from pathlib import Path

import numpy.typing as npt

from deepcanon.core.record import Record
from deepcanon.engine.running import Array, Feeds, Running, Session, cannot_open, usable_threads


def open_file(path: Path, record: Record, threads: int | None) -> Session:
    """Open a file. Raises `BadInput` for one that ONNX Runtime cannot open."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_threads()
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # The memory plan of a first pass is kept beside the arena which that pass grew: without it
    # repeated passes peak 40 % lower. The arena stays: without it one large pass peaks lower, but
    # repeated ones higher and higher (the heap fragments).
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as cause:  # its kinds are private
        raise cannot_open(path, "onnxruntime", cause) from cause
    outputs = tuple(each.name for each in session.get_outputs())
    types = {each.name: _ort_dtype(each.type) for each in session.get_inputs()}

    def compute(feeds: Feeds) -> dict[str, Array]:
        return dict(zip(outputs, session.run(list(outputs), dict(feeds)), strict=True))

    return Running(
        "onnxruntime",
        inputs=tuple(types),
        outputs=outputs,
        record=record,
        compute=compute,
        types=types,
    )


def _ort_dtype(described: str) -> npt.DTypeLike:
    """From "tensor(float)", which means 32 bits here and 64 to numpy."""
    name = described.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
