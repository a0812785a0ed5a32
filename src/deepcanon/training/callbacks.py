"""What happens between two steps: checkpoints, a gentle stop, a look for NaN, random state.

Lightning calls a callback's ``on_train_batch_end`` *before* the task's own, in which a task may
still move an average of its weights. What must see a step finished therefore acts at the start of
the next one.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, Failed
from deepcanon.training.resume import after_nan, save, start_at

BAD_BATCH = "bad_batch.txt"


def is_distributed() -> bool:
    """Whether there are other processes in this run."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class RandomState(pl.Callback):
    """Puts every random generator into the checkpoint, and takes it out again.

    Not before the first step, so that nothing which happens on the way there (other callbacks, the
    loader's own seed) draws from a generator that has been restored. Must be the first callback.
    Of several processes, every one's generators are in it, so all of them must ask for the state.
    """

    def __init__(self) -> None:
        self._to_restore: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The generators of Python, numpy and torch."""
        own = self._own()
        if not is_distributed():
            return own
        packed = io.BytesIO()  # tensors do not travel as such
        torch.save(own, packed)
        found = [b""] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, packed.getvalue())
        return {"ranks": [torch.load(io.BytesIO(each), weights_only=True) for each in found]}

    @staticmethod
    def _own() -> dict[str, Any]:
        numpy: dict[str, Any] = np.random.get_state(legacy=False)
        inner = numpy["state"]
        return {
            "python": random.getstate(),
            "numpy": (
                numpy["bit_generator"],
                torch.from_numpy(inner["key"].copy()),
                inner["pos"],
                numpy["has_gauss"],
                numpy["gauss"],
            ),
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state for the first step."""
        ranks = state_dict.get("ranks")
        self._to_restore = state_dict if ranks is None else ranks[torch.distributed.get_rank()]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Continue each generator where it stood."""
        if self._to_restore is None:
            return
        state, self._to_restore = self._to_restore, None
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, place, has_gauss, normal = state["numpy"]
        np.random.set_state((kind, keys.numpy(), place, has_gauss, normal))
        torch.set_rng_state(state["torch"])


class StopGently(pl.Callback):
    """Checkpoints every so many steps, at the end, and on the first Ctrl-C (after its step).

    SIGTERM, which a shutting-down machine sends, stops a run the same way.
    """

    def __init__(
        self,
        path: Path,
        *,
        every: int,
        recipe: dict[str, Any],
        inputs: dict[str, str],
        quiet: bool,
    ) -> None:
        self.path, self.every, self.quiet = path, every, quiet
        self.recipe, self.inputs = recipe, inputs
        self._asked = False
        self._saved: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """In here the first Ctrl-C only asks; the second one interrupts at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            self._asked = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if not self.quiet:
                # Not print(): a signal may come while standard error is being written to.
                with suppress(OSError, ValueError, AttributeError):
                    os.write(sys.stderr.fileno(), b"\nstopping after this step; Ctrl-C: at once\n")

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread: there is no Ctrl-C to catch
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let Lightning count from where the loader begins."""
        start_at(checkpoint)
        self._saved = checkpoint["deepcanon"]["step"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """A checkpoint of the step before, where one is due."""
        if trainer.world_size > 1:  # all stop together, whoever was asked
            self._asked = trainer.strategy.reduce_boolean_decision(self._asked, all=False)
        if self._asked or (trainer.global_step and trainer.global_step % self.every == 0):
            self._save(trainer)
        if self._asked:
            trainer.should_stop = True
            raise StopIteration  # leaves the loop without this step

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last checkpoint of a run that took all its steps."""
        if not self._asked or trainer.global_step >= (trainer.max_steps or 0):
            self._save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Lightning raises SIGTERMException between two steps, and so is data read: a picture
        that cannot be may be mended, and the run resumed."""
        told = isinstance(exception, SIGTERMException)
        unread = isinstance(exception, BadInput) and trainer.global_step > 0
        if told or (unread and trainer.world_size == 1):  # the others would not save with it
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if self._saved != trainer.global_step:
            save(trainer, self.path, recipe=self.recipe, inputs=self.inputs)
            self._saved = trainer.global_step


class StopOnNaN(pl.Callback):
    """Ends a run whose loss is no number, naming the step, before it poisons a checkpoint.

    ``batch`` says of a step, counted from 1, what it was shown; all of it is written beside the
    checkpoint at ``path``.
    """

    def __init__(self, path: Path, *, batch: Callable[[int], Sequence[str]] | None = None) -> None:
        self.path, self.batch = path, batch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Look at the step's loss."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor) or bool(torch.isfinite(loss).all()):
            return
        step = trainer.global_step
        shown = "" if self.batch is None else self._name(self.batch(step))
        raise Failed(
            f"the loss became {loss.item()} at step {step}{shown}", hint=after_nan(self.path)
        )

    def _name(self, shown: Sequence[str]) -> str:
        """Some names for the message, all of them into a file."""
        listing = self.path.with_name(BAD_BATCH)
        with write_whole(listing) as file:
            file.write("".join(f"{each}\n" for each in shown).encode(errors="backslashreplace"))
        rest = f" and {len(shown) - 3} more, all in {listing}" if len(shown) > 3 else ""
        return f", which was shown {', '.join(shown[:3])}{rest}"
