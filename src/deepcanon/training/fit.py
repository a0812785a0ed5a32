"""One way to train: PyTorch Lightning, steps not epochs, and a run that resumes bit for bit.

What makes a resumed run end with the very weights of an uninterrupted one:

- Sample ``i`` of a `Counted` data set depends on the seed and on ``i`` alone, and step ``s``
  always takes samples ``s * batch`` to ``(s + 1) * batch``: there is no sampler state to lose.
- Checkpoints are written between two steps only, also on Ctrl-C (`callbacks.StopGently`), and
  hold weights, optimiser, schedule, averaged weights and every random generator.
- The number of threads is the same: sums are taken in another order with another number. A
  resumed run says so when it is not.

All of this holds for several processes too (`deepcanon.training.ranks`), each of which then takes
its share of every batch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import lightning_utilities.core.rank_zero  # noqa: F401 - before Lightning, which warns otherwise
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader, Sampler

from deepcanon.core.atomic import cannot_write
from deepcanon.core.errors import BadInput
from deepcanon.training import precision
from deepcanon.training.callbacks import RandomState, StopGently, StopOnNaN
from deepcanon.training.doubts import Doubts
from deepcanon.training.measure import Measure
from deepcanon.training.progress import Averages, Progress, Table, say
from deepcanon.training.ranks import Place, place, strategy
from deepcanon.training.resume import (
    LAST,
    check_folder,
    check_same_inputs,
    check_same_recipe,
    read,
)

Sample = TypeVar("Sample", covariant=True)


class Counted(Protocol[Sample]):
    """A data set without end: sample ``index`` depends on nothing but its seed and ``index``."""

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``, 0 or more."""


