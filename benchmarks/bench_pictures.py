"""Pictures decoded and augmented a second: ours against torchvision's ImageFolder with v2.

The same files, the same augmentation, the same number of worker processes, in turn. Ours keeps
decoded pictures, so its later rounds cost less: the first round, which decodes them all, is the
comparison, and a later one stands beside it (without workers, whose memory a new loader has not).
Aim: no slower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sidebyside import THREADS, Spread, in_turn, machine, ratios, table, two_cores

BATCH = 32
OURS, LATER, PEER = "deepcanon, first round", "deepcanon, later round", "torchvision"


class Kind(NamedTuple):
    """Which files, and what is done to them."""

    side: int  # of what the network is shown
    size: tuple[int, int]  # (height, width) of the files
    suffix: str
    augmentation: str


KINDS = {
    "photographs, inception": Kind(224, (375, 500), ".jpg", "inception"),  # ImageNet's usual size
    "32x32, cifar": Kind(32, (32, 32), ".png", "cifar"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Print pictures a second, and ours over the peer's, round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, THREADS], metavar="N")
    wanted = parser.parse_args(words)
    two_cores()
    import torch

    torch.set_num_threads(1)  # as in a worker
    print(machine("deepcanon", "torch", "torchvision", "pillow"))
    print(f"medians of {wanted.rounds} rounds in turn (least-largest), ratios pair by pair\n")
    rows, compared = [], []
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), kind, count=wanted.pictures)
            for workers in wanted.workers:
                contenders = {
                    OURS: rate(partial(ours, folder, kind), workers=workers),
                    PEER: rate(partial(peer, folder, kind), workers=workers),
                }
                if workers == 0:
                    contenders[LATER] = rate(later(folder, kind), workers=0)
                found = in_turn(contenders, rounds=wanted.rounds)
                rows += [
                    [name, workers, who, Spread.of(rates).text(digits=0)]
                    for who, rates in found.items()
                ]
                compared.append([name, workers, ratios(found[OURS], found[PEER]).text(), "≥ 1"])
    print(table(["pictures", "workers", "loader", "a second"], rows))
    print()
    print(table(["pictures", "workers", "ours / torchvision's", "aim"], compared))
    return 0


def fill(folder: Path, kind: Kind, *, count: int) -> None:
    """Two classes of generated photographs."""
    from deepcanon.core.images import save
    from deepcanon.core.standin import photo

    for seed in range(count):
        save(photo(seed, kind.size), folder / "ab"[seed % 2] / f"{seed}{kind.suffix}")


def ours(folder: str, kind: Kind) -> Any:
    """The samples that `deepcanon train` takes, nothing decoded so far."""
    from deepcanon.classify.augment import Augmentation
    from deepcanon.classify.data.sources import open_source
    from deepcanon.classify.samples import Samples
    from deepcanon.nn.preprocessing import TORCHVISION

    return Samples(
        open_source(folder).train,
        side=kind.side,
        seed=0,
        augmentation=Augmentation(kind.augmentation),
        preprocessing=TORCHVISION,
    )


def later(folder: str, kind: Kind) -> Callable[[], Any]:
    """The same samples in every round, all decoded."""
    samples = ours(folder, kind)
    return lambda: samples


def peer(folder: str, kind: Kind) -> Any:
    """torchvision's references/classification, with the same crops."""
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    if kind.augmentation == "cifar":
        crop: Any = v2.RandomCrop(kind.side, padding=kind.side // 8)
    else:
        crop = v2.RandomResizedCrop(kind.side, scale=(0.08, 1), ratio=(3 / 4, 4 / 3))
    steps = [
        crop,
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        v2.ToPureTensor(),
    ]
    return ImageFolder(folder, transform=v2.Compose(steps))


def rate(make: Callable[[], Any], *, workers: int) -> Callable[[], float]:
    """Pictures a second of one round through a data set, as a contender."""

    def one_round() -> float:
        from torch.utils.data import DataLoader

        data = make()
        count = len(data.pictures if hasattr(data, "pictures") else data)
        loader = DataLoader(data, batch_size=BATCH, sampler=range(count), num_workers=workers)
        began = time.perf_counter()
        seen = sum(len(labels) for _, labels in loader)
        elapsed = time.perf_counter() - began
        assert seen == count
        return count / elapsed

    return one_round


if __name__ == "__main__":
    sys.exit(main())
