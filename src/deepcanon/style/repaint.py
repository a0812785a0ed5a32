"""Repainting by descent: a picture, in pixels or as a pyramid, changes until a loss is small.

Nothing here knows a paper. What is minimised is an `Objective`; `descend` walks down it step by
step, and `run_stages` does so stretch by stretch: each `Stage` has its size and feature network.

*What an iteration is.* One call of the optimiser's ``step``. Adam and L-BFGS without a line search
evaluate the loss and its gradient exactly once in it, so iterations and evaluations are the same
number. With `LineSearch.STRONG_WOLFE` an iteration evaluates where it starts and wherever the
search looks: most often two evaluations in all, at most 26. Both are counted and reported.

*Scaling.* L-BFGS compares curvatures and gradients with fixed tolerances, so a loss of 1e12 or
1e-12 ends it early ("rounding errors prevent progress"). Here the loss is divided by its mean
absolute gradient at the start of a stage and the tolerances are off: α = 1, β = 1000 and α = 1e9,
β = 1e12 walk the same way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.picture import Pixels
from deepcanon.style import data
from deepcanon.style.pyramid import merge, split

# torch shortens the first L-BFGS step to a total change of 1 over all pixels, which is so little
# that the first curvature is rounding noise: from a grey start, 30 iterations then reach twice the
# loss. One grey level a coordinate, on average, is enough.
FIRST_STEP = 1 / 255
SMALLEST_SIDE = 64  # a coarse stage does not go below: the deep layers would see a few positions


class LineSearch(StrEnum):
    """How L-BFGS finds the length of its steps."""

    NONE = "none"  # the full quasi-Newton step
    STRONG_WOLFE = "strong_wolfe"


@dataclass(frozen=True, kw_only=True)
class LBFGS:
    """Limited-memory BFGS (torch's), one iteration a step."""

    learning_rate: float = 1.0  # torch's default, and the authors' notebook
    history: int = 100  # torch's default, and the notebook; 2.5 GB at 1024x1024, in pixels
    line_search: LineSearch = LineSearch.NONE  # torch's default, and the notebook
    levels: int = 1  # of the `pyramid` whose maps are the coordinates; 1: the pixels alone


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam; `learning_rate` is about how far a pixel (0..1) moves in a step."""

    learning_rate: float = 0.02  # ours: five grey levels


class Start(StrEnum):
    """The picture the descent starts from."""

    NOISE = "noise"
    CONTENT = "content"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of the run. `size` is a fraction of the full sides; `features` names the network
    that judges it (None: the run's own)."""

    iterations: int
    size: float = 1.0
    features: str | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise BadInput(
                f"a stage of {self.iterations} iterations does nothing",
                hint="give every stage at least 1 iteration",
            )
        if not 0 < self.size <= 1:
            raise BadInput(
                f"a stage cannot run at {self.size} of the full size",
                hint="give a fraction above 0, up to 1",
            )


def octaves(iterations: int, *, levels: int = 3, features: str | None = None) -> tuple[Stage, ...]:
    """Coarse to fine: `levels` stages, each twice the sides of the one before, the last full size.

    The iterations are shared out evenly, what is left over goes to the coarse ones: at 1/4, 1/2
    and 1 that costs 44 % of as many full-size iterations.
    """
    each, over = divmod(iterations, levels)
    if each < 1:
        raise BadInput(
            f"{iterations} iterations cannot be split over {levels} sizes",
            hint=f"ask for at least {levels} iterations, or for fewer sizes",
        )
    return tuple(
        Stage(
            iterations=each + (level < over),
            size=0.5 ** (levels - 1 - level),
            features=features,
        )
        for level in range(levels)
    )


def share_out(stages: Sequence[Stage], iterations: int) -> tuple[Stage, ...]:
    """The stages with `iterations` in all, in the proportions they have; a stage whose share comes
    to nothing is dropped, the last one as the last. Raises `BadInput` for fewer than 1."""
    if iterations < 1:
        raise BadInput(f"{iterations} iterations do nothing", hint="give 1 or more")
    total = sum(stage.iterations for stage in stages)
    shared, before, given = [], 0, 0
    for stage in stages:
        before += stage.iterations
        share = iterations * before // total - given  # what is left over goes to the last ones
        given += share
        if share:
            shared.append(replace(stage, iterations=share))
    return tuple(shared)


class Terms(NamedTuple):
    """A loss and its parts, differentiable scalars. `total` is what is minimised."""

    total: Tensor
    content: Tensor
    style: Tensor
    variation: Tensor


@dataclass(frozen=True, kw_only=True)
class Losses:
    """`Terms` as numbers: the parts before their weights, in the units of the run's convention."""

    total: float
    content: float
    style: float
    variation: float

    @classmethod
    def of(cls, terms: Terms) -> Losses:
        """The numbers of differentiable terms."""
        total, content, style, variation = (term.item() for term in terms)
        return cls(total=total, content=content, style=style, variation=variation)


class Objective(Protocol):
    """What is made small: a picture [1, 3, h, w] in 0..1 RGB (not clamped) -> its loss."""

    def __call__(self, picture: Float[Tensor, "1 3 h w"]) -> Terms: ...


class Step(NamedTuple):
    """An iteration done: the picture after it, the losses of the picture before it, and how many
    evaluations it took."""

    picture: Float[Tensor, "1 3 h w"]
    losses: Losses
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Calls ``show(step, pixels)`` after every `every`-th step, with the picture as it then is."""

    every: int
    show: Callable[[int, Pixels], None]

    def __post_init__(self) -> None:
        if self.every < 1:
            raise BadInput(
                f"a preview every {self.every} steps cannot be made",
                hint="give 1 or more, or leave the preview out",
            )


@dataclass(frozen=True, kw_only=True)
class Repainted:
    """The outcome. `pixels` is uint8 [h, w, 3], as large as the content picture.

    `history` holds the losses each step started from (of the step's own stage: stages of different
    size or network do not compare); `losses` are those of the picture itself at the last stage, or
    the last of `history` when the run was interrupted.
    """

    pixels: Pixels
    losses: Losses | None
    history: tuple[Losses, ...]
    evaluations: int
    seconds: float
    interrupted: bool

    @property
    def iterations(self) -> int:
        """How many iterations were finished."""
        return len(self.history)


def run_stages(
    start: Float[Tensor, "1 3 h w"],
    stages: Sequence[Stage],
    objective: Callable[[Stage, tuple[int, int]], Objective],
    *,
    full: tuple[int, int],
    optimiser: LBFGS | Adam,
    on_step: Callable[[int, Losses], None] | None = None,
    preview: Preview | None = None,
) -> Repainted:
    """Run every stage from where the one before it ended.

    ``objective(stage, size)`` makes the loss of a stage for pictures of (height, width) `size`;
    `full` is the (height, width) of the outcome. See `descend` and `Stage` for errors.
    """
    began = time.perf_counter()
    picture = start
    history: list[Losses] = []
    evaluations = 0
    interrupted = False
    final: Losses | None = None
    try:
        for stage in stages:
            size = stage_size(full, size=stage.size)
            picture = resize(picture, size)
            loss = objective(stage, size)
            for step in descend(picture, loss, optimiser=optimiser, iterations=stage.iterations):
                picture = step.picture
                history.append(step.losses)
                evaluations += step.evaluations
                if on_step is not None:
                    on_step(len(history), step.losses)
                if preview is not None and len(history) % preview.every == 0:
                    preview.show(len(history), to_pixels(resize(picture, full)))
        with torch.no_grad():
            final = Losses.of(loss(picture))
        _check(final, done=len(history), optimiser=optimiser)
    except KeyboardInterrupt:
        interrupted = True
        final = history[-1] if history else None
    return Repainted(
        pixels=to_pixels(resize(picture, full)),
        losses=final,
        history=tuple(history),
        evaluations=evaluations,
        seconds=time.perf_counter() - began,
        interrupted=interrupted,
    )


def descend(
    picture: Float[Tensor, "1 3 h w"],
    objective: Objective,
    *,
    optimiser: LBFGS | Adam,
    iterations: int,
) -> Iterator[Step]:
    """Walk down `objective` from `picture` (left as it is), one iteration a `Step`.

    Raises Failed when the loss stops being a finite number.
    """
    levels = optimiser.levels if isinstance(optimiser, LBFGS) else 1
    maps = [each.requires_grad_(True) for each in split(picture.detach().clone(), levels=levels)]
    count = sum(each.numel() for each in maps)
    torch_optimiser = _build(optimiser, maps)
    first_of_step: Losses | None = None
    evaluations = 0
    scale: float | None = None
    done = 0

    def evaluate() -> float:
        nonlocal first_of_step, evaluations, scale
        torch_optimiser.zero_grad()
        terms = objective(merge(maps))
        losses = Losses.of(terms)
        _check(losses, done=done, optimiser=optimiser)
        terms.total.backward()  # type: ignore[no-untyped-call]
        slopes = [each.grad for each in maps if each.grad is not None]
        assert len(slopes) == len(maps)
        if scale is None:
            steepness = sum(slope.abs().sum().item() for slope in slopes) / count
            scale = 1 / steepness if steepness > 0 and math.isfinite(1 / steepness) else 1.0
        for slope in slopes:
            slope.mul_(scale)
        evaluations += 1
        first_of_step = losses if first_of_step is None else first_of_step
        return losses.total * scale

    for done in range(iterations):
        first_of_step, evaluations = None, 0
        _set_rate(torch_optimiser, optimiser, first=done == 0, pixels=count)
        torch_optimiser.step(evaluate)
        assert first_of_step is not None
        with torch.no_grad():
            reached = merge(maps)
        yield Step(reached.clone(), first_of_step, evaluations)


def _build(optimiser: LBFGS | Adam, maps: list[Tensor]) -> torch.optim.Optimizer:
    if isinstance(optimiser, Adam):
        return torch.optim.Adam(maps, lr=optimiser.learning_rate)
    search = None if optimiser.line_search is LineSearch.NONE else optimiser.line_search.value
    return torch.optim.LBFGS(
        maps,
        lr=optimiser.learning_rate,
        max_iter=1,
        max_eval=26,  # torch would allow a line search in one iteration no evaluation at all
        history_size=optimiser.history,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn=search,
    )


def _set_rate(
    torch_optimiser: torch.optim.Optimizer, optimiser: LBFGS | Adam, *, first: bool, pixels: int
) -> None:
    """Undo torch's shortening of the first L-BFGS step (see FIRST_STEP)."""
    rate = optimiser.learning_rate
    if isinstance(optimiser, LBFGS) and first:
        rate *= FIRST_STEP * pixels
    for group in torch_optimiser.param_groups:
        group["lr"] = rate


def _check(losses: Losses, *, done: int, optimiser: LBFGS | Adam) -> None:
    if math.isfinite(losses.total):
        return
    parts = {"content": losses.content, "style": losses.style, "total variation": losses.variation}
    broken = [name for name, value in parts.items() if not math.isfinite(value)] or ["total"]
    if done == 0:
        hint = "the feature network's weights or the weights of the losses are broken: check both"
    elif isinstance(optimiser, Adam):
        hint = f"take a learning rate below {optimiser.learning_rate:g}"
    else:
        hint = "let L-BFGS search along its steps (strong_wolfe), or use Adam"
    raise Failed(
        f"the loss ({', '.join(broken)}) is not a finite number after {done} iterations of a stage",
        hint=hint,
    )


def stage_size(full: tuple[int, int], *, size: float) -> tuple[int, int]:
    """(height, width) of a stage: `size` of the full one, but no shorter than SMALLEST_SIDE."""
    scale = min(1.0, max(size, SMALLEST_SIDE / min(full)))
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def same_area(size: tuple[int, int], *, like: tuple[int, int]) -> tuple[int, int]:
    """`size` (height, width) brought to as many pixels as `like` has, its proportions kept."""
    scale = math.sqrt(like[0] * like[1] / (size[0] * size[1]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(picture: Float[Tensor, "1 3 h w"], size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    """Antialiased bicubic resize to (height, width)."""
    if tuple(picture.shape[-2:]) == size:
        return picture
    return functional.interpolate(
        picture, size=size, mode="bicubic", antialias=True, align_corners=False
    )


def noise(size: tuple[int, int], *, std: float, seed: int) -> Float[Tensor, "1 3 h w"]:
    """White noise around mid-grey, on a picture of (height, width) `size`."""
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + std * torch.randn(1, 3, *size, generator=generator)


def to_tensor(pixels: Pixels) -> Float[Tensor, "1 3 h w"]:
    """uint8 [h, w, 3] -> floats in 0..1."""
    return data.to_tensor(pixels)[None].contiguous()


def to_pixels(picture: Float[Tensor, "1 3 h w"]) -> Pixels:
    """Floats around 0..1 -> uint8 [h, w, 3]: clamped, then rounded."""
    levels = picture[0].detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    pixels: Pixels = levels.permute(1, 2, 0).contiguous().numpy()
    return pixels
