"""The small feature network against the one that taught it: how low, how soon, as VGG16 measures.

Every photograph is repainted after every painting three times: by descent under VGG16; under slim;
and by a *schedule* that begins under slim and ends with some iterations under VGG16 (its first
stage is the beginning of slim's own run, so that is not done twice). The pictures on the way are
kept and judged by VGG16 when the clock has stopped (`deepcanon.style.race`).

All descend on the objective of Gatys et al. in the variant `gatys.MODERN` (α/β in the paper's
units, activations scaled a layer, from the photograph, L-BFGS), but at one size: no coarse stages,
which would change what an iteration costs. VGG16's own descent is in pixels, as the paper's is;
those that begin with slim are in the coordinates of a pyramid, as ``MODERN`` is. What is reported
is VGG16's loss with MODERN's weights, whatever the total-variation weight of slim's stage was, of
the picture clipped to 0..1. Seconds include the targets: the features of the photograph and the
painting.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.core import images, standin
from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels
from deepcanon.reproduce import Progress, Reproduced, write_table
from deepcanon.style.evaluate import Photo, photographs
from deepcanon.style.features import FeatureNet, load_features
from deepcanon.style.gatys import MODERN, Config, StageLoss
from deepcanon.style.race import Curve, Track, judged, timed
from deepcanon.style.repaint import (
    LBFGS,
    Adam,
    Stage,
    descend,
    resize,
    same_area,
    to_pixels,
    to_tensor,
)
from deepcanon.style.sheet import contact_sheet
from deepcanon.training import provenance

PAINTINGS = 3
PIXELS = LBFGS(history=20)  # of VGG16's own descent: MODERN's but for the levels
LEVELS = MODERN.optimiser.levels if isinstance(MODERN.optimiser, LBFGS) else 1
METHODS = ("vgg16", "slim", "schedule")
_AIMS = {"iteration": "≥ 6", "early": "≤ 0.25", "late": "≤ 0.5"}

Picture = Float[Tensor, "1 3 h w"]


def run(
    out: str | Path,
    *,
    photos: str | Path | None = None,
    paintings: str | Path | None = None,
    features: str | FeatureNet = "vgg16",
    student: str | FeatureNet = "slim",
    iterations: int = 100,
    schedule: tuple[int, int] = (30, 50),
    variation: float = MODERN.variation,
    count: int = 10,
    size: int = 256,
    minutes: float | None = None,
    threads: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Reproduced:
    """Write ``slim-features.json``, ``.md`` and ``.jpg`` (a grid of pictures) into `out`.

    `photos` is a folder (of which the photographs that training leaves out are taken) or a glob,
    up to `count` of them that can be read (the table says which were skipped); `paintings`
    likewise, the first three, all readable. Without them generated ones stand in. Pictures are
    `size` x `size`. VGG16 runs `iterations`, slim as many or as the schedule, which
    is
    (under slim, under VGG16); `variation` is the total-variation weight under slim. After
    `minutes` no further pair of pictures is begun. The files are written after each pair.
    Raises BadInput for counts below 1.
    """
    if len(schedule) != 2 or min(iterations, count, *schedule) < 1:
        raise BadInput(
            f"iterations {iterations}, schedule {schedule} and count {count} are counts",
            hint="give 1 or more of each, and a schedule of two: --schedule 30,50",
        )
    skipped: list[str] = []
    contents = _photos(photos, count=count, size=size, seed=seed, on_skip=skipped.append)
    styles = _paintings(paintings, size=size, seed=seed)
    config = replace(MODERN, stages=(Stage(iterations=iterations),))
    race = _Race(
        large=_network(features),
        small=_network(student),
        config=config,
        small_config=replace(config, variation=variation),
        large_iterations=iterations,
        small_iterations=max(iterations, schedule[0]),
        schedule=schedule,
    )
    # The first painting changes with the photograph: a run cut short has seen some of all.
    order = [
        (content, styles[(place + turn) % len(styles)])
        for turn in range(len(styles))
        for place, content in enumerate(contents)
    ]
    pairs: list[dict[str, Any]] = []
    tiles: list[tuple[str, Pixels]] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    table = {**_head(race, features, student, size=size), "skipped": skipped}
    began = time.perf_counter()
    try:
        race.warm_up(contents[0].pixels, styles[0].pixels)
        for place, (content, style) in enumerate(order):

            def tell(step: int, judge: str, done: int = place, name: str = content.name) -> None:
                if on_progress is not None:
                    every = race.steps
                    on_progress(done * every + step, len(order) * every, f"{name}: {judge}")

            tracks = race.run(content.pixels, style.pixels, tell=tell)
            curves = race.curves(content.pixels, style.pixels, tracks)
            pairs.append(_pair(content, style, tracks, curves))
            if place < len(contents):  # each photograph once
                tiles += _tiles(content, style, tracks)
            table |= {"pairs": pairs, "of_pairs": len(order), "summary": summary(pairs)}
            written = _write(table, tiles, Path(out))
            if minutes is not None and time.perf_counter() - began > 60 * minutes:
                break
    finally:
        torch.set_num_threads(before)
    return Reproduced(table=table, files=written)


@dataclass(frozen=True, kw_only=True)
class _Race:
    """What is compared: two networks, and how long each descent is."""

    large: FeatureNet
    small: FeatureNet
    config: Config
    small_config: Config  # with the total variation of slim's stage
    large_iterations: int
    small_iterations: int
    schedule: tuple[int, int]

    @property
    def steps(self) -> int:
        """All iterations of a pair of pictures."""
        return self.large_iterations + self.small_iterations + self.schedule[1]

    def run(
        self, content: Pixels, style: Pixels, *, tell: Callable[[int, str], None]
    ) -> dict[str, Track]:
        """The three descents of a pair of pictures."""
        photo, painting = _tensors(content, style)
        done = 0

        def descent(
            start: Picture, *, judge: str, iterations: int, keep: int, optimiser: LBFGS | Adam
        ) -> Track:
            nonlocal done
            before, done = done, done + iterations
            return timed(
                start,
                lambda: self.loss(photo, painting, judge=judge),
                optimiser=optimiser,
                iterations=iterations,
                keep={*range(0, iterations, max(1, iterations // 20)), keep, iterations},
                on_step=lambda step: tell(before + step, judge),
            )

        switch, last = self.schedule
        large = descent(
            photo,
            judge="vgg16",
            iterations=self.large_iterations,
            keep=_early(self.large_iterations),
            optimiser=PIXELS,
        )
        in_levels = self.config.optimiser
        small = descent(
            photo,
            judge="slim",
            iterations=self.small_iterations,
            keep=switch,
            optimiser=in_levels,
        )
        middle = small.pictures[small.iterations.index(switch)]
        end = descent(middle, judge="vgg16", iterations=last, keep=last, optimiser=in_levels)
        return {"vgg16": large, "slim": small, "schedule": small.then(end, at=switch)}

    def loss(self, photo: Picture, painting: Picture, *, judge: str) -> StageLoss:
        """The objective under "vgg16" or "slim"."""
        return StageLoss(
            photo,
            painting,
            config=self.small_config if judge == "slim" else self.config,
            features=self.small if judge == "slim" else self.large,
            full_area=photo.shape[2] * photo.shape[3],
        )

    def curves(
        self, content: Pixels, style: Pixels, tracks: Mapping[str, Track]
    ) -> dict[str, Curve]:
        """VGG16's judgement of every track."""
        judge = self.loss(*_tensors(content, style), judge="vgg16")
        return {name: judged(track, judge) for name, track in tracks.items()}

    def warm_up(self, content: Pixels, style: Pixels) -> None:
        """An iteration under each network: the first also sets its kernels up."""
        photo, painting = _tensors(content, style)
        for judge in ("vgg16", "slim"):
            loss = self.loss(photo, painting, judge=judge)
            list(descend(photo, loss, optimiser=self.config.optimiser, iterations=1))


