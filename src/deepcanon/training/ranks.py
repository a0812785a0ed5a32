"""Several processes that train one network: each takes its share of every batch.

This process is the first of them and starts the others, which run the same recipe from the start;
`deepcanon.training.fit` asks `place` for its part. Gradients are averaged by PyTorch's
DistributedDataParallel over gloo, so that one step of n processes is one step on the whole batch,
but for batch norm, whose statistics are of a process's own share (the first one's are kept).
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from deepcanon.core.errors import DeepcanonError, Failed

_HOST = "127.0.0.1"
_TO_END = 60.0  # seconds that the others have to end after the first one
# The others wait while the first one measures, which may take longer than gloo's half hour.
_TO_MEET = timedelta(days=7)
_TO_TELL = 5.0  # seconds in which another that failed has said why


@dataclass(frozen=True)
class Place:
    """Which process this is, from 0, of how many, and the port on which they meet."""

    rank: int = 0
    of: int = 1
    port: int = 0


_ALONE = Place()
_place: ContextVar[Place] = ContextVar("place", default=_ALONE)


def place() -> Place:
    """Of this process."""
    return _place.get()


def strategy(here: Place) -> Any:
    """What Lightning's Trainer takes as its strategy."""
    if here.of == 1:
        return "auto"
    return DDPStrategy(
        cluster_environment=_Group(here), process_group_backend="gloo", timeout=_TO_MEET
    )


def run_together(
    runner: str, recipe: Any, *, folder: Path, resume: bool, quiet: bool, processes: int
) -> Path | None:
    """Run ``runner``, "module:function", in this process and in others, ``processes`` in all.

    Returns what it returns here. The processor threads of this process are divided among all.
    Raises what it raises here, or in another process where that is the cause.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit threads that are no more
    errors: Any = context.SimpleQueue()
    threads = torch.get_num_threads()
    each = max(1, threads // processes)
    port = _free_port()
    others = [
        context.Process(
            target=_other,
            args=(Place(rank, processes, port), runner, recipe, folder, resume, each, errors),
        )
        for rank in range(1, processes)
    ]
    patience = 0.0
    try:
        torch.set_num_threads(each)
        for process in others:
            process.start()
        with _at(Place(0, processes, port)):
            made = _call(runner, recipe, folder=folder, resume=resume, quiet=quiet)
        patience = _TO_END
        return made
    except DeepcanonError:
        raise
    except Exception as error:  # the connection breaks when another process fails
        if (cause := _cause(errors, others)) is not None:
            raise cause from error
        raise
    finally:
        torch.set_num_threads(threads)
        with suppress(RuntimeError, ValueError):
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
        _end(others, patience=patience)


def _call(runner: str, recipe: Any, *, folder: Path, resume: bool, quiet: bool) -> Path | None:
    module, _, function = runner.partition(":")
    run = getattr(import_module(module), function)
    made: Path | None = run(recipe, folder=folder, resume=resume, quiet=quiet)
    return made


def _other(
    here: Place, runner: str, recipe: Any, folder: Path, resume: bool, threads: int, errors: Any
) -> None:
    """What the other processes do: the same in silence, and tell why they failed."""
    torch.set_num_threads(threads)
    _place.set(here)
    try:
        _call(runner, recipe, folder=folder, resume=resume, quiet=True)
    except KeyboardInterrupt:
        return  # the first process says so
    except DeepcanonError as error:
        errors.put(error)
    except Exception as error:
        text = " ".join(str(error).split())
        errors.put(
            Failed(
                f"process {here.rank} of {here.of} failed: {type(error).__name__}: {text}",
                hint="the same with --set processes=1 may say more",
            )
        )


@contextmanager
def _at(here: Place) -> Iterator[None]:
    token = _place.set(here)
    try:
        yield
    finally:
        _place.reset(token)


def _cause(errors: Any, others: Sequence[BaseProcess]) -> DeepcanonError | None:
    """What another process failed of, if it says so soon."""
    until = time.monotonic() + _TO_TELL
    while time.monotonic() < until:
        if not errors.empty():
            cause: DeepcanonError = errors.get()
            return cause
        if not any(process.is_alive() for process in others):
            return None
        time.sleep(0.05)
    return None


def _end(others: Sequence[BaseProcess], *, patience: float) -> None:
    """Wait for the others, then end them."""
    until = time.monotonic() + patience
    for process in others:
        if process.pid is None:  # never started
            continue
        process.join(timeout=max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST, 0))
        port: int = found.getsockname()[1]
        return port


class _Group(ClusterEnvironment):
    """Tells Lightning of processes that it need not start."""

    def __init__(self, here: Place) -> None:
        super().__init__()
        self.here = here

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return _HOST

    @property
    def main_port(self) -> int:
        return self.here.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.here.of

    def set_world_size(self, size: int) -> None:
        return

    def global_rank(self) -> int:
        return self.here.rank

    def set_global_rank(self, rank: int) -> None:
        return

    def local_rank(self) -> int:
        return self.here.rank

    def node_rank(self) -> int:
        return 0
