"""What `deepcanon describe` says of a weights file or a network that ships: its record."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcanon.core.record import Record

__all__ = ["as_dict", "lines"]

_SHOWN = 20  # labels at most
_LONG = ("sha256", "base")  # parts of a recipe that --json alone shows
_WIDE = 100  # characters of a line


def as_dict(path: Path, record: Record) -> dict[str, Any]:
    """The file and its record, ready for JSON."""
    return {"file": str(path), "record": json.loads(record.to_json())}


def lines(path: Path, record: Record) -> list[str]:
    """The record as lines of text, for a person; what is long goes on in lines set further in."""
    shown = ", ".join(record.labels[:_SHOWN])
    more = len(record.labels) - _SHOWN
    facts = {
        "network": f"{record.model} {record.variant} ({record.domain})",
        "settings": _pairs(record.config),
        "labels": f"{shown} and {more} more" if more > 0 else shown,
        "pictures": _pairs(record.preprocessing),
        "trained on": record.data,
        "when, where": f"{record.date}, {record.hardware}",
        "scores": _pairs(record.scores),
        "recipe": _pairs({key: value for key, value in record.recipe.items() if key not in _LONG}),
        "before it": "the run that it started from, in full with --json"
        if "base" in record.recipe
        else "",
        "licence": record.licence,
        "notes": record.notes,
    }
    found = [str(path)]
    for name, text in facts.items():
        if text:
            found += wrap(
                f"{name}: {text}",
                _WIDE,
                initial_indent="  ",
                subsequent_indent="      ",
                break_on_hyphens=False,
                break_long_words=False,
            )
    return found


def _pairs(content: dict[str, Any]) -> str:
    """ "depth 20, width 16"; what is empty is left out."""
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in content.items()
        if value not in ("", {}, [])
    )