def _early(iterations: int) -> int:
    """25 of 100."""
    return max(1, iterations // 4)


def _pair(
    photo: Photo, painting: Photo, tracks: Mapping[str, Track], curves: Mapping[str, Curve]
) -> dict[str, Any]:
    large = curves["vgg16"]
    last = large.iterations[-1]
    seconds = {name: statistics.median(tracks[name].each) for name in ("vgg16", "slim")}
    return {
        "photo": photo.name,
        "painting": painting.name,
        "seconds_per_iteration": seconds,
        "iteration": seconds["vgg16"] / seconds["slim"],
        "early": _compared(large, _early(last), curves["slim"]),
        "late": _compared(large, last, curves["schedule"]),
        "curves": {
            name: [list(point) for point in curve.points()] for name, curve in curves.items()
        },
    }


def _compared(large: Curve, iteration: int, other: Curve) -> dict[str, Any]:
    """How soon `other` has the loss that VGG16's own descent has at `iteration`."""
    seconds, loss = large.at(iteration)
    reached = other.reaches(loss)
    return {
        "iteration": iteration,
        "loss": loss,
        "seconds": seconds,
        "reached_at": None if reached is None else reached[0],
        "reached_seconds": None if reached is None else reached[1],
        "ratio": None if reached is None else reached[1] / seconds,
    }


def summary(pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each claim the median over the pairs and its spread; None stands for never."""
    ratios = {
        "iteration": [pair["iteration"] for pair in pairs],
        "early": [pair["early"]["ratio"] for pair in pairs],
        "late": [pair["late"]["ratio"] for pair in pairs],
    }
    found = {}
    for name, each in ratios.items():
        ordered = sorted(float("inf") if ratio is None else ratio for ratio in each)
        spread = (ordered[0], statistics.median(ordered), ordered[-1])
        low, middle, high = (None if value == float("inf") else value for value in spread)
        found[name] = {
            "min": low,
            "median": middle,
            "max": high,
            "reached": sum(ratio is not None for ratio in each),
            "of": len(each),
        }
    return found


def markdown(table: dict[str, Any]) -> str:
    """The claims, and the loss against time as means over the pairs."""
    claims = {
        "iteration": "cost of an iteration: VGG16 / slim",
        "early": f"slim's time to VGG16's loss at {table['pairs'][0]['early']['iteration']} "
        "iterations / VGG16's",
        "late": f"the schedule's time to VGG16's loss at {table['pairs'][0]['late']['iteration']} "
        "iterations / VGG16's",
    }
    lines = [
        f"{len(table['pairs'])} of {table['of_pairs']} pairs of pictures, {table['size']}², "
        f"{table['machine']}; schedule {table['schedule'][0]} iterations "
        f"under slim, {table['schedule'][1]} under VGG16. VGG16's own descent moves pixels, the "
        f"others a pyramid of {table['levels']['slim']} levels.",
        "",
        "| | aim | median | min | max | pairs that reach it |",
        "|---|---|---|---|---|---|",
    ]
    for name, what in claims.items():
        row = table["summary"][name]
        cells = [_text(row[key]) for key in ("median", "min", "max")]
        lines.append(
            f"| {what} | {_AIMS[name]} | {' | '.join(cells)} | {row['reached']} of {row['of']} |"
        )
    lines += ["", "Means over the pairs; the loss is VGG16's, the photograph's own is 1.", ""]
    lines += ["| descent | iterations | seconds | loss |", "|---|---|---|---|"]
    for name in METHODS:
        curves = [pair["curves"][name] for pair in table["pairs"]]
        marks = [point[0] for point in curves[0]]
        for place in sorted({round((len(marks) - 1) * share / 8) for share in range(9)}):
            seconds = statistics.fmean(curve[place][1] for curve in curves)
            loss = statistics.fmean(curve[place][2] / curve[0][2] for curve in curves)
            lines.append(f"| {name} | {marks[place]} | {seconds:.2f} | {loss:.4f} |")
    return "\n".join(lines) + "\n"


def _text(ratio: float | None) -> str:
    return "never" if ratio is None else f"{ratio:.2f}"


def _write(
    table: dict[str, Any], tiles: list[tuple[str, Pixels]], folder: Path
) -> tuple[Path, ...]:
    page, grid = folder / "slim-features.md", folder / "slim-features.jpg"
    written = write_table(table, folder / "slim-features.json")
    with write_whole(page) as file:
        file.write(markdown(table).encode())
    images.save(contact_sheet(tiles, columns=2 + len(METHODS)), grid)
    return page, written, grid


def _tiles(photo: Photo, painting: Photo, tracks: Mapping[str, Track]) -> list[tuple[str, Pixels]]:
    shown = images.load(painting.pixels, max_side=max(photo.pixels.shape)).pixels
    ends = [(name, to_pixels(track.pictures[-1])) for name, track in tracks.items()]
    return [(Path(photo.name).stem, photo.pixels), (Path(painting.name).stem, shown), *ends]


def _head(
    race: _Race, features: str | FeatureNet, student: str | FeatureNet, *, size: int
) -> dict[str, Any]:
    return {
        "reproduces": "the aims of the slim feature network",
        "machine": f"{provenance.hardware()}, {torch.get_num_threads()} threads",
        "features": _name(features),
        "student": _name(student),
        "size": size,
        "iterations": race.large_iterations,
        "schedule": list(race.schedule),
        "alpha": race.config.alpha,
        "beta": race.config.beta,
        "variation": race.config.variation,
        "variation_under_slim": race.small_config.variation,
        "levels": {"vgg16": PIXELS.levels, "slim": LEVELS, "schedule": LEVELS},
    }


def _photos(
    source: str | Path | None,
    *,
    count: int,
    size: int,
    seed: int,
    on_skip: Callable[[str], None],
) -> list[Photo]:
    if source is not None:
        return photographs(source, count=count, side=size, on_skip=on_skip)
    return [
        Photo(f"generated {place}", standin.photo(seed + place, size)) for place in range(count)
    ]


def _paintings(source: str | Path | None, *, size: int, seed: int) -> list[Photo]:
    if source is None:
        return [
            Photo(f"generated {place}", standin.painting(seed + place, size))
            for place in range(PAINTINGS)
        ]
    found = [Path(place) for place in images.find([source])][:PAINTINGS]
    return [Photo(path.name, images.load(path).pixels) for path in found]


def _tensors(content: Pixels, style: Pixels) -> tuple[Picture, Picture]:
    """The photograph, and the painting brought to its area, as `gatys.repaint` does."""
    photo = to_tensor(content)
    shape = (style.shape[0], style.shape[1])
    painting = resize(to_tensor(style), same_area(shape, like=(photo.shape[2], photo.shape[3])))
    return photo, painting


def _network(features: str | FeatureNet) -> FeatureNet:
    if isinstance(features, str):
        return load_features(features, pooling=MODERN.pooling)
    return features


def _name(features: str | FeatureNet) -> str:
    if not isinstance(features, str):
        return type(features).__name__
    return "+".join(Path(part).name for part in features.split("+"))
