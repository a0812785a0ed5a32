"""Checkpoints that nothing is missing from, and that run no code when they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, Failed, Unavailable

LAST = "last.ckpt"

_NOTHING = object()


def save(
    trainer: pl.Trainer, path: Path, *, recipe: dict[str, Any], inputs: dict[str, str]
) -> None:
    """Write a checkpoint under a temporary name and rename it: the old one stays whole.

    Of several processes all call this, and the first one writes.

    Raises, and leaves the old one, Failed when a weight is no number, Unavailable when the disk is
    full, BadInput when the folder cannot be written.
    """
    step = trainer.global_step
    content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    content["deepcanon"] = {
        "recipe": recipe,
        "inputs": inputs,
        "step": step,
        "threads": torch.get_num_threads(),
    }
    for name, value in content["state_dict"].items():
        if isinstance(value, Tensor) and not bool(torch.isfinite(value).all()):
            raise Failed(f"{name} became NaN or infinite by step {step}", hint=after_nan(path))
    if not trainer.is_global_zero:
        return
    try:
        with write_whole(path) as file:
            torch.save(content, file)
    except RuntimeError as cause:  # what torch says for a disk that is full
        raise Unavailable(
            f"{path} could not be written: {str(cause).splitlines()[0]}",
            hint="see whether the disk is full; an older checkpoint is still there",
        ) from cause


def after_nan(path: Path) -> str:
    """What to do when numbers ran away."""
    if path.exists():
        kept = f"{path} is sound, of step {read(path)['deepcanon']['step']}; "
    else:
        kept = "no checkpoint was due before; "
    return f"{kept}start anew in another folder with a lower --set learning_rate=..."


def read(path: Path) -> dict[str, Any]:
    """A checkpoint as plain data. Raises BadInput when it is damaged or would run code."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        content["deepcanon"]["recipe"]
    except Exception as error:
        raise BadInput(
            f"{path} is not a checkpoint of deepcanon's ({type(error).__name__})",
            hint="start the training anew in another folder with -o",
        ) from None
    return content


def check_folder(folder: Path, *, resume: bool) -> None:
    """Raise BadInput for a folder that holds a run already, or none to resume, or is not a folder.

    Makes nothing: a run that fails before its first step leaves no folder behind.
    """
    last = folder / LAST
    if resume and not last.exists():
        raise BadInput(f"there is no {last} to resume", hint="leave --resume out to start anew")
    if not resume and last.exists():
        raise BadInput(
            f"{folder} already holds a run",
            hint="add --resume to continue it, or choose another folder with -o",
        )
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise BadInput(f"{nearest} is not a folder", hint="choose another folder with -o")
    if not os.access(nearest, os.W_OK):
        raise BadInput(f"{nearest} cannot be written to", hint="choose another folder with -o")


def check_same_recipe(path: Path, recipe: dict[str, Any]) -> int:
    """The step a checkpoint stands at; BadInput that says what differs for another recipe.

    More ``steps`` than before count as a difference too: most schedules depend on them, and where
    one does not (constant), they are refused all the same, for one rule.
    """
    stored = read(path)["deepcanon"]
    if differing := list(_differences(stored["recipe"], recipe)):
        raise BadInput(
            f"{path} was trained by another recipe ({'; '.join(differing)})",
            hint="resume with the same settings, or start anew in another folder with -o",
        )
    return int(stored["step"])


def check_same_inputs(path: Path, inputs: Mapping[str, str]) -> None:
    """Raise BadInput that says which files are not those which a checkpoint was trained on.

    A checkpoint of an earlier version, which says nothing of its files, passes.
    """
    stored = read(path)["deepcanon"].get("inputs")
    if stored is None:
        return
    names = dict.fromkeys([*stored, *inputs])
    if differing := [name for name in names if stored.get(name) != inputs.get(name)]:
        raise BadInput(
            f"{path} was trained on other files ({', '.join(differing)})",
            hint="resume with the files it began with, or start anew in another folder with -o",
        )


def _differences(
    then: Mapping[str, Any], now: Mapping[str, Any], *, within: str = ""
) -> Iterator[str]:
    """``steps: 5 then, 6 now``; the order of keys counts, since styles are numbered by it."""
    for key in dict.fromkeys([*then, *now]):
        before, after = then.get(key, _NOTHING), now.get(key, _NOTHING)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, within=f"{within}{key}.")
            if [*before] != [*after] and {*before} == {*after}:
                yield f"{within}{key}: {', '.join(before)} then, {', '.join(after)} now"
        elif _listed(before) != _listed(after):
            yield f"{within}{key}: {_say(before)} then, {_say(after)} now"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _say(value: Any) -> str:
    return "not there" if value is _NOTHING else repr(value)


def start_at(checkpoint: dict[str, Any]) -> None:
    """Let Lightning's loops start a fresh epoch at the checkpoint's step.

    They count the batches of an epoch, and would take the first batch of the loader, which begins
    where the run stopped, for number ``step`` of an epoch that is that much shorter.
    """
    step = int(checkpoint["deepcanon"]["step"])
    loop = checkpoint["loops"]["fit_loop"]
    for name, progress in loop.items():
        if name.endswith("batch_progress") or name == "epoch_progress":
            _zero(progress)
        elif "_progress" in name:
            _zero(progress, only="current")
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = step


def _zero(progress: dict[str, Any], *, only: str | None = None) -> None:
    """Set counters to 0, those below the key ``only`` if one is given; flags to False."""
    for key, value in progress.items():
        if isinstance(value, dict):
            _zero(value, only=None if key == only else only)
        elif only is None:
            progress[key] = False if isinstance(value, bool) else 0
