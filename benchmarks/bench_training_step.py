"""One step of training a classifier: `deepcanon train` against a plain loop of PyTorch.

Both start from the same weights and take the same batches, step by step in turn, in one process.
Ours is the trainer's step as `fit` runs it: forward, loss, backward, optimiser and logging, in
channels last, in bfloat16 where the processor has it, and the check for NaN. What the trainer does
before a step's first callback and after its last is not in it: the state of the random generators,
the table of the log, progress. The plain loop is torch's tutorial in float32 on torchvision's
ResNet-50, and on our own ResNet-20, of which torchvision has none; as in ours, only the weights of
layers decay. Making the batch is timed in neither. Aim: 1.3 times as fast, and the same loss
curve within noise: in no quarter of the steps are the mean losses further apart than `LIMIT` of
the loss that the plain loop began with.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sidebyside import THREADS, Spread, machine, ratios, table, two_cores

if TYPE_CHECKING:
    from deepcanon.classify.recipes import ClassifierRecipe

CLASSES = 10
WARM_UP = 2  # steps that are not counted
LIMIT = 0.10  # how far apart the mean losses of a quarter may be, as a share of the first loss


class Setting(NamedTuple):
    """What is trained."""

    recipe: str
    side: int
    batch: int
    steps: int
    pictures: int
    changes: dict[str, Any]


SETTINGS = {
    "resnet20": Setting("resnet20-cifar10", 32, 128, 100, 1280, {}),
    # A sixteenth of the paper's batch does not bear the paper's rate: at 0.01 the loss rises.
    "resnet50": Setting(
        "resnet50-imagenet", 224, 16, 16, 64, {"variant": "torchvision", "learning_rate": 0.001}
    ),
}


@dataclasses.dataclass
class Steps:
    """Seconds and losses, step by step."""

    ours: list[float] = dataclasses.field(default_factory=list)
    theirs: list[float] = dataclasses.field(default_factory=list)
    our_losses: list[float] = dataclasses.field(default_factory=list)
    their_losses: list[float] = dataclasses.field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    """Print seconds a step, the speed-up pair by pair, and both loss curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--steps", type=int, help="default: 100, and 16 of the large network")
    parser.add_argument("--batch", type=int, help="default: 128, and 16 of the large network")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="default: 32 and 224")
    wanted = parser.parse_args(words)
    two_cores()
    import torch

    torch.set_num_threads(THREADS)
    print(machine("deepcanon", "torch", "torchvision", "pytorch-lightning"))
    print("medians (least-largest) of steps in turn, ratios pair by pair\n")
    rows, curves, apart = [], [], []
    for name in wanted.models:
        usual = SETTINGS[name]
        setting = usual._replace(
            steps=wanted.steps or usual.steps,
            batch=wanted.batch or usual.batch,
            side=wanted.side or usual.side,
        )
        kind, steps = run(setting)
        counted = slice(min(WARM_UP, len(steps.ours) - 1), None)
        ours, theirs = steps.ours[counted], steps.theirs[counted]
        rows.append(
            [
                f"{name}, {setting.batch} of {setting.side}²",
                f"{Spread.of(ours).text(0.001, digits=0)} ({kind})",
                Spread.of(theirs).text(0.001, digits=0),
                ratios(theirs, ours).text(),
            ]
        )
        curve, plain = quarters(steps.our_losses), quarters(steps.their_losses)
        curves += [
            [name, who, *(f"{each:.3f}" for each in means)]
            for who, means in (("deepcanon", curve), ("plain", plain))
        ]
        began = steps.their_losses[0]
        apart.append(verdict(name, largest_difference(curve, plain, began=began)))
    head = ["step", "deepcanon, ms", "plain loop, ms", "speed-up (aim ≥ 1.3)"]
    print(table(head, rows))
    print("\nmean loss of each quarter of the steps\n")
    print(table(["network", "loop", "1", "2", "3", "4"], curves))
    print()
    head = ["network", "largest difference, % of the first loss", "limit, %", "the same curve"]
    print(table(head, apart))
    return 0


