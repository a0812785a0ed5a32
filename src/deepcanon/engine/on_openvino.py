"""A session of OpenVINO, the fastest engine (``deepcanon[fast]``)."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

from deepcanon.core.assets import cache_folder, ships
from deepcanon.core.errors import Unavailable
from deepcanon.core.record import Record
from deepcanon.engine.running import (
    Array,
    Feeds,
    Running,
    Session,
    cannot_open,
    reason,
    usable_threads,
)


@cache
def _openvino_core() -> Any:
    """One core for the process, never taken down.

    A core installs a stack for signal handlers, and when it goes it puts back the one that it
    found, even if that belonged to a core that went before: the next Ctrl-C then crashes.
    """
    import openvino as ov

    return ov.Core()


def load() -> Any:
    """OpenVINO's core. Raises `Unavailable` when the installation is broken."""
    try:
        return _openvino_core()
    except Exception as cause:  # what is broken may raise anything; the file is not to blame
        raise Unavailable(
            f"OpenVINO cannot be loaded: {reason(cause)}",
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


def open_file(path: Path, record: Record, threads: int | None) -> Session:
    """Open a file. Raises `BadInput` for one that OpenVINO cannot open, and as `load` does."""
    # No precision is asked for: OpenVINO takes bf16 where the processor has it.
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **_compiled_before(path)}
    if count := threads or usable_threads():
        settings["INFERENCE_NUM_THREADS"] = count
    core = load()
    try:
        compiled = core.compile_model(str(path), "CPU", settings)
    except Exception as cause:  # its kinds are private
        raise cannot_open(path, "openvino", cause) from cause
    types = {each.get_any_name(): each.get_element_type().to_dtype() for each in compiled.inputs}
    outputs = tuple(each.get_any_name() for each in compiled.outputs)
    request = compiled.create_infer_request()
    lock = threading.Lock()  # one request holds one set of inputs

    def compute(feeds: Feeds) -> dict[str, Array]:
        with lock:
            # Inputs are used where they lie; outputs are copied, the next run reuses their place.
            results = request.infer(dict(feeds), share_inputs=True, share_outputs=False)
            return {name: results[name] for name in outputs}

    return Running(
        "openvino",
        inputs=tuple(types),
        outputs=outputs,
        record=record,
        compute=compute,
        types=types,
    )
