"""What a record says of how weights came to be: recipe, files, day, machine."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

import torch

from deepcanon.training import precision


def as_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain data: numbers, words, lists and dictionaries.

    Folders and files stand there by their last names only, which travel; ``precision`` as what
    ``auto`` means on this machine.
    """
    content = dataclasses.asdict(recipe)
    if "precision" in content:
        content["precision"] = precision.resolve(content["precision"])
    return {key: _plain(value) for key, value in content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, PurePath):
        return value.name or str(value)
    if isinstance(value, str) and ("/" in value or os.sep in value):
        return "+".join(Path(part).name or part for part in value.split("+"))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def sha256_of_weights(name: str, *, called: str) -> dict[str, str]:
    """``called.1``, ... -> digests of the files of a weights setting, ``a.h5+b.h5``.

    Their names alone, which the recipe has, do not tell two files apart. The names of weights that
    deepcanon ships or fetches give nothing: its manifest has their digests.
    """
    files = enumerate((Path(part) for part in name.split("+")), 1)
    return {f"{called}.{place}": sha256_of(path) for place, path in files if path.is_file()}


def sha256_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_listing(paths: Iterable[Path]) -> str:
    """A digest of the names and sizes of many files, in their order, without reading them."""
    lines = (f"{path.name} {path.stat().st_size}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def today() -> str:
    """2026-11-24."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def hardware() -> str:
    """Processor, cores and the torch that did the work."""
    return f"{_processor()}, {os.cpu_count()} cores, torch {torch.__version__}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
