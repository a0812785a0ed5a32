"""The self-describing record inside every checkpoint and every exported network.

It stands as one JSON text under one metadata key, so a file needs nothing beside it. Reading it
needs neither torch nor the safetensors or onnx packages: both containers are simple enough to
walk by hand, and the use half must start in milliseconds.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from deepcanon.core.errors import BadInput
from deepcanon.core.onnx_file import open_onnx
from deepcanon.core.reading import opened

__all__ = ["FORMAT", "KEY", "Record", "read_record", "record_in"]

KEY = "deepcanon"
FORMAT = 1

_TYPES: dict[str, type] = {
    "model": str,
    "variant": str,
    "domain": str,
    "config": dict,
    "labels": list,
    "preprocessing": dict,
    "licence": str,
    "recipe": dict,
    "data": str,
    "date": str,
    "hardware": str,
    "scores": dict,
    "notes": str,
    "format": int,
}
_OPTIONAL = {"notes", "format"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything a reader of a weights file wants to know.

    `labels` are the class names, or the style names. `scores` are measured, never copied from a
    paper. Tuples become lists on the way in, so a record equals its own JSON round trip.
    """

    model: str
    variant: str
    domain: str
    config: dict[str, Any]
    labels: list[str]
    preprocessing: dict[str, Any]
    licence: str
    recipe: dict[str, Any]
    data: str
    date: str
    hardware: str
    scores: dict[str, float]
    notes: str = ""
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        for name in ("config", "labels", "preprocessing", "recipe"):
            object.__setattr__(self, name, _plain(getattr(self, name), where=name))
        scores = {str(key): float(value) for key, value in self.scores.items()}
        object.__setattr__(self, "scores", scores)

    def to_json(self) -> str:
        """One line of strict JSON; a score that is not finite is written as null."""
        content = asdict(self)
        content["scores"] = {
            key: value if math.isfinite(value) else None for key, value in self.scores.items()
        }
        return json.dumps(content, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Record:
        """Read what `to_json` wrote; `source` names the file in errors.

        Raises `BadInput` when the text is not a record, or one of a newer deepcanon.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as cause:
            raise _malformed(source, f"it is not JSON ({cause})") from cause
        if not isinstance(content, dict):
            raise _malformed(source, "it is not a JSON object")
        found = content.get("format", FORMAT)
        if isinstance(found, int) and found > FORMAT:
            raise BadInput(
                f"{source} carries a record of format {found}; this deepcanon reads {FORMAT}",
                hint="install a newer deepcanon, from where this one came",
            )
        for name, kind in _TYPES.items():
            if name not in content and name not in _OPTIONAL:
                raise _malformed(source, f"'{name}' is missing")
            if name in content and (
                not isinstance(content[name], kind) or isinstance(content[name], bool)
            ):
                raise _malformed(source, f"'{name}' is not a {kind.__name__}")
        if not all(isinstance(label, str) for label in content["labels"]):
            raise _malformed(source, "'labels' holds something that is not a string")
        content["scores"] = _scores(content["scores"], source=source)
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})


def read_record(path: str | Path) -> Record:
    """The record inside a `.onnx` or `.safetensors` file.

    Raises `BadInput` when the file is missing, damaged, of another kind, or carries no record.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        metadata = open_onnx(path).metadata()
    elif suffix == ".safetensors":
        metadata = _safetensors_metadata(path)
    else:
        raise BadInput(
            f"{path} is neither a .onnx nor a .safetensors file",
            hint="only these two carry a deepcanon record; export or train a model to get one",
        )
    if KEY not in metadata:
        raise BadInput(
            f"{path} carries no deepcanon record",
            hint="use a file written by `deepcanon train` or `deepcanon export`",
        )
    return Record.from_json(metadata[KEY], source=str(path))


def record_in(weights: str | Path | None) -> Record | None:
    """What weights say of themselves; a `.safetensors` file without a record says nothing.

    Neither do names, and files of other kinds. Raises `BadInput` for a file that is missing or
    damaged, and for a `.onnx` without a record.
    """
    path = Path(weights or "")
    suffix = path.suffix.lower()
    if suffix == ".safetensors" and KEY not in _safetensors_metadata(path):
        return None
    return read_record(path) if suffix in (".onnx", ".safetensors") else None


def _plain(value: Any, *, where: str) -> Any:
    """Tuples to lists, all the way down; what JSON has no word for is a programming error."""
    if isinstance(value, dict):
        return {str(key): _plain(each, where=f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, where=where) for each in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"record: {where} is {value}, which JSON cannot hold")
        return value
    raise TypeError(f"record: {where} holds a {type(value).__name__}, which JSON cannot hold")


def _scores(content: dict[str, Any], *, source: str) -> dict[str, float]:
    scores: dict[str, float] = {}
    for name, value in content.items():
        if value is None:
            scores[name] = math.nan
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            scores[name] = float(value)
        else:
            raise _malformed(source, f"the score '{name}' is not a number")
    return scores


def _malformed(source: str, why: str) -> BadInput:
    return BadInput(
        f"the deepcanon record in {source} cannot be read: {why}",
        hint="the file is damaged or was edited; export or download it again",
    )


def _safetensors_metadata(path: Path) -> dict[str, str]:
    """Layout: u64 little-endian length n, then n bytes of JSON, then the tensors."""
    with opened(path, what="model file") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _damaged(path, "its header is longer than the file")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise _damaged(path, "its header is not JSON") from cause
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise _damaged(path, "its header is not a table")
    return {key: value for key, value in metadata.items() if isinstance(value, str)}


def _damaged(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} is not a whole safetensors file: {why}",
        hint="it may be cut short or of another kind; export or download it again",
    )
