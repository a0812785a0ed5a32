"""What a record says of how weights came to be: recipe, day, machine."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import platform
from collections.abc import Mapping
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
