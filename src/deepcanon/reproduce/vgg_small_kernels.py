"""Two 3x3 convolutions do better than the one 5x5 that sees as much.

K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015, https://arxiv.org/abs/1409.1556, §4.1: B, each pair of whose 3x3 convolutions is replaced by
one 5x5, has a top-1 error 7 % higher than B's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deepcanon.classify import vgg
from deepcanon.reproduce.contest import Counts, Finding
from deepcanon.reproduce.curves import Claim, Curve, diverged, margin, percent
from deepcanon.reproduce.vgg_cifar import DIFFERS, contestant

# Five 5x5 convolutions, each with the channels of the pair that it stands for.
TWIN = replace(vgg.B, stages=tuple((stage[-1]._replace(kernel=5),) for stage in vgg.B.stages))


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Held-out errors, and how many weights they took."""
    if lost := diverged(curves):
        return lost
    deep, shallow = curves["B"], curves["5x5"]
    least = margin(deep.judged, shallow.judged, count=counts.held_out)
    return [
        Claim(
            "the network of 5x5 convolutions has a higher held-out error",
            shallow.judged - deep.judged > least,
            f"{percent(shallow.judged)} against {percent(deep.judged)}, chance is {percent(least)}",
        ),
    ]


FINDING = Finding(
    name="vgg-small-kernels",
    title="VGG: B against its 5x5 twin",
    reproduces="Simonyan & Zisserman 2015, §4.1",
    found="B with one 5x5 in place of every two 3x3 convolutions has a top-1 error that is 7 % "
    "higher.",
    differs=DIFFERS,
    contestants=(contestant("B", vgg.B), contestant("5x5", TWIN)),
    judge=judge,
    steps=3000,
    count=50_000,
)
run = FINDING.run
