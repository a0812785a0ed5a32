"""Batch normalisation: the same accuracy in fewer steps, at rates that diverge without it.

S. Ioffe, C. Szegedy, Batch normalization: accelerating deep network training by reducing internal
covariate shift, ICML 2015, https://arxiv.org/abs/1502.03167, §4.2, figures 2 and 3. Steps to the
72.2 % that Inception reaches in the end, and the best accuracy::

    Inception     31.0 M   72.2 %
    BN-Baseline   13.3 M   72.7 %
    BN-x5          2.1 M   73.0 %      five times Inception's rate of 0.0015
    BN-x30         2.7 M   74.8 %      thirty times
    BN-x5-Sigmoid          69.8 %      sigmoid for ReLU

Inception with five times the rate ran to "machine infinity", and with sigmoid stayed at chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.reproduce.contest import Build, Contestant, Counts, Finding
from deepcanon.reproduce.curves import Claim, Curve, End, Point, below, diverged, first_at, percent

WIDTHS = (16, 32, 64)  # three convolutions of each, the second and third group after a pool
RATE = 0.01  # of the network without norms: ours, with momentum 0.9
# §4.2.1 takes dropout, most of the weight decay and the photometric distortions away for the norm;
# here none has them. The rate is constant, so that steps can be compared.
RECIPE = ClassifierRecipe(
    batch=64, learning_rate=RATE, weight_decay=0.0, schedule="constant", augmentation="cifar"
)


def network(*, norm: type[nn.BatchNorm2d] | None, activation: type[nn.Module]) -> Build:
    """Nine 3x3 convolutions and a linear layer, He's starting weights.

    A norm stands between a convolution and what follows it (§3.2); batch norm's shift is the bias.
    """

    def build(classes: int) -> nn.Module:
        layers: list[nn.Module] = []
        read = 3
        for width in WIDTHS:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(3):
                layers.append(nn.Conv2d(read, width, 3, padding=1, bias=norm is None))
                layers += [] if norm is None else [norm(width)]
                layers.append(activation())
                read = width
        net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        net.append(nn.Linear(read, classes))
        for layer in net:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return net

    return build


def _contestant(
    name: str,
    *,
    norm: type[nn.BatchNorm2d] | None = nn.BatchNorm2d,
    activation: type[nn.Module] = nn.ReLU,
    times: int = 1,
) -> Contestant:
    return Contestant(
        name=name,
        build=network(norm=norm, activation=activation),
        recipe=replace(RECIPE, learning_rate=times * RATE),
    )


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Steps to the lowest held-out error of the network without norms, and who learns at all."""
    plain = curves["none"]
    if lost := diverged({"none": plain}):
        return lost
    best = min(plain.held_out, key=lambda point: point.error)
    reached = {name: first_at(curve.held_out, best.error) for name, curve in curves.items()}

    def share(name: str) -> str:
        found = reached[name]
        return "never" if found is None else f"{found.step} steps"

    def sooner(name: str, than: Point | None, times: float = 1.0) -> bool:
        found = reached[name]
        return found is not None and (than is None or found.step < times * than.step)

    fast, wild = curves["BN x30"], curves["none x5"]
    without, sigmoid = curves["sigmoid x5"], curves["BN x5 sigmoid"]

    def worse(one: Curve, than: Curve) -> bool:
        return one.end is End.DIVERGED or below(than.judged, one.judged, count=counts.held_out)

    return [
        Claim(
            f"with BN the best accuracy of the network without ({percent(1 - best.error)}) takes "
            "under half of its steps",
            sooner("BN", best, 0.5),
            f"{share('BN')}, without {best.step}",
        ),
        Claim(
            "with five times the rate it takes fewer still",
            sooner("BN x5", reached["BN"]),
            share("BN x5"),
        ),
        Claim(
            "thirty times the rate ends with a lower held-out error than the network without",
            below(fast.judged, plain.judged, count=counts.held_out),
            f"{percent(fast.judged)} against {percent(plain.judged)}; {share('BN x30')}",
        ),
        Claim(
            "without BN five times the rate diverges or ends worse",
            worse(wild, plain),
            f"{percent(wild.judged)} against {percent(plain.judged)}",
        ),
        Claim(
            "with sigmoids it learns where the network without does not",
            sigmoid.end is not End.DIVERGED and worse(without, sigmoid),
            f"{percent(sigmoid.judged)} against {percent(without.judged)}",
        ),
    ]


FINDING = Finding(
    name="batch-norm",
    title="Batch normalisation: steps to the same accuracy",
    reproduces="Ioffe & Szegedy 2015, §4.2 and figures 2 and 3",
    found="the accuracy that Inception ends with (72.2 % after 31.0 M steps) takes 13.3 M steps "
    "with batch norm, 2.1 M with five times the rate and 2.7 M with thirty times, which ends best "
    "(74.8 %); with sigmoids the network trains (69.8 %), and without batch norm it does not.",
    differs="ten layers on 32x32 in place of Inception on 224x224; SGD with momentum 0.9 on one "
    "machine, base rate 0.01, constant; batches of 64, not 32; He's starting weights; one seed. "
    "Steps are known to a fortieth of the run, accuracies on the way from 1,000 held-out pictures.",
    contestants=(
        _contestant("none", norm=None),
        _contestant("none x5", norm=None, times=5),
        _contestant("BN"),
        _contestant("BN x5", times=5),
        _contestant("BN x30", times=30),
        _contestant("BN x5 sigmoid", activation=nn.Sigmoid, times=5),
        _contestant("sigmoid x5", norm=None, activation=nn.Sigmoid, times=5),
    ),
    judge=judge,
    dashed=("none", "none x5", "sigmoid x5"),
    steps=1500,
    count=50_000,
    measurements=40,
)
run = FINDING.run
