"""`deepcanon evaluate` of a style network: how many iterations of descent one pass is worth."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deepcanon.cli.output import note, print_json, print_table, progress
from deepcanon.core.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from deepcanon.style.evaluate import Comparison
    from deepcanon.style.scores import StyleReport

__all__ = ["StyleWishes", "evaluate_style"]

_HEAD = (
    "style",
    "loss, one pass",
    "content",
    "style loss",
    "tv",
    "loss, photograph",
    "iterations",
)
_COUNT = 20


@dataclass(frozen=True, kw_only=True)
class StyleWishes:
    """The options of `deepcanon evaluate` that only a style network is asked; None: not given."""

    photos: str | None
    paintings: str | None
    features: str | None
    iterations: int | None
    side: int | None
    styles: str | None
    precision: str | None


def evaluate_style(
    model: Path,
    wishes: StyleWishes,
    *,
    count: int | None,
    output: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure the styles of a network one after the other; the exit code.

    Where no styles are asked for, those whose painting is not there are left out. Raises
    `MissingExtra` without torch, `BadInput` where photographs or paintings are not named or not
    there, and where the scores could not be written.
    """
    photos = _given(wishes.photos, "--photos")
    paintings = _given(wishes.paintings, "--paintings")
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need="evaluating a style network")
    if output is not None:
        from deepcanon.cli.files import check_report

        check_report(output)
    import torch

    from deepcanon.style.evaluate import Comparison, Precision, photographs
    from deepcanon.style.features import load_features
    from deepcanon.style.scores import StyleReport

    if threads is not None:
        torch.set_num_threads(threads)
    features = wishes.features or "vgg16"
    silent = quiet or as_json
    comparison = Comparison(
        model,
        photos=photographs(
            photos,
            count=count or _COUNT,
            side=wishes.side or 256,
            on_skip=None if silent else lambda complaint: note(f"skipped: {complaint}"),
        ),
        paintings=paintings,
        features=load_features(features),
        iterations=wishes.iterations or 60,
        precision=Precision(wishes.precision or "float32"),
        engine=engine,
        threads=threads,
    )
    wanted = _wanted(comparison, wishes.styles)
    report = StyleReport(
        settings=comparison.settings(features=features),
        path=None if output is None else Path(output),
    )
    if wishes.styles is None and not silent:
        _note_left_out(comparison, wanted)
    if comparison.record.recipe.get("painting") and not silent:
        note(f"measured by the objective of the style added last: {comparison.record.labels[-1]}")
    for style in wanted:
        if style not in report.scores:
            _measure(comparison, report, style, quiet=silent)
    if as_json:
        print_json({"command": "evaluate", **report.to_dict()})
    elif not quiet:
        _print(report, wanted)
    return 0


def _given(value: str | None, option: str) -> str:
    if value is None:
        raise BadInput(
            f"missing option '{option}'",
            hint="a style network is measured with --photos DIR and --paintings DIR",
        )
    return value


def _wanted(comparison: Comparison, styles: str | None) -> list[str]:
    """The styles to measure, all refused or accepted before minutes of work."""
    if styles is None:
        return _with_painting(comparison)
    wanted = [name.strip() for name in styles.split(",")]
    unknown = [name for name in wanted if name not in comparison.styles]
    if unknown:
        raise BadInput(
            f"there is no style '{unknown[0]}' to measure",
            hint=f"the styles are {', '.join(comparison.styles)}",
        )
    for style in wanted:
        comparison.painting(style)
    return wanted


def _with_painting(comparison: Comparison) -> list[str]:
    """The styles whose painting is in the folder. Raises `BadInput` when it has none of them."""
    found = [style for style in comparison.styles if comparison.has_painting(style)]
    if not found:
        files = ", ".join(comparison.training.paintings.values())
        raise BadInput(
            f"{comparison.paintings} has none of the paintings of the styles: {files}",
            hint="name the folder of the paintings that the network was trained on",
        )
    return found


def _note_left_out(comparison: Comparison, wanted: list[str]) -> None:
    unnamed = [name for name in comparison.record.labels if name not in comparison.styles]
    if unnamed:
        note(f"not measured, the record names no painting of them: {', '.join(unnamed)}")
    absent = [name for name in comparison.styles if name not in wanted]
    if absent:
        note(f"not measured, {comparison.paintings} has no painting of them: {', '.join(absent)}")


def _measure(comparison: Comparison, report: StyleReport, style: str, *, quiet: bool) -> None:
    with progress(style, total=comparison.iterations + 1, quiet=quiet) as advance:
        score = comparison.measure(style, on_step=lambda _, detail: advance(detail))
    report.add(score)
    if not quiet:
        note(f"{style}: one pass {score.total:.4g} is worth {score.worth} iterations")


def _print(report: StyleReport, wanted: list[str]) -> None:
    rows = []
    for style in wanted:
        score = report.scores[style]
        figures = (score.total, score.content, score.style_loss, score.tv, score.curve[0])
        rows.append([style, *(f"{figure:8.4f}" for figure in figures), score.worth])
    print_table(rows, head=_HEAD)
