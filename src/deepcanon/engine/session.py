"""One interface over OpenVINO, ONNX Runtime and torch; the fastest that is installed is chosen.

Each engine is imported when a session of it opens, and never two of them: a process that repaints
one picture spends as long on imports as on the picture.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from deepcanon.core.assets import cache_folder, ships
from deepcanon.core.errors import (
    BadInput,
    DeepcanonError,
    Failed,
    MissingExtra,
    Unavailable,
    how_to_install,
)
from deepcanon.core.onnx_file import OnnxFile, open_onnx
from deepcanon.core.record import Record, read_record

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ENGINES", "Session", "available", "open_session"]

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

ENGINES = ("openvino", "onnxruntime", "torch")  # fastest first
_INSTALL = {"openvino": "fast", "torch": "train"}
_CONSTANT = "constant/"  # begins the names of what engine/export.py folded: no weights

_log = logging.getLogger(__name__)


class Session(Protocol):
    """A network ready to run.

    For a bare torch module `record` is None, and `outputs` is empty until it has run.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    record: Record | None

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """All outputs by name.

        Raises `ValueError` when the feeds are not the inputs, `Failed` when the engine cannot
        compute, and what a module of ours raises itself, such as `BadInput` for a small picture.
        """
        ...


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
        return _of_module(model, threads=threads)
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
        _load_openvino()
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


def _usable_threads() -> int:
    """0 (the engine decides) unless this process may use only a part of the machine."""
    if not hasattr(os, "sched_getaffinity"):
        return 0
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or allowed) else 0


class _Running:
    """What the engines share: names, the check of the feeds, the error of a failed run."""

    def __init__(
        self,
        name: str,
        *,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        record: Record | None,
        compute: Callable[[Feeds], dict[str, Array]],
        types: Mapping[str, npt.DTypeLike] | None = None,
    ) -> None:
        self._types = types or {}
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.record = record
        self._compute = compute

    def run(self, feeds: Feeds) -> dict[str, Array]:
        if set(feeds) != set(self.inputs):
            raise ValueError(f"the inputs are {self.inputs}, the feeds {tuple(feeds)}")
        for name, dtype in self._types.items():  # OpenVINO would cast without a word
            if feeds[name].dtype != dtype:
                raise ValueError(f"{name} takes {np.dtype(dtype)}, not {feeds[name].dtype}")
        try:
            return self._compute(feeds)
        except DeepcanonError:  # a module of ours says better what is wrong
            raise
        except Exception as cause:  # each engine has kinds of its own
            shapes = ", ".join(f"{key} {value.shape}" for key, value in feeds.items())
            raise Failed(
                f"{self.name} could not run on {shapes}: {_reason(cause)}",
                hint="try a smaller picture or another engine",
            ) from cause


def _open_onnxruntime(path: Path, record: Record, threads: int | None) -> Session:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or _usable_threads()
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
        raise _cannot_open(path, "onnxruntime", cause) from cause
    outputs = tuple(each.name for each in session.get_outputs())
    types = {each.name: _ort_dtype(each.type) for each in session.get_inputs()}

    def compute(feeds: Feeds) -> dict[str, Array]:
        return dict(zip(outputs, session.run(list(outputs), dict(feeds)), strict=True))

    return _Running(
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


@cache
def _openvino_core() -> Any:
    """One core for the process, never taken down.

    A core installs a stack for signal handlers, and when it goes it puts back the one that it
    found, even if that belonged to a core that went before: the next Ctrl-C then crashes.
    """
    import openvino as ov

    return ov.Core()


def _load_openvino() -> Any:
    """OpenVINO's core. Raises `Unavailable` when the installation is broken."""
    try:
        return _openvino_core()
    except Exception as cause:  # what is broken may raise anything; the file is not to blame
        raise Unavailable(
            f"OpenVINO cannot be loaded: {_reason(cause)}",
            hint="pip install --force-reinstall openvino, or choose another --engine",
        ) from cause


def _compiled_before(path: Path) -> dict[str, str]:
    """Where OpenVINO keeps what it made of a network that ships: a fourth of the time to open it.

    Other files are compiled each time: a user's networks are many and large, and the user's disk
    is not ours to fill.
    """
    digest = ships(path)
    if digest is None:
        return {}
    folder = cache_folder() / "openvino" / digest[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {"CACHE_DIR": str(folder)} if os.access(folder, os.W_OK) else {}


def _open_openvino(path: Path, record: Record, threads: int | None) -> Session:
    # No precision is asked for: OpenVINO takes bf16 where the processor has it.
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **_compiled_before(path)}
    if count := threads or _usable_threads():
        settings["INFERENCE_NUM_THREADS"] = count
    core = _load_openvino()
    try:
        compiled = core.compile_model(str(path), "CPU", settings)
    except Exception as cause:  # as above
        raise _cannot_open(path, "openvino", cause) from cause
    types = {each.get_any_name(): each.get_element_type().to_dtype() for each in compiled.inputs}
    outputs = tuple(each.get_any_name() for each in compiled.outputs)
    request = compiled.create_infer_request()
    lock = threading.Lock()  # one request holds one set of inputs

    def compute(feeds: Feeds) -> dict[str, Array]:
        with lock:
            # Inputs are used where they lie; outputs are copied, the next run reuses their place.
            results = request.infer(dict(feeds), share_inputs=True, share_outputs=False)
            return {name: results[name] for name in outputs}

    return _Running(
        "openvino",
        inputs=tuple(types),
        outputs=outputs,
        record=record,
        compute=compute,
        types=types,
    )


def _open_torch(path: Path, record: Record, threads: int | None) -> Session:
    """Rebuild the module that the record names and give it the weights of the file."""
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


def _of_module(module: nn.Module, *, threads: int | None) -> Session:
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

    session = _Running(
        "torch", inputs=inputs, outputs=outputs or (), record=record, compute=compute
    )
    return session


def _named(results: Any, names: tuple[str, ...] | None) -> dict[str, Any]:
    if isinstance(results, Mapping):
        return dict(results)
    values = results if isinstance(results, (tuple, list)) else (results,)
    if names is None:
        names = tuple(f"output_{i}" for i in range(len(values))) if len(values) > 1 else ("output",)
    return dict(zip(names, values, strict=True))


def _cannot_open(path: Path, engine: str, cause: Exception) -> BadInput:
    return BadInput(
        f"{engine} cannot open {path}: {_reason(cause)}",
        hint="the file is damaged or of another kind; export or download it again",
    )


def _reason(cause: Exception) -> str:
    """The first line that says something: engines begin with their own source lines and codes."""
    lines = [line.strip() for line in str(cause).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check "))]
    if not telling:
        return type(cause).__name__
    end = next((i for i, line in enumerate(telling) if not line.endswith(":")), 0)
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(telling[: end + 1]))


_OPENERS: dict[str, Callable[[Path, Record, int | None], Session]] = {
    "openvino": _open_openvino,
    "onnxruntime": _open_onnxruntime,
    "torch": _open_torch,
}
