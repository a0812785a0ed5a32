"""Checkpoints that nothing is missing from, and that run no code when they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from deepcanon.core.errors import BadInput

LAST = "last.ckpt"


def save(trainer: pl.Trainer, path: Path, *, recipe: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name and rename it: the old one stays whole."""
    unfinished = path.with_suffix(".part")
    content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    content["deepcanon"] = {"recipe": recipe, "step": trainer.global_step}
    torch.save(content, unfinished)
    os.replace(unfinished, path)


def read(path: Path) -> dict[str, Any]:
    """A checkpoint as plain data. Raises BadInput when it is damaged or would run code."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        content["deepcanon"]["recipe"]
    except Exception as error:
        raise BadInput(
            f"{path} is no checkpoint of deepcanon's ({type(error).__name__})",
            hint="start the training anew in another folder with -o",
        ) from None
    return content


def check_same_recipe(path: Path, recipe: dict[str, Any]) -> int:
    """The step a checkpoint stands at; BadInput that says what differs for another recipe.

    More ``steps`` than before are allowed only where the schedule does not depend on them, and
    here every schedule does, so they count as a difference.
    """
    stored = read(path)["deepcanon"]
    differing = [
        f"{key}: {stored['recipe'].get(key)!r} then, {recipe.get(key)!r} now"
        for key in sorted({*stored["recipe"], *recipe})
        if stored["recipe"].get(key) != recipe.get(key)
    ]
    if differing:
        raise BadInput(
            f"{path} was trained by another recipe ({'; '.join(differing)})",
            hint="resume with the same settings, or start anew in another folder with -o",
        )
    return int(stored["step"])
