"""One interface over OpenVINO, ONNX Runtime and torch; the fastest that is installed is chosen.

Each engine is imported when a session of it opens, and never two of them: a process that repaints
one picture spends as long on imports as on the picture.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepcanon.core.errors import BadInput, Unavailable, how_to_install
from deepcanon.core.onnx_file import open_onnx
from deepcanon.core.record import Record, read_record
from deepcanon.engine import on_onnxruntime, on_openvino, on_torch
from deepcanon.engine.running import Session

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ENGINES", "Session", "available", "open_session"]

ENGINES = ("openvino", "onnxruntime", "torch")  # fastest first
_INSTALL = {"openvino": "fast", "torch": "train"}
_CONSTANT = "constant/"  # begins the names of what engine/export.py folded: no weights

_log = logging.getLogger(__name__)


def available() -> list[str]:
    """The engines that are installed, fastest first; nothing is imported to find out."""
    return [name for name in ENGINES if find_spec(name) is not None]


def open_session(
    model: Path | nn.Module, *, engine: str = "auto", threads: int | None = None
) -> Session:
    """Open a `.onnx` file that carries our record, or (with torch) a module, put into eval mode.

    A module's inputs are the parameters of its forward; its output is named "output", or
    "output_0" and on when it returns several, or by its own keys when it returns a dict.
    `threads` None leaves the number to the engine. Raises `BadInput` for an engine that is
    unknown, not installed or cannot run this model; for a file that is missing, damaged, without a
    record or with NaN or infinity among its weights; and for `threads` below 1; `Unavailable`
    without engines, and when OpenVINO is asked for and its installation is broken.
    """
    if threads is not None and threads < 1:
        raise BadInput(f"{threads} threads cannot compute anything", hint="give 1 or more")
    _check_engine(engine)
    if not isinstance(model, (str, Path)):
        if engine not in ("auto", "torch"):
            raise BadInput(
                f"{engine} runs .onnx files, and this is a torch module",
                hint="export it first, or choose the engine torch",
            )
        return on_torch.open_module(model, threads=threads)
    path = Path(model)
    record = _checked(path)
    chosen = _fastest() if engine == "auto" else engine
    return _OPENERS[chosen](path, record, threads)


def _check_engine(engine: str) -> None:
    installed = available()
    if engine not in ("auto", *ENGINES):
        raise BadInput(
            f"no engine is named '{engine}'", hint=f"installed: auto, {', '.join(installed)}"
        )
    if engine != "auto" and engine not in installed:
        how = how_to_install(_INSTALL[engine]) if engine in _INSTALL else ""
        raise BadInput(
            f"the engine {engine} is not installed",
            hint=f"installed: auto, {', '.join(installed)}" + (f"; {how}" if how else ""),
        )
    if not installed:
        raise Unavailable("no engine is installed", hint="pip install onnxruntime")


def _fastest() -> str:
    """The first of the installed engines, but no broken OpenVINO where there is another engine."""
    first, *others = available()
    if first != "openvino" or not others:
        return first
    try:
        on_openvino.load()
    except Unavailable as error:
        if _was_interrupted(error):
            raise
        _log.info("%s; %s is used instead", error.message, others[0])
        return others[0]
    return first


def _was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind it: a compiled module that is being imported makes that an error."""
    behind = error.__cause__ or error.__context__
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
        return True
    return behind is not None and _was_interrupted(behind)


def _checked(path: Path) -> Record:
    if path.suffix.lower() != ".onnx":
        raise BadInput(
            f"{path} is not a .onnx file", hint="`deepcanon export` makes one from a checkpoint"
        )
    record = read_record(path)
    for name, values in open_onnx(path).weights():
        if values.dtype.kind != "f":
            continue
        # A constant may well be -inf, as in a mask.
        bad = np.isnan(values) if name.startswith(_CONSTANT) else ~np.isfinite(values)
        if bad.any():
            raise BadInput(
                f"{path} holds a weight that is not a finite number ({values[bad][0]}): {name}",
                hint="its training diverged or the file is damaged; export or download it again",
            )
    return record


_OPENERS: dict[str, Callable[[Path, Record, int | None], Session]] = {
    "openvino": on_openvino.open_file,
    "onnxruntime": on_onnxruntime.open_file,
    "torch": on_torch.open_file,
}
