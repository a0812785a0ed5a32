"""What a hint says about a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """A question with the up to three names nearest to `word`, or `otherwise` if none is near."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(names[name] for name in near)}?" if near else otherwise
