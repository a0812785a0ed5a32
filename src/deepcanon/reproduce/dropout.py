"""Dropout narrows the gap between what was seen and what was not, and takes longer.

A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet classification with deep convolutional neural
networks, NeurIPS 2012, §4.2: "Without dropout, our network exhibits substantial overfitting.
Dropout roughly doubles the number of iterations required to converge."
"""

from __future__ import annotations

from collections.abc import Mapping

from deepcanon.classify.alexnet import Conv, Initialisation
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.reproduce.contest import Contestant, Counts, Finding, from_catalogue
from deepcanon.reproduce.curves import Claim, Curve, diverged, first_at, margin, percent
from deepcanon.reproduce.pictures import SIDE

# §5: momentum 0.9, weight decay 5e-4; the rate is ours, there 0.01: at that the network does not
# overfit in so few steps. Without the crops and flips of §4.1, which fight overfitting too.
RECIPE = ClassifierRecipe(
    batch=64, learning_rate=0.02, weight_decay=5e-4, schedule="constant", augmentation="none"
)
NARROW = {
    "convolutions": (
        Conv(32, 5, padding=2),
        Conv(64, 5, padding=2),
        Conv(96, 3, padding=1),
        Conv(96, 3, padding=1),
        Conv(64, 3, padding=1),
    ),
    "image_side": SIDE,
    "hidden": 1024,
    "initialisation": Initialisation.TORCH,
}
LEVEL = 0.25  # of the running error, at which steps are compared


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Gaps and held-out errors at the end, steps to the same training error."""
    if lost := diverged(curves):
        return lost
    without, with_it = curves["none"], curves["dropout"]
    least = margin(without.judged, with_it.judged, count=counts.held_out)
    before, after = first_at(without.running, LEVEL), first_at(with_it.running, LEVEL)
    if before is None:
        seen = f"without dropout {percent(LEVEL)} is not reached either"
    elif after is None:
        seen = f"{before.step} steps without; with dropout not reached"
    else:
        seen = f"{after.step} steps against {before.step}: {after.step / before.step:.1f} times"
    return [
        Claim(
            "the gap between held-out and training error is smaller with dropout",
            without.gap - with_it.gap > least,
            f"{percent(with_it.gap)} against {percent(without.gap)}",
        ),
        Claim(
            "the held-out error is lower with dropout",
            without.judged - with_it.judged > least,
            f"{percent(with_it.judged)} against {percent(without.judged)}, chance is "
            f"{percent(least)}",
        ),
        Claim(
            f"a training error of {percent(LEVEL)} takes more steps (about twice in the paper)",
            before is not None and (after is None or after.step > before.step),
            seen,
        ),
    ]


FINDING = Finding(
    name="dropout",
    title="Dropout in AlexNet's hidden layers",
    reproduces="Krizhevsky et al. 2012, §4.2",
    found="without dropout the network overfits substantially; dropout roughly doubles the "
    "iterations to convergence.",
    differs="an AlexNet for 32x32: a third to a quarter of the channels, no stride in conv1, no "
    "groups, hidden layers of 1024, torch's starting weights; few pictures, without crops and "
    "flips; a constant rate of 0.02; batches of 64; one seed.",
    contestants=tuple(
        Contestant(
            name=name,
            build=from_catalogue("alexnet", {**NARROW, "dropout": rate}),
            recipe=RECIPE,
        )
        for name, rate in (("none", 0.0), ("dropout", 0.5))
    ),
    judge=judge,
    dashed=("none",),
    steps=1200,
    count=2_000,
)
run = FINDING.run
