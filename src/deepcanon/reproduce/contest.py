"""Networks trained under one another's conditions: same pictures, order and seed; then judged.

A `Finding` says what a paper found, who is trained, and what follows of the curves; its `run` is
what `deepcanon reproduce NAME` calls. Each contestant that is done is kept in the table on disk, so
that the same command goes on with the next one after an interruption.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from deepcanon.classify.augment import Augmentation
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.samples import Samples
from deepcanon.classify.task import ClassificationTask, top_k
from deepcanon.core import images
from deepcanon.core.atomic import write_whole
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput, Failed
from deepcanon.nn.layer_table import layer_table
from deepcanon.reproduce import Progress, Reproduced, write_table
from deepcanon.reproduce.curves import Claim, Curve, End, Point, margin, percent, verdict
from deepcanon.reproduce.page import draw_curves, markdown
from deepcanon.reproduce.pictures import SIDE, Shared, open_shared
from deepcanon.training import precision, provenance
from deepcanon.training.fit import Run, fit

__all__ = ["Build", "Contestant", "Counts", "Finding", "from_catalogue"]

_POINTS = 100  # of the running error
_GO_ON = "the contestants that were finished are kept: the same command goes on with the next"

Build = Callable[[int], nn.Module]  # the number of classes -> a network


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A network and how it is trained; steps and seed of the recipe are those of the run."""

    name: str
    build: Build
    recipe: ClassifierRecipe


class Counts(NamedTuple):
    """How many pictures stand behind the errors that are compared."""

    late: int  # behind `Curve.late`
    held_out: int  # behind `Curve.judged`


