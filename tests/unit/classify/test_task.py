"""The classifiers' loss and optimiser by hand-worked numbers, and what a task measures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepcanon.classify.data.pictures import ArrayPictures
from deepcanon.classify.recipes import RECIPES, ClassifierRecipe
from deepcanon.classify.task import (
    ClassificationTask,
    auxiliary_weight,
    chance_loss,
    classification_loss,
    make_optimizer,
    mixup,
    schedule,
    top_k,
)
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.training.schedules import Plateau

pytestmark = pytest.mark.row("C18")

PLAIN = Preprocessing(name="plain", order="RGB", scale=1.0, mean=(0.0, 0.0, 0.0))
HOW = {**PLAIN.to_dict(), "side": 8, "resize": 8}
LN3 = math.log(3)


def test_the_loss_is_the_mean_cross_entropy() -> None:
    # softmax(ln 2, 0, 0) = 1/2, 1/4, 1/4
    logits = torch.tensor([[math.log(2), 0, 0], [math.log(2), 0, 0]])
    loss = classification_loss(
        [logits], torch.tensor([0, 2]), auxiliary_weight=0.3, label_smoothing=0
    )
    assert loss.whole.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_each_auxiliary_loss_counts_its_weight() -> None:
    right, even = torch.tensor([[50.0, 0, 0]]), torch.zeros(1, 3)
    target = torch.tensor([0])
    loss = classification_loss(
        [right, even, even], target, auxiliary_weight=0.3, label_smoothing=0.0
    )
    assert loss.whole.item() == pytest.approx(2 * 0.3 * LN3)
    assert loss.main.item() == pytest.approx(0, abs=1e-6)


def test_label_smoothing_spreads_a_share_over_all_classes() -> None:
    # -log softmax is ln 2 for the class itself and ln 4 for the two others.
    logits = torch.tensor([[math.log(2), 0, 0]])
    loss = classification_loss([logits], torch.tensor([0]), auxiliary_weight=0, label_smoothing=0.3)
    assert loss.whole.item() == pytest.approx(0.8 * math.log(2) + 0.2 * math.log(4))


def test_the_loss_of_half_precision_logits_is_taken_in_full() -> None:
    logits = torch.zeros(1, 3, dtype=torch.bfloat16)
    loss = classification_loss([logits], torch.tensor([1]), auxiliary_weight=0, label_smoothing=0)
    assert loss.whole.dtype is torch.float32
    assert loss.whole.item() == pytest.approx(LN3)


@pytest.mark.parametrize(
    ("labels", "smoothing", "expected"),
    [
        ([0, 1, 2], 0.0, LN3),
        ([0, 0, 0, 1], 0.0, 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
        ([1, 1], 0.0, 0.0),
        # shares 0.1, 0.8, 0.1
        ([1], 0.3, 0.8 * math.log(1.25) + 0.2 * math.log(10)),
    ],
)
def test_chance_is_the_entropy_of_the_labels(
    labels: list[int], smoothing: float, expected: float
) -> None:
    found = chance_loss(np.array(labels), classes=3, label_smoothing=smoothing)
    assert found == pytest.approx(expected)


def test_mixup_lays_pictures_and_targets_over_one_another_alike() -> None:
    pictures = torch.arange(4.0)[:, None, None, None].expand(4, 3, 2, 2)
    labels = torch.tensor([0, 1, 2, 3])  # a picture's value is its label
    random = np.random.default_rng(0)
    found = mixup(pictures, labels, classes=4, alpha=0.8, random=random)
    torch.testing.assert_close(found.target.sum(1), torch.ones(4))
    torch.testing.assert_close(found.pictures[:, 0, 0, 0], found.target @ torch.arange(4.0))
    assert len({round(value, 5) for value in found.target.flatten().tolist()}) > 2


class Colour(nn.Module):
    """Its logits are the means of the channels; knows whether it was asked in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.modes: list[bool] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.modes.append(self.training)
        return self.gain * pictures.mean(dim=(2, 3))


def coloured(*colours: int, labels: list[int]) -> ArrayPictures:
    """8x8 pictures with one channel at 200 and the one after it at 100."""
    pixels = np.zeros((len(colours), 8, 8, 3), np.uint8)
    for picture, channel in zip(pixels, colours, strict=True):
        picture[..., channel], picture[..., (channel + 1) % 3] = 200, 100
    return ArrayPictures(pixels, np.array(labels, np.int64), of="test")


def test_measuring_counts_hits_in_evaluation_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepcanon.classify.task.MEASURE_BATCH", 2)
    net = Colour()
    found = top_k(net, coloured(0, 1, 2, labels=[0, 1, 1]), preprocessing=HOW)
    assert found == {"top1": pytest.approx(2 / 3)}
    assert net.modes == [False, False] and net.training


