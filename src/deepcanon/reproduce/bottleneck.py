"""The 1x1 bottleneck: the same map for a fraction of the multiplications and weights.

C. Szegedy and others, Going deeper with convolutions, CVPR 2015, https://arxiv.org/abs/1409.4842,
§4 and figure 2; K. He and others, Deep residual learning for image recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385, §4.1 and figure 5. The chapter's example: 28x28 pixels, from 256
channels to 96 through 5x5 takes 4.8e8 multiplications and 6.1e5 weights, through 32 channels of 1x1
first 6.7e7 and 8.5e4.

Nothing is trained. Multiplications and weights (biases are left out, as in the chapter) are counted
on the layers themselves; seconds of a pass are measured, in turn, in float32.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from deepcanon.classify.googlenet import MODULES
from deepcanon.classify.parts.googlenet_modules import Inception, NaiveInception, Normalisation
from deepcanon.classify.parts.resnet_blocks import Basic, Bottleneck, Shortcut, Stride
from deepcanon.core import images
from deepcanon.core.atomic import write_whole
from deepcanon.core.chart import Chart, Line, Stroke, draw
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels
from deepcanon.nn.layer_table import layer_table
from deepcanon.reproduce import Progress, Reproduced, write_table
from deepcanon.reproduce.curves import Claim, verdict
from deepcanon.training import provenance

SIDE, INTO, OUT, BETWEEN = 28, 256, 96, 32  # the chapter's example
BATCH = 4
WIDTHS = (8, 16, 32, 64, 96, 128, 160, 192, 224, 256)  # of the 1x1 layer, for the chart
_WARM_UP = 2
_PRINTED = {"multiplications": ("4.8e+08", "6.7e+07"), "weights": ("6.1e+05", "8.5e+04")}


class Pair(NamedTuple):
    """Two ways from one map to another: straight, and through 1x1 convolutions."""

    name: str
    input: tuple[int, int, int]  # channels, height, width
    straight: nn.Module
    narrow: nn.Module


def direct() -> nn.Module:
    """The chapter's 5x5 convolution."""
    return nn.Conv2d(INTO, OUT, 5, padding=2, bias=False)


def through(width: int) -> nn.Module:
    """The same after a 1x1 convolution to ``width`` channels."""
    return nn.Sequential(
        nn.Conv2d(INTO, width, 1, bias=False), nn.Conv2d(width, OUT, 5, padding=2, bias=False)
    )


def pairs() -> tuple[Pair, ...]:
    """The chapter's example, GoogLeNet's first module, ResNet-50's first kind of block."""
    three_a = MODULES["3a"]
    return (
        Pair("5x5, 256 to 96 channels", (INTO, SIDE, SIDE), direct(), through(BETWEEN)),
        Pair(
            "GoogLeNet's module 3a",  # figure 2, (a) and (b)
            (192, 28, 28),
            NaiveInception(192, one=three_a.one, three=three_a.three, five=three_a.five),
            Inception(192, three_a, how=Normalisation.RESPONSE),
        ),
        Pair(
            "ResNet's block of 256 channels",  # two 3x3 (figure 2) against figure 5, right
            (256, 56, 56),
            Basic(256, 256, stride=1, shortcut=Shortcut.A),
            Bottleneck(256, 64, stride=1, shortcut=Shortcut.A, placement=Stride.PAPER),
        ),
    )


class _Cost(NamedTuple):
    multiplications: int
    weights: int


def cost(module: nn.Module, size: Sequence[int]) -> _Cost:
    """Of one picture, and of the convolutions alone: no bias, no norm, no addition."""
    weights = sum(each.weight.numel() for each in module.modules() if isinstance(each, nn.Conv2d))
    return _Cost(layer_table(module, input_size=size).multiply_adds, weights)