Judge = Callable[[Mapping[str, Curve], Counts], list[Claim]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a paper found, and how it is looked for here."""

    name: str  # of the files
    title: str
    reproduces: str  # paper, section, figure
    found: str  # there
    differs: str  # which numbers are not the paper's
    contestants: tuple[Contestant, ...]
    judge: Judge
    steps: int
    count: int  # pictures
    measurements: int = 20  # of the held-out error while a contestant is trained
    dashed: tuple[str, ...] = ()  # contestants whose curves are drawn so
    goal: float = 0.0  # a running error at which a contestant is done; 0: all steps are taken

    def run(
        self,
        out: str | Path,
        *,
        data: str | Path = "standin",
        steps: int | None = None,
        count: int | None = None,
        seed: int = 0,
        minutes: float | None = None,
        threads: int | None = None,
        on_progress: Progress | None = None,
    ) -> Reproduced:
        """Write ``NAME.json``, ``.md`` and ``.png`` (the curves) into `out`, after each contestant.

        `data` is whatever `deepcanon train` takes; of its training pictures up to `count` are used,
        the same share of each class. After `minutes` no further contestant is begun. Raises
        BadInput for counts below 1, and where `out` holds a run with other settings.
        """
        chosen = replace(
            self,
            steps=self.steps if steps is None else steps,
            count=self.count if count is None else count,
        )
        if min(chosen.steps, chosen.count) < 1:
            raise BadInput(
                f"steps is {chosen.steps} and count is {chosen.count}", hint="give 1 or more"
            )
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            return _run(
                chosen, Path(out), data=data, seed=seed, minutes=minutes, on_progress=on_progress
            )
        finally:
            torch.set_num_threads(before)


def from_catalogue(name: str, settings: Mapping[str, Any] | None = None) -> Build:
    """Builds a network of the catalogue, the paper's variant but for ``settings``."""
    return lambda classes: create_model(name, **{"num_classes": classes, **(settings or {})})


def _run(
    finding: Finding,
    folder: Path,
    *,
    data: str | Path,
    seed: int,
    minutes: float | None,
    on_progress: Progress | None,
) -> Reproduced:
    pictures = open_shared(data, count=finding.count, seed=seed)
    table = _head(finding, pictures, seed=seed)
    kept = _kept(folder / f"{finding.name}.json", table["settings"])
    total = finding.steps * len(finding.contestants)
    began, new = time.perf_counter(), 0
    files = _write(finding, table, folder)
    for place, contestant in enumerate(finding.contestants):
        recipe = replace(contestant.recipe, steps=finding.steps, seed=seed)
        settings = provenance.as_dict(recipe)
        start = _start(contestant, recipe, classes=pictures.classes)
        found = kept.get(contestant.name)
        if found is None or (found["recipe"], found.get("start")) != (settings, start):
            if new and minutes is not None and time.perf_counter() - began > 60 * minutes:
                continue

            def tell(
                step: int, detail: str, done: int = place, name: str = contestant.name
            ) -> None:
                if on_progress is not None:
                    on_progress(done * finding.steps + step, total, f"{name}: {detail}")

            curve = _train(contestant, recipe, pictures, finding=finding, tell=tell)
            found = {
                "recipe": settings,
                "start": start,
                "date": provenance.today(),
                "machine": provenance.hardware(),
                **curve.to_dict(),
            }
            new += 1
        table["contestants"][contestant.name] = found
        files = _write(finding, table, folder)
    return Reproduced(table=table, files=files)


def _start(contestant: Contestant, recipe: ClassifierRecipe, *, classes: int) -> str:
    """A digest of the network that a contestant begins with: a kept one may have had another."""
    pl.seed_everything(recipe.seed, verbose=False)
    digest = hashlib.sha256()
    for name, value in contestant.build(classes).state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _train(
    contestant: Contestant,
    recipe: ClassifierRecipe,
    pictures: Shared,
    *,
    finding: Finding,
    tell: Callable[[int, str], None],
) -> Curve:
    pl.seed_everything(recipe.seed, verbose=False)
    net = contestant.build(pictures.classes)
    size = layer_table(net, input_size=(3, SIDE, SIDE))
    task = ClassificationTask(
        net,
        recipe=recipe,
        classes=pictures.classes,
        kept_out=pictures.watched,
        preprocessing=pictures.how,
    )
    samples = Samples(
        pictures.train,
        side=SIDE,
        seed=recipe.seed,
        augmentation=Augmentation(recipe.augmentation),
        preprocessing=pictures.preprocessing,
    )
    recorder = _Recorder(
        steps=finding.steps, measurements=finding.measurements, goal=finding.goal, tell=tell
    )
    end = _fit(task, samples, recipe, recorder)
    errors = [
        None
        if end is End.DIVERGED
        else 1 - top_k(task.shipped, some, preprocessing=pictures.how)["top1"]
        for some in (pictures.seen, pictures.judged)
    ]
    return Curve(
        parameters=size.parameters,
        multiply_adds=size.multiply_adds,
        end=end,
        running=recorder.running,
        held_out=recorder.held_out,
        train_error=errors[0],
        held_out_error=errors[1],
    )


def _fit(
    task: ClassificationTask, samples: Samples, recipe: ClassifierRecipe, recorder: _Recorder
) -> End:
    with TemporaryDirectory() as scratch:
        run = Run(
            folder=Path(scratch) / "run",
            steps=recipe.steps,
            batch=recipe.batch,
            seed=recipe.seed,
            precision=recipe.precision,
            checkpoint_every=recipe.steps,
            quiet=True,
        )
        try:
            finished = fit(task, samples, run=run, recipe={}, callbacks=[recorder])
        except Failed:
            if recorder.loss is None or bool(torch.isfinite(recorder.loss)):
                raise
            return End.DIVERGED
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_GO_ON) from None
    if recorder.reached:
        return End.GOAL
    if not finished:
        raise KeyboardInterrupt(_GO_ON)
    return End.STEPS


