"""The deeper VGG is, the lower its error.

K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015, https://arxiv.org/abs/1409.1556, §4.1 and Table 3: 11 layers (A) 29.6 % top-1 error, 13 (B)
28.7 %, 16 (D) 27.0 %, where the error saturates: 19 (E) 27.3 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from deepcanon.classify import vgg
from deepcanon.reproduce.contest import Counts, Finding
from deepcanon.reproduce.curves import Claim, Curve, diverged, margin, percent
from deepcanon.reproduce.vgg_cifar import DIFFERS, contestant

COLUMNS = {"A": vgg.A, "B": vgg.B, "D": vgg.D}


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """Held-out errors of neighbours, and of the shallowest and the deepest."""
    if lost := diverged(curves):
        return lost
    claims = []
    for shallow, deep in (*pairwise(COLUMNS), ("A", "D")):
        before, after = curves[shallow].judged, curves[deep].judged
        least = margin(before, after, count=counts.held_out)
        claims.append(
            Claim(
                f"{deep} has a lower held-out error than {shallow}",
                before - after > least,
                f"{percent(after)} against {percent(before)}, chance is {percent(least)}",
            )
        )
    return claims


FINDING = Finding(
    name="vgg-depth",
    title="VGG: A, B and D",
    reproduces="Simonyan & Zisserman 2015, §4.1 and Table 3",
    found="top-1 errors of 29.6 % with 11 layers (A), 28.7 % with 13 (B), 27.0 % with 16 (D).",
    differs=DIFFERS,
    contestants=tuple(contestant(name, config) for name, config in COLUMNS.items()),
    judge=judge,
    steps=3000,
    count=50_000,
)
run = FINDING.run
