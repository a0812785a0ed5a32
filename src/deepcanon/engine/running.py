"""What every engine's session is, and how it says that it cannot run.

One file beside this for each engine: `on_onnxruntime`, `on_openvino`, `on_torch`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepcanon.core.errors import BadInput, DeepcanonError, Failed
from deepcanon.core.record import Record

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


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


class Running:
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
                f"{self.name} could not run on {shapes}: {reason(cause)}",
                hint="try a smaller picture or another engine",
            ) from cause


def usable_threads() -> int:
    """0 (the engine decides) unless this process may use only a part of the machine."""
    if not hasattr(os, "sched_getaffinity"):
        return 0
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or allowed) else 0


def cannot_open(path: Path, engine: str, cause: Exception) -> BadInput:
    """What is raised where an engine refuses a file."""
    return BadInput(
        f"{engine} cannot open {path}: {reason(cause)}",
        hint="the file is damaged or of another kind; export or download it again",
    )


def reason(cause: Exception) -> str:
    """The first line that says something: engines begin with their own source lines and codes."""
    lines = [line.strip() for line in str(cause).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check "))]
    if not telling:
        return type(cause).__name__
    end = next((i for i, line in enumerate(telling) if not line.endswith(":")), 0)
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(telling[: end + 1]))