class _Recorder(pl.Callback):
    """Keeps the curves, and ends a run that has reached its goal."""

    def __init__(
        self, *, steps: int, measurements: int, goal: float, tell: Callable[[int, str], None]
    ) -> None:
        self.steps, self.goal, self.tell = steps, goal, tell
        self.every = max(1, steps // _POINTS)
        self.measure_every = max(1, steps // measurements)
        self.running: list[Point] = []
        self.held_out: list[Point] = []
        self.reached = False
        self.loss: Tensor | None = None  # of the last batch
        self._errors: list[float] = []  # of the batches since the last point
        self._seconds, self._since = 0.0, math.nan

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Keep the loss, which tells a network that diverged from another failure."""
        self.loss = loss.detach()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Take the step in; stop the clock while the network is measured."""
        self._seconds += time.perf_counter() - self._since
        step, last = trainer.global_step, trainer.global_step == self.steps
        self._errors.append(1 - float(trainer.callback_metrics["batch_top1"]))
        if step % self.every == 0 or last:
            mean = sum(self._errors) / len(self._errors)
            self.running.append(Point(step, self._seconds, mean))
            self._errors = []
            self.reached = mean <= self.goal and self.goal > 0
            trainer.should_stop = trainer.should_stop or self.reached
        if step % self.measure_every == 0 or last or self.reached:
            found = pl_module.measure()  # type: ignore[operator]
            pl_module.hear(found)  # type: ignore[operator]
            self.held_out.append(Point(step, self._seconds, 1 - found["top1"]))
        shown = f"{percent(self.running[-1].error)} wrong" if self.running else ""
        self.tell(step, shown)
        self._since = time.perf_counter()


def _head(finding: Finding, pictures: Shared, *, seed: int) -> dict[str, Any]:
    return {
        "name": finding.name,
        "title": finding.title,
        "reproduces": finding.reproduces,
        "found": finding.found,
        "differs": finding.differs,
        "settings": {
            "data": pictures.name,
            "classes": pictures.classes,
            "pictures": len(pictures.train),
            "held_out": len(pictures.judged),
            "steps": finding.steps,
            "seed": seed,
            "precision": precision.resolve(ClassifierRecipe().precision),
            "threads": torch.get_num_threads(),
        },
        "of": [each.name for each in finding.contestants],
        "dashed": list(finding.dashed),
        "goal": finding.goal,
        "contestants": {},
    }


def _kept(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The contestants of an earlier run with the same settings."""
    if not path.exists():
        return {}
    other = f"name another folder with -o, or delete {path}"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        there, kept = dict(table["settings"]), dict(table["contestants"])
        for each in kept.values():
            Curve.from_dict(each)
            each["recipe"].keys()
            for key in ("date", "machine"):  # of the whole table in tables written before
                each.setdefault(key, table.get(key, "unknown"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise BadInput(f"{path} is not a table of this reproduction", hint=other) from cause
    changed = [key for key in settings if there.get(key) != settings[key]]
    if changed:
        key = changed[0]
        raise BadInput(
            f"{path} was measured with {key} {there.get(key)}, and now it is {settings[key]}",
            hint=other,
        )
    return kept


def _write(finding: Finding, table: dict[str, Any], folder: Path) -> tuple[Path, ...]:
    """Judge, if all have run, and write all there is; nothing while there is nothing."""
    path = folder / f"{finding.name}.json"
    curves = {name: Curve.from_dict(each) for name, each in table["contestants"].items()}
    if curves:  # before they are judged: what was trained is kept, whatever comes of it
        write_table({**table, "claims": [], "verdict": "not judged"}, path)
    claims, table["verdict"] = _judged(finding, curves, table["settings"])
    table["claims"] = [claim._asdict() for claim in claims]
    page, picture = folder / f"{finding.name}.md", folder / f"{finding.name}.png"
    if not curves:
        return ()
    write_table(table, path)
    with write_whole(page) as file:
        file.write(markdown(table).encode())
    images.save(draw_curves(table), picture)
    return page, path, picture


def _judged(
    finding: Finding, curves: Mapping[str, Curve], settings: Mapping[str, Any]
) -> tuple[list[Claim], str]:
    """The claims and the verdict; no claims while contestants are missing, of generated pictures,
    which no paper is about, and where nothing was learnt."""
    of = len(finding.contestants)
    if len(curves) < of:
        return [], f"not judged: {len(curves)} of {of} contestants have run"
    if settings["data"] == "standin":
        return [], "not judged: stand-in pictures"
    guessed, count = 1 - 1 / settings["classes"], settings["held_out"]
    best = min(curve.judged for curve in curves.values())
    # Otherwise what a paper found to make no difference would be reproduced by doing nothing.
    if guessed - best <= margin(best, guessed, count=count):
        return [], f"not judged: guessing is as good, which is wrong in {percent(guessed)}"
    late = max(1, finding.steps // 10) * finding.contestants[0].recipe.batch
    claims = finding.judge(curves, Counts(late=late, held_out=count))
    return claims, verdict(claims)
