"""What a record says of how weights came to be: recipe, day, machine."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
from pathlib import Path
from typing import Any

import torch


def as_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain data; folders and files by their last names only, which travel."""
    content = dataclasses.asdict(recipe)
    return {key: _without_folders(value) for key, value in content.items()}


def _without_folders(value: Any) -> Any:
    if isinstance(value, str) and os.sep in value:
        return "+".join(Path(part).name for part in value.split("+"))
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
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