def test_the_first_five_are_told_of_more_than_five_classes() -> None:
    class SixOrFive(Colour):
        """The first class is the best, the last the worst, whatever is shown."""

        def __init__(self, classes: int) -> None:
            super().__init__()
            self.classes = classes

        def forward(self, pictures: Tensor) -> Tensor:
            return -torch.arange(self.classes).expand(len(pictures), -1).float()

    pictures = coloured(0, 1, 2, 0, labels=[0, 0, 4, 5])
    assert top_k(SixOrFive(6), pictures, preprocessing=HOW) == {"top1": 0.5, "top5": 0.75}
    pictures = coloured(0, 1, labels=[0, 4])
    assert top_k(SixOrFive(5), pictures, preprocessing=HOW) == {"top1": 0.5}


def task(kept_out: ArrayPictures, **changes: Any) -> ClassificationTask:
    recipe = replace(ClassifierRecipe(), **changes)
    return ClassificationTask(
        Colour(), recipe=recipe, classes=3, kept_out=kept_out, preprocessing=HOW
    )


def test_nothing_is_measured_where_nothing_is_kept_out() -> None:
    found = task(coloured(labels=[]))
    assert found.measure() == {}
    found.hear({})


def test_a_plateau_hears_of_the_error() -> None:
    found = task(coloured(0, labels=[1]), schedule="plateau", patience=1)
    found.configure_optimizers()
    for _ in range(2):
        found.hear(found.measure())
    plateau = found._plateau
    assert isinstance(plateau, Plateau)
    assert (plateau.best, plateau.factor) == (1.0, pytest.approx(0.1))


class Headed(Colour):
    """Has an auxiliary classifier."""

    class config:  # noqa: N801 - as networks have it
        auxiliary_weight = 0.4

    def all_logits(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self(pictures), torch.zeros(len(pictures), 3)


def test_auxiliary_classifiers_count_what_the_recipe_or_the_network_says() -> None:
    recipe = ClassifierRecipe()
    assert auxiliary_weight(Colour(), recipe) == 0
    assert auxiliary_weight(Headed(), recipe) == 0.4
    assert auxiliary_weight(Headed(), replace(recipe, auxiliary_weight=0.0)) == 0
    assert auxiliary_weight(Headed(), replace(recipe, auxiliary_weight=0.7)) == 0.7
    found = ClassificationTask(
        Headed(), recipe=recipe, classes=3, kept_out=coloured(labels=[]), preprocessing=HOW
    ).judge(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    assert found.main.item() == pytest.approx(LN3)
    assert found.loss.item() == pytest.approx(1.4 * LN3)
    assert found.logits.shape == (2, 3)


def test_only_the_weights_of_layers_decay() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    for kind in ("sgd", "adam", "rmsprop"):
        recipe = replace(ClassifierRecipe(), optimiser=kind, weight_decay=0.5)
        decaying, others = make_optimizer(net, recipe=recipe).param_groups
        assert [each.ndim for each in decaying["params"]] == [4, 2]
        assert [each.ndim for each in others["params"]] == [1, 1, 1, 1]
        assert (decaying["weight_decay"], others["weight_decay"]) == (0.5, 0.0)


def test_the_paper_steps_down_at_half_and_three_quarters() -> None:
    factor = schedule(RECIPES["resnet20-cifar10"])
    assert [factor(0), factor(31_999)] == [1, 1]
    assert [factor(32_000), factor(48_000)] == pytest.approx([0.1, 0.01])


def test_every_schedule_is_known() -> None:
    found = {
        kind: schedule(replace(ClassifierRecipe(), schedule=kind, steps=2000, warmup=10))
        for kind in ("constant", "step", "decay", "plateau", "cosine")
    }
    assert [factor(4) for factor in found.values()] == [0.5] * 5
    assert [factor(1999) for factor in found.values()] == pytest.approx(
        [1, 0.01, 0.1, 1, 0], abs=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch": 0}, "batch is 0, and the least is 1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0, and the most is 0.99"),
        ({"drop": 2.0}, "drop is 2.0, and the most is 1"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"batch": 9, "processes": 2}, "a batch of 9 cannot be shared by 2 processes"),
        ({"batch": 1, "processes": 2}, "a batch of 1 cannot be shared by 2 processes"),
        ({"hold_out": 1}, "hold_out is 1, which leaves no picture"),
    ],
)
def test_numbers_that_training_cannot_do_with(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        ClassifierRecipe(**settings)
    assert "--set" in refused.value.hint
    if "processes" in settings:
        share = int(refused.value.hint.rsplit("=", 1)[1])
        assert share and share % 2 == 0


def test_the_recipes_say_what_they_are() -> None:
    for name, recipe in RECIPES.items():
        if name.endswith("-cifar10"):
            assert (recipe.side, recipe.augmentation, recipe.steps) == (32, "cifar", 64_000)
            assert name == f"{recipe.model}-cifar10"
        if name.endswith("-imagenet"):
            side = 299 if recipe.model == "inception_v3" else 224
            assert recipe.side == side and name == f"{recipe.model}-imagenet"
