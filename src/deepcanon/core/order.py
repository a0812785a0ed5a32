"""The order in which a person counts: 2 before 10."""

from __future__ import annotations

import re

__all__ = ["natural"]


def natural(text: str) -> list[tuple[int, str]]:
    """A key to sort names by: numbers in them by their size, letters without regard to case."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
