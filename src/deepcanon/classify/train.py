"""Training a classifier by a recipe: data in, a checkpoint, a `.safetensors` and a `.onnx` out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from deepcanon.classify.augment import Augmentation
from deepcanon.classify.data.folders import without_damaged
from deepcanon.classify.data.pictures import (
    FilePictures,
    Kept,
    Picked,
    Pictures,
    Source,
    check_labels,
)
from deepcanon.classify.data.sources import held_back, open_source
from deepcanon.classify.network_file import usual_resize
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.samples import Samples
from deepcanon.classify.start import build, settings
from deepcanon.classify.task import ClassificationTask, all_logits, chance_loss
from deepcanon.core.errors import BadInput
from deepcanon.core.record import Record
from deepcanon.engine.export import export, interface_of
from deepcanon.nn import preprocessing
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.weights import write
from deepcanon.training import provenance
from deepcanon.training.fit import Run, fit, scores
from deepcanon.training.progress import say
from deepcanon.training.ranks import place

# Whose the pictures of a user are, only the user knows.
LICENCE = "not stated; the rights in the pictures remain with their owners"
_LOOKED_AT = 1000  # pictures whose mean and deviation stand for all
_KEPT_OUT_ROOM = 500_000_000  # bytes of decoded pictures that are measured on
_READ_FIRST = 2_000_000_000  # bytes of picture files that take a minute or two to decode


class Prepared(NamedTuple):
    """What a recipe comes to before its first step."""

    task: ClassificationTask
    samples: Samples
    source: Source  # with some pictures held out, if it set none aside
    preprocessing: dict[str, Any]  # as it will stand in the record


def train(recipe: ClassifierRecipe, *, folder: Path, resume: bool, quiet: bool) -> Path | None:
    """Train and write ``folder/MODEL.safetensors`` and ``MODEL.onnx``; None when interrupted.

    Returns the latter. Raises BadInput for data, settings or starting weights that are not right.
    """
    prepared = prepare(recipe, quiet=quiet)
    task, source = prepared.task, prepared.source
    data = (
        f"{source.name}: {len(source.train)} pictures of {len(source.classes)} classes, "
        f"{len(source.val)} kept out"
    )
    if not quiet:
        say(f"{recipe.model} ({recipe.variant}) at {recipe.side}x{recipe.side} pixels, {data}")
    content = provenance.as_dict(recipe)
    inputs = {
        "training pictures": _listing(source.train),
        "kept out": _listing(source.val),
        **provenance.sha256_of_weights(recipe.start, called="start"),
    }
    published: Any = getattr(task.net, "published", None)
    if published is not None:
        content["start"], inputs["start"] = published.url, published.sha256
    run = dataclasses.replace(
        Run.of(recipe, folder=folder, quiet=quiet),
        measure_every=recipe.measure_every,
        workers=recipe.workers,
    )
    finished = fit(
        task,
        prepared.samples,
        run=run,
        recipe=content,
        inputs=inputs,
        names=prepared.samples.name,
        chance=chance_loss(
            source.train.labels,
            classes=len(source.classes),
            label_smoothing=recipe.label_smoothing,
        ),
        resume=resume,
    )
    if not finished or place().rank > 0:
        return None
    record = Record(
        model=recipe.model,
        variant=recipe.variant,
        domain="classify",
        config=settings(recipe, classes=len(source.classes)),
        labels=list(source.classes),
        preprocessing=prepared.preprocessing,
        licence=LICENCE,
        recipe={**content, "sha256": inputs},
        data=data,
        date=provenance.today(),
        hardware=provenance.hardware(),
        scores={name: value for name, value in scores(task).items() if name in ("top1", "top5")},
    )
    return ship(task.shipped, folder / recipe.model, record=record, side=recipe.side)


def prepare(recipe: ClassifierRecipe, *, quiet: bool) -> Prepared:
    """Open the data and build the network. Raises BadInput as `train` does."""
    opened = _undamaged(open_source(recipe.data), quiet=quiet)
    source = _with_held_out(opened, one_in=recipe.hold_out, seed=recipe.seed)
    if not len(source.train):
        raise BadInput(f"{recipe.data} has no picture to train on", hint="add some to train/")
    classes = len(source.classes)
    if classes < 2:
        raise BadInput(
            f"{recipe.data} has one class only: {', '.join(source.classes)}",
            hint="a classifier tells two or more apart: a folder of pictures for each",
        )
    for pictures in (source.train, source.val):
        check_labels(pictures.labels, classes=classes, where=recipe.data)
    _check_plateau(recipe, kept_out=len(source.val))
    pl.seed_everything(recipe.seed, verbose=False)
    net = build(recipe, classes=classes)
    _check_batch(recipe, net)
    how = _preprocessing(recipe, net, source.train)
    recorded = {**how.to_dict(), "side": recipe.side, "resize": usual_resize(recipe.side)}
    task = ClassificationTask(
        net,
        recipe=recipe,
        classes=classes,
        kept_out=Kept(source.val, room=_KEPT_OUT_ROOM),
        preprocessing=recorded,
    )
    samples = Samples(
        source.train,
        side=recipe.side,
        seed=recipe.seed,
        augmentation=Augmentation(recipe.augmentation),
        preprocessing=how,
    )
    return Prepared(task, samples, source, recorded)


def ship(net: nn.Module, stem: Path, *, record: Record, side: int) -> Path:
    """Write a trained network beside ``stem``, as `.safetensors` and as a checked `.onnx`."""
    write(net, stem.with_name(f"{stem.name}.safetensors"), record=record)
    net = net.to(memory_format=torch.contiguous_format)
    interface = interface_of(net, input_size=(3, side, side))
    return export(
        net,
        stem.with_name(f"{stem.name}.onnx"),
        example=interface.example,
        outputs=interface.outputs,
        dynamic=interface.dynamic,
        record=record,
        check=interface.check,
    )


def _undamaged(source: Source, *, quiet: bool) -> Source:
    """The source without those files of a folder that cannot be decoded; they are named.

    Raises BadInput when a class has none left. A folder that is too large is left as it is.
    """
    sides = (source.train, source.val)
    paths = [path for each in sides if isinstance(each, FilePictures) for path in each.paths]
    if not paths or not all(isinstance(each, FilePictures) for each in sides):
        return source
    if sum(path.stat().st_size for path in paths if path.exists()) > _READ_FIRST:
        if not quiet:
            say(
                f"note: not looking through {len(paths)} pictures for damaged ones beforehand; "
                "deepcanon check-data DIR does"
            )
        return source
    source = without_damaged(source)
    if source.skipped and not quiet:
        for file, why in source.skipped:
            say(f"skipped: {file}: {why}")
        skipped = len(source.skipped)
        say(f"{skipped} skipped, {len(paths) - skipped} left")
    return source


def _check_plateau(recipe: ClassifierRecipe, *, kept_out: int) -> None:
    """Raise BadInput for a rate that would wait for measurements which never come."""
    if recipe.schedule != "plateau":
        return
    if not kept_out:
        raise BadInput(
            "schedule=plateau waits for the error on pictures kept out, and none are",
            hint="--set hold_out=10, or --set schedule=cosine",
        )
    waits = recipe.patience * recipe.measure_every
    if waits > recipe.steps:
        raise BadInput(
            f"schedule=plateau waits for {recipe.patience} measurements, {recipe.measure_every} "
            f"steps apart, and there are {recipe.steps} steps",
            hint="set measure_every or patience lower, or take --set schedule=cosine",
        )


def _check_batch(recipe: ClassifierRecipe, net: nn.Module) -> None:
    """Raise BadInput where a batch norm would see one value of each channel: no variance.

    Every step has a whole batch, so that those of one picture a process are all there is to try.
    """
    if recipe.batch > recipe.processes:
        return
    try:
        with torch.no_grad():
            all_logits(copy.deepcopy(net).train(), torch.zeros(1, 3, recipe.side, recipe.side))
    except ValueError as cause:  # torch's batch norm
        raise BadInput(
            f"with one picture of {recipe.side}x{recipe.side} a process, a batch norm of "
            f"{recipe.model} sees one value of each channel, which has no variance",
            hint=f"take two pictures or more a process: --set batch={2 * recipe.processes}",
        ) from cause


def _with_held_out(source: Source, *, one_in: int, seed: int) -> Source:
    """The source; if it sets no pictures aside, with every so many-th of each class set aside."""
    if len(source.val) or not one_in or not len(source.train):
        return source
    held = held_back(source.train.labels, one_in=one_in, seed=seed)
    return dataclasses.replace(
        source,
        train=Picked(source.train, np.flatnonzero(~held)),
        val=Picked(source.train, np.flatnonzero(held)),
    )


def _preprocessing(recipe: ClassifierRecipe, net: nn.Module, pictures: Pictures) -> Preprocessing:
    known: Mapping[str, Preprocessing] = {
        "torchvision": preprocessing.TORCHVISION,
        "inception": preprocessing.INCEPTION,
        "caffe": preprocessing.CAFFE,
    }
    wanted = getattr(net, "preprocessing", None)  # of the weights that it starts from
    if isinstance(wanted, Preprocessing):
        return wanted
    return known.get(recipe.preprocessing) or measured(pictures)


def measured(pictures: Pictures) -> Preprocessing:
    """So that the channels of ``pictures`` have mean 0 and deviation 1, by a thousand of them.

    Where all are grey or one colour, the deviation is taken for 1.
    """
    places = np.unique(np.linspace(0, len(pictures) - 1, _LOOKED_AT).round().astype(int))
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for index in places.tolist():
        values = pictures[index].reshape(-1, 3) / 255
        # Each picture counts the same, whatever its size.
        sums, squares, count = sums + values.mean(0), squares + (values**2).mean(0), count + 1
    mean = sums / count
    std = np.sqrt(np.maximum(0, squares / count - mean**2))
    std[std < 1e-3] = 1
    first, second, third = (round(float(each), 4) for each in mean)
    one, two, three = (round(float(each), 4) for each in std)
    return Preprocessing(
        name="measured",
        order="RGB",
        scale=1.0,
        mean=(first, second, third),
        std=(one, two, three),
    )


def _listing(pictures: Pictures) -> str:
    """A digest of names and labels: a picture that was damaged may be mended, and the run resumed.

    Of a file counts its own name, not the folder that it lies in, as a data set may be moved.
    """
    lines = (
        f"{Path(pictures.name(place)).name} {label}\n"
        for place, label in enumerate(pictures.labels.tolist())
    )
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
