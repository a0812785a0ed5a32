"""The numbers that a recipe accepts; no PyTorch, so that recipes can be listed without it."""

from __future__ import annotations

from collections.abc import Mapping

from deepcanon.core.errors import BadInput

ANY = float("inf")
# What every run has: see `deepcanon.training.fit.Run`.
PACE: Mapping[str, tuple[float, float]] = {
    "batch": (1, ANY),
    "steps": (1, ANY),
    "checkpoint_every": (1, ANY),
}


def refuse_outside(recipe: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise BadInput for a field that is smaller or larger than training can do with."""
    for name, (least, most) in ranges.items():
        value = getattr(recipe, name)
        if value < least:
            complaint = f"{name} is {value}, and the least is {least}"
        elif value > most:
            complaint = f"{name} is {value}, and the most is {most}"
        else:
            continue
        raise BadInput(complaint, hint=f"change it with --set {name}=...")
