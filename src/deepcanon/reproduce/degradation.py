"""Degradation: more layers, a higher *training* error, unless the layers are residual.

K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385: figure 1 and §1 name it, §4.2 and figure 6 measure it on CIFAR-10
with the networks that are trained here.

Four networks of 1 : 3.1 : 1 : 3.1 times the work of ResNet-20.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.reproduce.contest import Contestant, Counts, Finding, from_catalogue
from deepcanon.reproduce.curves import Claim, Curve, diverged, margin, percent

# §4.2: momentum 0.9, weight decay 1e-4, pad, crop and flip, rate 0.1 divided by ten twice, after
# half and three quarters of the steps. Ours: batches of 64, and how many there are.
RECIPE = ClassifierRecipe(batch=64)


def _both(low: float, high: float) -> str:
    return f"{percent(high)} against {percent(low)}"


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Training errors by depth, and by whether there are shortcuts."""
    if lost := diverged(curves):
        return lost
    late = {name: curve.late for name, curve in curves.items()}
    plain = late["plain56"] - late["plain20"]
    residual = late["resnet56"] - late["resnet20"]
    return [
        Claim(
            "plain-56 has a higher training error than plain-20",
            plain > margin(late["plain56"], late["plain20"], count=counts.late),
            _both(late["plain20"], late["plain56"]),
        ),
        Claim(
            "ResNet-56 has a lower training error than plain-56",
            late["plain56"] - late["resnet56"]
            > margin(late["plain56"], late["resnet56"], count=counts.late),
            f"{percent(late['resnet56'])} against {percent(late['plain56'])}",
        ),
        Claim(
            "ResNet-56 has no higher training error than ResNet-20",
            residual <= margin(late["resnet56"], late["resnet20"], count=counts.late),
            _both(late["resnet20"], late["resnet56"]),
        ),
    ]


FINDING = Finding(
    name="degradation",
    title="Degradation: what depth does to training",
    reproduces="He et al. 2016, §4.2 and figure 6",
    found="the deeper a plain network, the higher its training error, from 20 layers to 110; the "
    "deeper a residual one, the lower.",
    differs="steps and pictures, in the paper 64k and 45,000; batches of 64, there 128; mean and "
    "deviation of channels, not of pixels; one seed.",
    contestants=tuple(
        Contestant(name=name, build=from_catalogue(name), recipe=RECIPE)
        for name in ("plain20", "plain56", "resnet20", "resnet56")
    ),
    judge=judge,
    dashed=("plain20", "plain56"),
    steps=1600,
    count=10_000,
    measurements=10,
)
run = FINDING.run
