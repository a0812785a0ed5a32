"""The speed table: repainting by optimisation against one pass of a trained network.

Johnson et al. 2016, Table 1, as the chapter prints it: 100, 300 and 500 iterations of Gatys'
method against one pass, at three sizes, on the authors' GPU. Here both run on this machine's CPU:
VGG19 under PyTorch, and the shipped network under the fastest engine installed.

An iteration costs the same every time, so `iterations` of them are timed (after a warm-up) and
scaled to 100, 300 and 500. VGG19's weights are random: its speed does not depend on them. They are
He's, because under the paper's own initialisation the activations fade until they are denormal
numbers, which *are* slower.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deepcanon.classify import vgg
from deepcanon.core import standin
from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels
from deepcanon.nn.preprocessing import CAFFE
from deepcanon.reproduce import Progress, Reproduced, write_table
from deepcanon.style.features import FeatureNet, VGGFeatures, load_features
from deepcanon.style.gatys import PAPER, repaint
from deepcanon.style.predict import DEFAULT_STYLE, Stylizer
from deepcanon.style.repaint import Losses, Stage
from deepcanon.training import provenance

SIZES = (256, 512, 1024)
SCALED_TO = (100, 300, 500)
# The chapter's table: side -> seconds of 100, 300, 500 iterations, of one pass, and the speed-ups
# as printed (the paper's own, of times before they were rounded).
CHAPTER = {
    256: ((3.17, 9.52, 15.86), 0.015, (212, 636, 1060)),
    512: ((10.97, 32.91, 54.85), 0.05, (205, 615, 1026)),
    1024: ((42.89, 128.66, 214.44), 0.21, (208, 625, 1042)),
}
_WARM_UP = 2


def run(
    out: str | Path,
    *,
    features: str | FeatureNet | None = None,
    one_pass: Callable[[Pixels], object] | None = None,
    sizes: Sequence[int] = SIZES,
    iterations: int = 20,
    passes: int = 10,
    engine: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Reproduced:
    """Write ``style-speed.json`` and ``style-speed.md`` into `out`.

    `features` defaults to VGG19 with random weights, `one_pass` to the shipped `Stylizer`; the
    pictures are generated. `threads` holds for both. Raises BadInput for counts below 1.
    """
    if min(iterations, passes, *sizes) < 1:
        raise BadInput("sizes, iterations and passes are counts", hint="give 1 or more of each")
    network = _network(features, seed=seed)
    name = engine
    if one_pass is None:
        stylizer = Stylizer(DEFAULT_STYLE, engine=engine, threads=threads)
        one_pass, name = stylizer, stylizer.engine
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        rows = []
        for place, size in enumerate(sizes):

            def tell(step: int, losses: Losses, side: int = size, done: int = place) -> None:
                if on_progress is not None:
                    each = iterations + _WARM_UP
                    on_progress(done * each + step, len(sizes) * each, f"VGG19 at {side}")

            photo, painting = standin.photo(seed, size), standin.painting(seed, size)
            iteration = _iteration(photo, painting, network, iterations=iterations, tell=tell)
            rows.append(_row(size, iteration=iteration, times=_passes(photo, one_pass, passes)))
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    table: dict[str, Any] = {
        "reproduces": "the chapter's table T4 (Johnson et al. 2016, Table 1)",
        "machine": f"{provenance.hardware()}, {used} threads",
        "engine": name,
        "weights": "random (speed does not depend on them)" if features is None else "given",
        "timed_iterations": iterations,
        "timed_passes": passes,
        "note": "the seconds of 100, 300 and 500 iterations are scaled from the timed ones",
        "rows": rows,
    }
    folder = Path(out)
    written = write_table(table, folder / "style-speed.json")
    page = folder / "style-speed.md"
    with write_whole(page) as file:
        file.write(markdown(table).encode())
    return Reproduced(table=table, files=(page, written))


def _network(features: str | FeatureNet | None, *, seed: int) -> FeatureNet:
    if features is None:
        return random_vgg19(seed=seed)
    if isinstance(features, str):
        return load_features(features, pooling=PAPER.pooling)
    return features


def random_vgg19(*, seed: int) -> FeatureNet:
    """VGG19's convolutions with He's random weights and Caffe's preprocessing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stack = vgg.convolution_stack(replace(vgg.E, initialisation=vgg.Initialisation.HE))
    return VGGFeatures(stack, how=CAFFE, pooling=PAPER.pooling)


