"""One way to train: PyTorch Lightning, steps not epochs, and a run that resumes bit for bit.

What makes a resumed run end with the very weights of an uninterrupted one:

- Sample ``i`` of a `Counted` data set depends on the seed and on ``i`` alone, and step ``s``
  always takes samples ``s * batch`` to ``(s + 1) * batch``: there is no sampler state to lose.
- Checkpoints are written between two steps only, also on Ctrl-C (`callbacks.StopGently`), and
  hold weights, optimiser, schedule, averaged weights and every random generator.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import lightning_utilities.core.rank_zero  # noqa: F401 - before Lightning, which warns otherwise
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset, Sampler

from deepcanon.core.errors import BadInput
from deepcanon.training.callbacks import Progress, RandomState, StopGently, StopOnNaN
from deepcanon.training.resume import LAST, check_same_recipe

Sample = TypeVar("Sample", covariant=True)


class Counted(Protocol[Sample]):
    """A data set without end: sample ``index`` depends on nothing but its seed and ``index``."""

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``, 0 or more."""


class _Onwards(Sampler[int]):
    """first, first + 1, ..., last - 1."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last))

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, kw_only=True)
class Run:
    """How long, how fast, and where to."""

    folder: Path
    steps: int
    batch: int
    seed: int = 0
    precision: str = "float32"  # or "bfloat16": autocast, weights stay float32
    checkpoint_every: int = 500
    threads: int | None = None
    quiet: bool = False


_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def fit(
    task: pl.LightningModule,
    data: Counted[Any],
    *,
    run: Run,
    recipe: dict[str, Any],
    resume: bool = False,
    callbacks: Sequence[pl.Callback] = (),
) -> bool:
    """Train ``task`` for ``run.steps`` steps; True when all of them were taken, False on Ctrl-C.

    ``recipe`` is stored in every checkpoint; resuming with another one raises BadInput that says
    what differs. Raises BadInput too when the folder already holds a run and ``resume`` is off.
    """
    last = run.folder / LAST
    if resume and not last.exists():
        raise BadInput(f"there is no {last} to resume", hint="leave --resume out to start anew")
    if not resume and last.exists():
        raise BadInput(
            f"{run.folder} already holds a run",
            hint="add --resume to continue it, or choose another folder with -o",
        )
    first = check_same_recipe(last, recipe) if resume else 0
    if run.threads:
        torch.set_num_threads(run.threads)
    pl.seed_everything(run.seed, verbose=False)
    stop = StopGently(run.folder, every=run.checkpoint_every, recipe=recipe)
    run.folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # Two cores are busy with the step itself; loader workers would only take turns with it.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_steps=run.steps,
            max_epochs=1,
            precision=_PRECISION[run.precision],
            logger=[CSVLogger(run.folder, "", "log"), TensorBoardLogger(run.folder, "", "log")],
            log_every_n_steps=25,
            callbacks=[*callbacks, RandomState(), StopOnNaN(), stop, Progress(quiet=run.quiet)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader: DataLoader[Any] = DataLoader(
            data,  # type: ignore[arg-type]  # a Counted has no length, by design
            batch_size=run.batch,
            sampler=_Onwards(first * run.batch, run.steps * run.batch),
        )
        trainer.fit(task, loader, ckpt_path=str(last) if resume else None, weights_only=True)
    return trainer.global_step >= run.steps


__all__ = ["Counted", "Dataset", "Run", "fit"]
