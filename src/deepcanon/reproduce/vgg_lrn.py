"""Local response normalisation does not help VGG.

K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015, https://arxiv.org/abs/1409.1556, §4.1 and Table 3: A has 29.6 % top-1 error, A-LRN 29.7 %;
§2.1: it "leads to increased memory consumption and computation time".
"""

from __future__ import annotations

from collections.abc import Mapping

from deepcanon.classify import vgg
from deepcanon.reproduce.contest import Counts, Finding
from deepcanon.reproduce.curves import Claim, Curve, diverged, margin, percent
from deepcanon.reproduce.vgg_cifar import DIFFERS, contestant


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Errors and seconds with the norm and without."""
    if lost := diverged(curves):
        return lost
    without, with_norm = curves["A"], curves["A-LRN"]
    least = margin(without.judged, with_norm.judged, count=counts.held_out)
    slower = with_norm.running[-1].seconds / without.running[-1].seconds
    return [
        Claim(
            "A-LRN has no lower held-out error than A",
            without.judged - with_norm.judged <= least,
            f"{percent(with_norm.judged)} against {percent(without.judged)}, chance is "
            f"{percent(least)}",
        ),
        Claim("A-LRN takes more time", slower > 1, f"{slower:.2f} times"),
    ]


FINDING = Finding(
    name="vgg-lrn",
    title="VGG: A against A-LRN",
    reproduces="Simonyan & Zisserman 2015, §4.1 and Table 3",
    found="local response normalisation does not improve on A: 29.7 against 29.6 % top-1 error.",
    differs=DIFFERS,
    contestants=(contestant("A", vgg.A), contestant("A-LRN", vgg.A_LRN)),
    judge=judge,
    steps=3000,
    count=50_000,
)
run = FINDING.run