def markdown(table: dict[str, Any]) -> str:
    """The table for people, the chapter's figures in brackets."""
    lines = [
        f"{table['timed_iterations']} iterations timed and scaled, median of "
        f"{table['timed_passes']} passes; {table['machine']}, against "
        f"{table['engine']}; VGG19's weights: {table['weights']}. In brackets: the chapter's, on "
        "a GPU.",
        "",
        "| size | " + " | ".join(f"{count} iterations (s)" for count in SCALED_TO) + " | one pass"
        " (s) | " + " | ".join(f"speed-up {count}" for count in SCALED_TO) + " |",
        "|---" * (2 + 2 * len(SCALED_TO)) + "|",
    ]
    for row in table["rows"]:
        theirs = row["chapter"] or {"gatys_seconds": {}, "speed_up": {}}
        cells = [f"{row['size']}²"]
        for count in map(str, SCALED_TO):
            cells.append(_pair(row["gatys_seconds"][count], theirs["gatys_seconds"].get(count)))
        cells.append(_pair(row["one_pass_seconds"], theirs.get("one_pass_seconds")))
        for count in map(str, SCALED_TO):
            cells.append(_pair(row["speed_up"][count], theirs["speed_up"].get(count)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _iteration(
    photo: Pixels,
    painting: Pixels,
    network: FeatureNet,
    *,
    iterations: int,
    tell: Callable[[int, Losses], None],
) -> float:
    """Seconds of one iteration: the mean of `iterations` of them after a warm-up."""
    ends = []

    def stamp(step: int, losses: Losses) -> None:
        ends.append(time.perf_counter())
        tell(step, losses)

    config = replace(PAPER, stages=(Stage(iterations=_WARM_UP + iterations),))
    done = repaint(photo, painting, config=config, features=network, on_step=stamp)
    if done.interrupted:
        raise KeyboardInterrupt
    return (ends[-1] - ends[_WARM_UP - 1]) / iterations


def _passes(photo: Pixels, one_pass: Callable[[Pixels], object], count: int) -> list[float]:
    """Seconds of each of `count` passes after a warm-up."""
    times = []
    for _ in range(_WARM_UP + count):
        start = time.perf_counter()
        one_pass(photo)
        times.append(time.perf_counter() - start)
    return times[_WARM_UP:]


def _row(size: int, *, iteration: float, times: Sequence[float]) -> dict[str, Any]:
    one = statistics.median(times)
    known = CHAPTER.get(size)
    return {
        "size": size,
        "iteration_seconds": iteration,
        "gatys_seconds": {str(count): iteration * count for count in SCALED_TO},
        "one_pass_seconds": one,
        "one_pass_spread": [min(times), max(times)],
        "speed_up": {str(count): iteration * count / one for count in SCALED_TO},
        "chapter": None if known is None else _chapter(*known),
    }


def _chapter(gatys: Sequence[float], one: float, speed_up: Sequence[float]) -> dict[str, Any]:
    counts = list(map(str, SCALED_TO))
    return {
        "gatys_seconds": dict(zip(counts, gatys, strict=True)),
        "one_pass_seconds": one,
        "speed_up": dict(zip(counts, speed_up, strict=True)),
    }


def _pair(ours: float, theirs: float | None) -> str:
    text = f"{ours:.0f}" if ours >= 100 else f"{ours:.3g}"
    if theirs is None:
        return text
    return f"{text} ({theirs:.0f})" if theirs >= 100 else f"{text} ({theirs:g})"
