"""Residual networks learn sooner, also where depth does no harm yet.

K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385, §4.1 and figure 4, of 18 layers on ImageNet: "the 18-layer
plain/residual nets are comparably accurate (Table 2), but the 18-layer ResNet converges faster".
Here it is the 20 layers of §4.2 on small pictures, the shallowest pair of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.reproduce.contest import Contestant, Counts, Finding, from_catalogue
from deepcanon.reproduce.curves import Claim, Curve, diverged, first_at, margin, percent

# §4.2, see `deepcanon.reproduce.degradation`.
RECIPE = ClassifierRecipe(batch=64)
SHARES = (0.25, 0.5, 0.75)  # of the plain network's steps at which the two are compared


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    """When the residual network is where the plain one is after so many steps."""
    if lost := diverged(curves):
        return lost
    plain, residual = curves["plain20"], curves["resnet20"]
    claims = []
    for share in SHARES:
        at = plain.running[max(0, round(share * len(plain.running)) - 1)]
        # The best so far: a later point that is worse by chance is not what it has learnt.
        error = min(point.error for point in plain.running if point.step <= at.step)
        found = first_at(residual.running, error)
        claims.append(
            Claim(
                f"ResNet-20 gets to plain-20's training error of {at.step} steps sooner",
                found is not None and found.step < at.step,
                f"{percent(error)}: "
                + ("never" if found is None else f"{found.step / at.step:.2f} of the steps"),
            )
        )
    more = residual.judged - plain.judged
    claims.append(
        Claim(
            "ResNet-20 ends with no higher held-out error",
            more <= margin(residual.judged, plain.judged, count=counts.held_out),
            f"{percent(residual.judged)} against {percent(plain.judged)}",
        )
    )
    return claims


FINDING = Finding(
    name="residual-convergence",
    title="Residual networks converge sooner",
    reproduces="He et al. 2016, §4.1 and figure 4",
    found="plain and residual networks of 18 layers are about as accurate (27.94 and 27.88 % "
    "top-1 error), and the residual one gets there sooner.",
    differs="20 layers on 32x32 in place of 18 on 224x224, trained as those of §4.2 but for "
    "steps and batches of 64; one seed.",
    contestants=tuple(
        Contestant(name=name, build=from_catalogue(name), recipe=RECIPE)
        for name in ("plain20", "resnet20")
    ),
    judge=judge,
    dashed=("plain20",),
    steps=2500,
    count=50_000,
)
run = FINDING.run
