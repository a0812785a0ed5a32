"""Training a classifier: cross-entropy, with what the papers of the networks add to it.

*The loss* is the mean cross-entropy of softmax, where the network has auxiliary classifiers plus
``auxiliary_weight`` times each of theirs (GoogLeNet, §5: 0.3). *Label smoothing* (Szegedy et al.
2016, §7) gives the share ``label_smoothing`` of each target to all classes equally. *Mixup* (Zhang
et al. 2018, https://arxiv.org/abs/1710.09412) adds pictures, and their targets, pairwise.

*The moving average* of weights, batch norm's statistics among them, is measured and shipped where
there is one (Szegedy et al. 2015, §6; 2016, §8); in the first steps it moves faster.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from deepcanon.classify.crops import one, prepare
from deepcanon.classify.data.pictures import Pictures
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.training import schedules
from deepcanon.training.average import move_average

Target = Int[Tensor, " b"] | Float[Tensor, "b classes"]  # a class each, or a share of each class

MEASURE_BATCH = 100  # pictures


def all_logits(
    net: nn.Module, pictures: Float[Tensor, "b 3 h w"]
) -> Sequence[Float[Tensor, "b classes"]]:
    """The main classifier's logits, then those of auxiliary ones where the network has any."""
    everything = getattr(net, "all_logits", None)
    return (net(pictures),) if everything is None else everything(pictures)


class Loss(NamedTuple):
    """What a batch costs."""

    whole: Float[Tensor, ""]  # what is made smaller
    main: Float[Tensor, ""]  # the part of it that is the main classifier's


def classification_loss(
    logits: Sequence[Float[Tensor, "b classes"]],
    target: Target,
    *,
    auxiliary_weight: float,
    label_smoothing: float,
) -> Loss:
    """Mean cross-entropy of the first logits, and of each of the others ``auxiliary_weight`` times.

    The logits are those before softmax, the main classifier's first.
    """
    main, *auxiliary = (
        functional.cross_entropy(each.float(), target, label_smoothing=label_smoothing)
        for each in logits
    )
    return Loss(sum((auxiliary_weight * each for each in auxiliary), start=main), main)


def chance_loss(labels: NDArray[np.int64], *, classes: int, label_smoothing: float) -> float:
    """The loss of the best guess that does not look at the picture: the labels' entropy, smoothed.

    Without auxiliary losses. Mixup leaves the number as it is.
    """
    counts = Counter(labels.tolist())
    shares = np.array([counts[each] / len(labels) for each in range(classes)])
    shares = (1 - label_smoothing) * shares + label_smoothing / classes
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


class Judged(NamedTuple):
    """What a batch costs, and what the main classifier says of it."""

    loss: Float[Tensor, ""]  # what is made smaller
    main: Float[Tensor, ""]  # the part of it that is the main classifier's
    logits: Float[Tensor, "b classes"]


class Mixed(NamedTuple):
    """Pictures laid over one another, and how much of each class they show."""

    pictures: Float[Tensor, "b 3 h w"]
    target: Float[Tensor, "b classes"]


def mixup(
    pictures: Float[Tensor, "b 3 h w"],
    labels: Int[Tensor, " b"],
    *,
    classes: int,
    alpha: float,
    random: np.random.Generator,
) -> Mixed:
    """Each picture with another of the batch, in shares of one draw of Beta(alpha, alpha)."""
    share = float(random.beta(alpha, alpha))
    other = torch.from_numpy(random.permutation(len(labels)))
    target = functional.one_hot(labels, classes).float()
    return Mixed(
        share * pictures + (1 - share) * pictures[other],
        share * target + (1 - share) * target[other],
    )


def top_k(
    net: nn.Module, pictures: Pictures, *, preprocessing: Mapping[str, Any]
) -> dict[str, float]:
    """The shares of ``pictures`` whose class is the network's first, and among its first five.

    The latter only where there are more than five classes: of fewer it is always 1.
    One crop each, cut and scaled as ``preprocessing`` (a record's) says; float32, in evaluation
    mode, in which the network is not left if it was in another.
    """
    training = net.training
    net.eval()
    side, resize = int(preprocessing["side"]), int(preprocessing["resize"])
    first = five = classes = 0
    with torch.inference_mode():
        for begin in range(0, len(pictures), MEASURE_BATCH):
            places = range(begin, min(begin + MEASURE_BATCH, len(pictures)))
            shown = np.stack([one(pictures[at], side=side, resize=resize) for at in places])
            batch = torch.from_numpy(prepare(shown, how=preprocessing))
            logits = net(batch.contiguous(memory_format=torch.channels_last))
            classes = logits.shape[1]
            best = logits.topk(min(5, classes)).indices
            hit = best == torch.from_numpy(pictures.labels[begin : begin + len(places)])[:, None]
            first += int(hit[:, 0].sum())
            five += int(hit.sum())
    net.train(training)
    found = {"top1": first / len(pictures)}
    return found if classes <= 5 else {**found, "top5": five / len(pictures)}