def run(setting: Setting) -> tuple[str, Steps]:
    """Train both; our precision, and what was measured."""
    import torch

    from deepcanon.classify.augment import Augmentation
    from deepcanon.classify.recipes import RECIPES
    from deepcanon.classify.samples import Samples
    from deepcanon.classify.start import build
    from deepcanon.classify.task import ClassificationTask
    from deepcanon.nn.preprocessing import TORCHVISION
    from deepcanon.training import precision
    from deepcanon.training.fit import Run, fit

    recipe = dataclasses.replace(
        RECIPES[setting.recipe],
        side=setting.side,
        batch=setting.batch,
        steps=setting.steps,
        schedule="constant",
        augmentation="none",
        **setting.changes,
    )
    torch.manual_seed(recipe.seed)
    pictures = shapes(setting)
    how = {**TORCHVISION.to_dict(), "side": setting.side, "resize": setting.side}
    task = ClassificationTask(
        build(recipe, classes=CLASSES),
        recipe=recipe,
        classes=CLASSES,
        kept_out=pictures,
        preprocessing=how,
    )
    samples = Samples(
        pictures,
        side=setting.side,
        seed=0,
        augmentation=Augmentation.NONE,
        preprocessing=TORCHVISION,
    )
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            task,
            samples,
            run=Run(
                folder=Path(folder),
                steps=setting.steps,
                batch=setting.batch,
                precision="auto",
                checkpoint_every=setting.steps + 1,
                quiet=True,
            ),
            recipe={},
            callbacks=[in_between(task.net, recipe, steps)],
        )
    return precision.resolve("auto"), steps


def shapes(setting: Setting) -> Any:
    """Labelled pictures that are quick to make and can be learnt."""
    import numpy as np

    from deepcanon.classify.data.pictures import ArrayPictures
    from deepcanon.core.standin import shape

    labels = np.arange(setting.pictures, dtype=np.int64) % CLASSES
    pixels = np.stack([shape(int(each), at, setting.side) for at, each in enumerate(labels)])
    return ArrayPictures(pixels, labels, of="standin")


def in_between(net: Any, recipe: ClassifierRecipe, steps: Steps) -> Any:
    """A callback that times our step, and after each takes one of the plain loop."""
    import pytorch_lightning as pl

    peer = Plain(net, recipe)

    class InTurn(pl.Callback):
        began = 0.0

        def on_train_batch_start(self, *_: Any) -> None:
            self.began = time.perf_counter()

        def on_train_batch_end(
            self, _trainer: Any, _task: Any, outputs: Any, batch: Any, *_: Any
        ) -> None:
            steps.ours.append(time.perf_counter() - self.began)
            steps.our_losses.append(float(outputs["loss"].detach()))
            began = time.perf_counter()
            loss = peer.step(*batch)
            steps.theirs.append(time.perf_counter() - began)
            steps.their_losses.append(loss)

    return InTurn()


class Plain:
    """The loop of torch's tutorial: float32, the layout that torch chooses, SGD."""

    def __init__(self, net: Any, recipe: ClassifierRecipe) -> None:
        import torch
        import torchvision

        from deepcanon import create_model

        if recipe.model in torchvision.models.list_models():
            self.net = torchvision.models.get_model(recipe.model, num_classes=CLASSES)
        else:
            self.net = create_model(recipe.model, variant=recipe.variant, num_classes=CLASSES)
        self.net.load_state_dict(
            {name: value.contiguous() for name, value in net.state_dict().items()}
        )
        self.net.train()
        self.loss = torch.nn.CrossEntropyLoss()
        weights = [each for each in self.net.parameters() if each.ndim > 1]
        others = [each for each in self.net.parameters() if each.ndim <= 1]  # biases and norms
        self.optimizer = torch.optim.SGD(
            [
                {"params": weights, "weight_decay": recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
        )

    def step(self, pictures: Any, labels: Any) -> float:
        """One step; the loss before it."""
        import torch

        with torch.enable_grad():
            self.optimizer.zero_grad()
            loss = self.loss(self.net(pictures.contiguous()), labels)
            loss.backward()
            self.optimizer.step()
        return float(loss.detach())


def quarters(losses: Sequence[float]) -> list[float]:
    """The mean of each quarter; of fewer than four steps the last is repeated."""
    padded = [*losses, *[losses[-1]] * (4 - len(losses))]
    edges = [len(padded) * part // 4 for part in range(5)]
    return [statistics.fmean(padded[a:b]) for a, b in pairwise(edges)]


def largest_difference(ours: Sequence[float], theirs: Sequence[float], *, began: float) -> float:
    """Of losses side by side, as a share of the loss that theirs began with.

    Not as a share of theirs at the time: what two loops have learnt by heart differs by factors.
    """
    return max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) / began


def verdict(name: str, difference: float) -> list[object]:
    """A row that says whether two curves are the same."""
    same = "yes" if difference <= LIMIT else "no"
    return [name, f"{100 * difference:.1f}", f"{100 * LIMIT:.0f}", same]


if __name__ == "__main__":
    sys.exit(main())
