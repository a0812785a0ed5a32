"""One file a table or figure of the canon, measured again: `deepcanon reproduce NAME`.

Every module has a ``run(out, ...)`` that writes its pictures and tables into the folder `out` and
returns a `Reproduced`. Importing this package imports none of them, and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.core.near import did_you_mean

__all__ = ["REPRODUCTIONS", "Progress", "Reproduced", "Reproduction", "find", "load", "write_table"]

Progress = Callable[[int, int, str], None]  # steps done, steps in all, what was done


class Reproduction(NamedTuple):
    """Where a reproduction lives, its row of the canon, its line of help, and what it costs."""

    module: str
    row: str
    help: str
    cost: str


REPRODUCTIONS = {
    "style-tradeoff": Reproduction(
        module="style_tradeoff",
        row="T1",
        help="content against style: one photograph at four ratios α/β, on one page",
        cost="400 iterations of the feature network at 256 pixels: minutes",
    ),
    "slim-features": Reproduction(
        module="slim_features",
        row="T1",
        help="the shipped feature network against VGG16: loss over time, ten photographs by three"
        " paintings",
        cost="150 iterations of VGG16 and 100 of slim, 30 times, at 256 pixels: about an hour",
    ),
    "style-speed": Reproduction(
        module="style_speed",
        row="T4",
        help="the speed table: optimisation with VGG19 against one pass, at three sizes",
        cost="22 iterations of VGG19 at 256, 512 and 1024 pixels: minutes, several GB of memory",
    ),
    "degradation": Reproduction(
        module="degradation",
        row="C16",
        help="plain-20 and -56 against ResNet-20 and -56: what depth does to the training error",
        cost="1,600 steps of four networks on 10,000 pictures: 27 minutes on one core",
    ),
    "residual-convergence": Reproduction(
        module="residual_convergence",
        row="C16",
        help="plain-20 against ResNet-20: which one learns sooner",
        cost="2,500 steps of two networks: 12 minutes on one core",
    ),
    "batch-norm": Reproduction(
        module="batch_norm",
        row="C15",
        help="without and with batch norm, at 5 and 30 times the rate, with sigmoids: steps to the"
        " same accuracy",
        cost="1,500 steps of seven networks of ten layers: 12 minutes on one core",
    ),
    "vgg-lrn": Reproduction(
        module="vgg_lrn",
        row="C10",
        help="VGG's A against A-LRN: local response normalisation does not help",
        cost="3,000 steps of two networks of a quarter of the width: 7 minutes on one core",
    ),
    "vgg-small-kernels": Reproduction(
        module="vgg_small_kernels",
        row="C10",
        help="VGG's B against its twin with 5x5 convolutions",
        cost="3,000 steps of two networks of a quarter of the width: 10 minutes on one core",
    ),
    "vgg-depth": Reproduction(
        module="vgg_depth",
        row="C10",
        help="VGG's A, B and D: the deeper, the better",
        cost="3,000 steps of three networks of a quarter of the width: 10 minutes on one core",
    ),
    "bottleneck": Reproduction(
        module="bottleneck",
        row="C5",
        help="what a 1x1 convolution before a wide one saves: counted, and timed",
        cost="22 passes of three pairs of layers: seconds",
    ),
    "relu-vs-tanh": Reproduction(
        module="relu_vs_tanh",
        row="C7",
        help="steps to 25 % training error with ReLU and with tanh, at three rates each",
        cost="up to 2,500 steps of six small networks on 10,000 pictures: 17 minutes on one core",
    ),
    "dropout": Reproduction(
        module="dropout",
        row="C9",
        help="a small AlexNet with dropout and without: the gap between seen and unseen pictures",
        cost="1,200 steps of two networks on 2,000 pictures: 7 minutes on one core",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """What was measured (`table`, ready for JSON) and the files that were written."""

    table: dict[str, Any]
    files: tuple[Path, ...]


def find(name: str) -> Reproduction:
    """The reproduction called `name`. Raises BadInput with near names when there is none."""
    if name in REPRODUCTIONS:
        return REPRODUCTIONS[name]
    hint = did_you_mean(name, REPRODUCTIONS, otherwise=f"there is {', '.join(REPRODUCTIONS)}")
    raise BadInput(f"there is no reproduction '{name}'", hint=hint)


def load(name: str) -> Callable[..., Reproduced]:
    """The ``run`` of a reproduction. Raises BadInput as `find` does, MissingExtra without torch."""
    entry = find(name)
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need=f"reproduce {name}")
    run: Callable[..., Reproduced] = import_module(f"{__name__}.{entry.module}").run
    return run


def write_table(table: dict[str, Any], path: Path) -> Path:
    """Write a table as JSON, whole or not at all."""
    text = json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with write_whole(path) as file:
        file.write(text.encode())
    return path