class _Onwards(Sampler[int]):
    """The samples of a process, step by step: its share of ``batch`` in each."""

    def __init__(self, steps: range, *, batch: int, here: Place) -> None:
        self.steps, self.batch, self.here = steps, batch, here

    def of(self, step: int) -> range:
        """The samples of one step, counted from 0."""
        share = self.batch // self.here.of
        first = step * self.batch + self.here.rank * share
        return range(first, first + share)

    def __iter__(self) -> Iterator[int]:
        return (index for step in self.steps for index in self.of(step))

    def __len__(self) -> int:
        return len(self.steps) * (self.batch // self.here.of)


class Paced(Protocol):
    """A recipe with the fields that every run has; see `Run` for what they mean."""

    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def precision(self) -> str: ...
    @property
    def checkpoint_every(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """How long, how fast, and where to. Raises BadInput for a number that is too small."""

    folder: Path
    steps: int
    batch: int
    seed: int = 0
    precision: str = "float32"  # or "bfloat16": autocast, weights stay float32; or "auto"
    checkpoint_every: int = 500
    measure_every: int | None = None  # a task that is `measure.Measured`: so often, and at the end
    workers: int = 0  # processes beside this one that make samples
    quiet: bool = False

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "checkpoint_every": 1, "seed": 0, "workers": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise BadInput(
                    f"{name} is {getattr(self, name)}, and the least is {value}",
                    hint=f"change it with --set {name}=...",
                )

    @classmethod
    def of(cls, recipe: Paced, *, folder: Path, quiet: bool) -> Run:
        """As the recipe says."""
        return cls(
            folder=folder,
            steps=recipe.steps,
            batch=recipe.batch,
            seed=recipe.seed,
            precision=recipe.precision,
            checkpoint_every=recipe.checkpoint_every,
            quiet=quiet,
        )


_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def fit(
    task: pl.LightningModule,
    data: Counted[Any],
    *,
    run: Run,
    recipe: dict[str, Any],
    inputs: Mapping[str, str] | None = None,
    names: Callable[[int], str] | None = None,
    chance: float | None = None,
    resume: bool = False,
    callbacks: Sequence[pl.Callback] = (),
) -> bool:
    """Train ``task`` for ``run.steps`` steps; True when all of them were taken, False on Ctrl-C.

    ``recipe`` is stored in every checkpoint, and so are ``inputs``, digests of the files that the
    run reads; resuming with others raises BadInput that says what differs. Raises BadInput too
    when the folder already holds a run and ``resume`` is off, and where ``data`` does, with a hint
    at a checkpoint if there is one. Raises Failed, naming the step, when the loss or a weight is no
    number; ``names`` then says what each sample of the step showed. A second Ctrl-C raises
    KeyboardInterrupt at once. ``chance`` is what the loss of a task that logs ``loss`` comes to by
    guessing; a run that does no better is warned of.

    Training is on the CPU only: no judge and no target of a task is moved to another device.
    """
    last = run.folder / LAST
    here = place()
    kind = precision.resolve(run.precision)
    check_folder(run.folder, resume=resume)
    first = check_same_recipe(last, recipe) if resume else 0
    given = dict(inputs or {})
    if resume:
        check_same_inputs(last, given)
    if not run.quiet:
        _say_where(run, first=first, resume=resume)
    # Each process draws for itself: dropout must not leave out the same of all shares.
    pl.seed_everything(run.seed + here.rank, verbose=False)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise cannot_write(run.folder, cause) from cause
    averages = Averages()
    stop = StopGently(
        last, every=run.checkpoint_every, recipe=recipe, inputs=given, quiet=run.quiet
    )
    # The order matters: random state first, a measurement before those who show it, and a
    # checkpoint before others begin with a step.
    samples = _Onwards(range(first, run.steps), batch=run.batch, here=here)
    shown_at = None if names is None else lambda step: [names(i) for i in samples.of(step - 1)]
    ours: list[pl.Callback] = [RandomState(), StopOnNaN(last, batch=shown_at)]
    if run.measure_every is not None:
        ours.append(Measure(every=run.measure_every, averages=averages))
    ours.append(averages)
    if chance is not None:
        ours.append(Doubts(averages=averages, chance=chance, quiet=run.quiet))
    ours.append(stop)
    shown: list[pl.Callback] = [
        Table(run.folder / "log" / "metrics.csv", averages=averages),
        Progress(averages=averages, quiet=run.quiet),
    ]
    with _without_chatter():
        board = TensorBoardLogger(run.folder, "", "log", purge_step=first if resume else None)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=here.of,
            strategy=strategy(here),
            use_distributed_sampler=False,
            max_steps=run.steps,
            max_epochs=1,
            precision=_PRECISION[kind],
            logger=board,
            log_every_n_steps=25,
            callbacks=[*ours, *callbacks, *(shown if here.rank == 0 else [])],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader: DataLoader[Any] = DataLoader(
            data,  # type: ignore[arg-type]  # a Counted has no length, by design
            batch_size=run.batch // here.of,
            sampler=samples,
            num_workers=run.workers,
        )
        try:
            with stop.listening():
                trainer.fit(task, loader, ckpt_path=last if resume else None, weights_only=True)
        except SIGTERMException:
            pass
        except BadInput as error:  # a sample that cannot be made: what was learnt so far is sound
            if not last.exists():
                raise
            raise BadInput(error.message, hint=f"{error.hint}; then go on with --resume") from error
        except SystemExit:  # Lightning's answer to a KeyboardInterrupt
            raise KeyboardInterrupt from None
    return trainer.global_step >= run.steps


def scores(task: pl.LightningModule) -> dict[str, float]:
    """What a fitted task logged, averaged over its last steps; for a resumed run the same."""
    found = (each for each in task.trainer.callbacks if isinstance(each, Averages))  # type: ignore[attr-defined]
    return dict(next(found).values)


def _say_where(run: Run, *, first: int, resume: bool) -> None:
    how = f"resuming at step {first} of {run.steps}" if resume else f"{run.steps} steps"
    say(f"{how}, into {run.folder}; Ctrl-C stops with a checkpoint")
    if not resume:
        return
    then, now = read(run.folder / LAST)["deepcanon"].get("threads"), torch.get_num_threads()
    if then not in (None, now):
        say(f"note: {then} threads then, {now} now: the last bits of the weights may differ")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Leave out what Lightning tells every run: hardware, tips, workers, its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message="Total length of .* across ranks is zero.*")
            # Of the averaging of gradients: kernels of one pixel are laid out in two ways at once.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view.*")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


__all__ = ["Counted", "Paced", "Run", "fit", "scores"]