def run(
    out: str | Path,
    *,
    iterations: int = 20,
    batch: int = BATCH,
    threads: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Reproduced:
    """Write ``bottleneck.json``, ``.md`` and ``.png`` (cost against the 1x1's width) into `out`.

    `iterations` passes of `batch` maps are timed, of each way in turn. Raises BadInput for less
    than 1.
    """
    if min(iterations, batch) < 1:
        raise BadInput(
            f"iterations is {iterations} and batch is {batch}", hint="give 1 or more of each"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    rows = []
    try:
        torch.manual_seed(seed)
        compared = pairs()
        for place, pair in enumerate(compared):
            straight, narrow = (cost(net, pair.input) for net in (pair.straight, pair.narrow))
            seconds = _timed(pair, iterations=iterations, batch=batch)
            rows.append(
                {
                    "name": pair.name,
                    "input": list(pair.input),
                    "multiplications": [straight.multiplications, narrow.multiplications],
                    "weights": [straight.weights, narrow.weights],
                    "seconds": list(seconds),
                }
            )
            if on_progress is not None:
                on_progress(place + 1, len(compared), pair.name)
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    claims = judge(rows[0])
    table: dict[str, Any] = {
        "name": "bottleneck",
        "reproduces": "the chapter's example C5; Szegedy et al. 2015, §4; He et al. 2016, §4.1",
        "date": provenance.today(),
        "machine": f"{provenance.hardware()}, {used} threads",
        "batch": batch,
        "timed_passes": iterations,
        "rows": rows,
        "claims": [claim._asdict() for claim in claims],
        "verdict": verdict(claims),
    }
    folder = Path(out)
    page, picture = folder / "bottleneck.md", folder / "bottleneck.png"
    written = write_table(table, folder / "bottleneck.json")
    with write_whole(page) as file:
        file.write(markdown(table).encode())
    images.save(_chart(), picture)
    return Reproduced(table=table, files=(page, written, picture))


def _timed(pair: Pair, *, iterations: int, batch: int) -> tuple[float, float]:
    """Median seconds of a pass of a batch, straight and narrow, measured in turn."""
    maps = torch.randn(batch, *pair.input).contiguous(memory_format=torch.channels_last)
    nets = [
        net.eval().to(memory_format=torch.channels_last) for net in (pair.straight, pair.narrow)
    ]
    times: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode():
        for _ in range(_WARM_UP + iterations):
            for net, found in zip(nets, times, strict=True):
                begin = time.perf_counter()
                net(maps)
                found.append(time.perf_counter() - begin)
    first, second = (statistics.median(found[_WARM_UP:]) for found in times)
    return first, second


def judge(row: Mapping[str, Any]) -> list[Claim]:
    """The chapter's four numbers, to the digits that it prints."""
    claims = []
    for kind, printed in _PRINTED.items():
        seen = [f"{each:.1e}" for each in row[kind]]
        claims.append(
            Claim(
                f"{' and '.join(printed)} {kind}",
                seen == list(printed),
                " and ".join(f"{each:,}" for each in row[kind]),
            )
        )
    straight, narrow = row["seconds"]
    claims.append(
        Claim("the narrow way is faster", narrow < straight, f"{straight / narrow:.1f} times")
    )
    return claims


def markdown(table: Mapping[str, Any]) -> str:
    """The three pairs, and the verdict."""
    lines = [
        "# The 1x1 bottleneck",
        "",
        f"**{table['verdict']}** ({table['reproduces']})",
        "",
        f"Counted, and seconds of a pass of {table['batch']} maps, median of "
        f"{table['timed_passes']}; {table['date']}, {table['machine']}.",
        "",
        "| | multiplications | through 1x1 | less | weights | through 1x1 | less | ms | through "
        "1x1 | less |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table["rows"]:
        cells = [row["name"]]
        for kind in ("multiplications", "weights"):
            straight, narrow = row[kind]
            cells += [f"{straight:,}", f"{narrow:,}", f"{straight / narrow:.1f}x"]
        straight, narrow = row["seconds"]
        cells += [
            f"{1000 * straight:.1f}",
            f"{1000 * narrow:.1f}",
            f"{straight / narrow:.1f}x",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "![the cost by the width of the 1x1 layer](bottleneck.png)"]
    return "\n".join(lines) + "\n"


def _chart() -> Pixels:
    size = (INTO, SIDE, SIDE)
    straight = float(cost(direct(), size).multiplications)
    widths = [(float(each), float(cost(through(each), size).multiplications)) for each in WIDTHS]
    return draw(
        Chart(
            title=f"{SIDE}x{SIDE}, {INTO} channels to {OUT} through 5x5",
            x="channels of the 1x1 convolution",
            y="multiplications",
            lines=[
                Line(
                    name="5x5 alone",
                    points=[(0.0, straight), (256.0, straight)],
                    stroke=Stroke.DASHED,
                ),
                Line(name="1x1, then 5x5", points=widths),
                Line(name="the chapter's 32", points=[widths[WIDTHS.index(BETWEEN)]]),
            ],
            x_range=(0.0, 256.0),
            y_range=(0.0, 6e8),
        )
    )