class ClassificationTask(pl.LightningModule):
    """Trains a classifier by a recipe, and measures it on ``kept_out``.

    ``preprocessing`` is a record's: how pictures are cut and scaled to be measured.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        recipe: ClassifierRecipe,
        classes: int,
        kept_out: Pictures,
        preprocessing: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(net).requires_grad_(False) if recipe.ema_decay else None
        self.recipe, self.classes = recipe, classes
        self.kept_out, self.preprocessing = kept_out, preprocessing
        self.auxiliary_weight = auxiliary_weight(net, recipe)
        self._plateau: schedules.Plateau | None = None

    @property
    def shipped(self) -> nn.Module:
        """The network that is measured and exported: the average where there is one."""
        return self.net if self.averaged is None else self.averaged

    def judge(self, pictures: Float[Tensor, "b 3 h w"], target: Target) -> Judged:
        """The loss of a batch."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        found = all_logits(self.net, pictures)
        loss = classification_loss(
            found,
            target,
            auxiliary_weight=self.auxiliary_weight,
            label_smoothing=self.recipe.label_smoothing,
        )
        return Judged(loss.whole, loss.main, found[0])

    def constrain(self) -> None:
        """Let the network keep its weights in bounds, if it has any: after each step."""
        constrain = getattr(self.net, "constrain", None)
        if constrain is not None:
            constrain()

    def training_step(
        self, batch: tuple[Float[Tensor, "b 3 h w"], Int[Tensor, " b"]], step: int
    ) -> Tensor:
        """The loss. Logged: the main classifier's, what auxiliary ones add, the share told right.

        With mixup, right is the class of the picture that the other was laid over.
        """
        pictures, labels = batch
        target: Tensor = labels
        if self.recipe.mixup:
            draw = [self.recipe.seed, 5, self.global_step, self.global_rank]
            pictures, target = mixup(
                pictures,
                labels,
                classes=self.classes,
                alpha=self.recipe.mixup,
                random=np.random.default_rng(draw),
            )
        found = self.judge(pictures, target)
        logged = {"loss": found.main}
        if self.auxiliary_weight:
            logged["auxiliary_loss"] = found.loss - found.main
        logged["batch_top1"] = (found.logits.argmax(1) == labels).float().mean()
        self.log_dict(logged, sync_dist=self.trainer.world_size > 1)
        return found.loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Shorten the gradient, if the recipe says so."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip)

    def optimizer_step(self, *given: Any, **named: Any) -> None:
        """Step, let the network keep its weights in bounds if it has any, move the average on."""
        super().optimizer_step(*given, **named)
        self.constrain()
        if self.averaged is not None:
            steps = self.global_step + 1  # Lightning counts the step after it
            move_average(self.averaged, self.net, keep=self.recipe.ema_decay, steps=steps)

    def measure(self) -> dict[str, float]:
        """Of the pictures kept out, the shares told right; nothing where there are none."""
        if not len(self.kept_out):
            return {}
        return top_k(self.shipped, self.kept_out, preprocessing=self.preprocessing)

    def hear(self, measured: Mapping[str, float]) -> None:
        """Let the schedule know of a measurement."""
        if self._plateau is not None and measured:
            self._plateau.tell(1 - measured["top1"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimiser and schedule; only the weights of layers decay."""
        optimizer = make_optimizer(self.net, recipe=self.recipe)
        shape = schedule(self.recipe)
        self._plateau = shape if isinstance(shape, schedules.Plateau) else None
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, shape), "interval": "step"},
        }


def auxiliary_weight(net: nn.Module, recipe: ClassifierRecipe) -> float:
    """What an auxiliary classifier counts: as the recipe says, or the network; 0 without any."""
    if not hasattr(net, "all_logits"):
        return 0.0
    if recipe.auxiliary_weight is not None:
        return recipe.auxiliary_weight
    return float(getattr(getattr(net, "config", None), "auxiliary_weight", 0.0))


def make_optimizer(net: nn.Module, *, recipe: ClassifierRecipe) -> Optimizer:
    """The optimiser of a recipe. Biases, and the scales and shifts of norms, do not decay."""
    decaying = [each for each in net.parameters() if each.requires_grad and each.ndim > 1]
    others = [each for each in net.parameters() if each.requires_grad and each.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decaying, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = recipe.learning_rate
    if recipe.optimiser == "adam":
        return Adam(groups, lr=rate)
    if recipe.optimiser == "rmsprop":
        # Szegedy et al. 2016, §8: decay 0.9, epsilon 1. Their TensorFlow divides by sqrt(v + eps),
        # v from 1, and applies the rate before momentum; torch by sqrt(v) + eps, from 0, after it.
        return RMSprop(groups, lr=rate, momentum=recipe.momentum, alpha=0.9, eps=1.0)
    return SGD(groups, lr=rate, momentum=recipe.momentum)


def schedule(recipe: ClassifierRecipe) -> Any:
    """What the rate is multiplied by, as a function of the step."""
    warmup = min(recipe.warmup, recipe.steps // 10)
    if recipe.schedule == "cosine":
        return schedules.cosine(steps=recipe.steps, warmup=warmup)
    if recipe.schedule == "plateau":
        return schedules.Plateau(drop=recipe.drop, patience=recipe.patience, warmup=warmup)
    if recipe.schedule == "decay":
        return schedules.decay(every=recipe.drop_every, drop=recipe.drop, warmup=warmup)
    if recipe.schedule == "step":
        at = [round(share * recipe.steps) for share in recipe.drop_at]
        return schedules.step(at=at, drop=recipe.drop, warmup=warmup)
    return schedules.constant(warmup=warmup)
