"""`deepcanon evaluate MODEL`: how many iterations of optimisation one pass of it is worth."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, print_table, progress
from deepcanon.core.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from deepcanon.style.evaluate import Comparison
    from deepcanon.style.scores import Report

__all__ = ["evaluate"]

_HEAD = ("style", "one pass", "content", "style term", "variation", "photograph", "iterations")


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon evaluate multistyle --photos photos/ --paintings paintings/ -o scores.json",
        "deepcanon evaluate my.onnx --photos 'new/*.jpg' --paintings paintings/ --styles udnie",
    ),
)
@click.argument("model", metavar="MODEL")
@click.option(
    "--photos",
    required=True,
    metavar="DIR",
    help="A folder: those of its photographs that training leaves out. A glob: all of them.",
)
@click.option(
    "--paintings", required=True, metavar="DIR", help="The folder with the styles' paintings."
)
@click.option(
    "--features",
    default="vgg16",
    show_default=True,
    metavar="NAME",
    help="What judges: slim, vgg16, vgg19, a weights file, or two, as shallow.h5+deep.h5.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="N",
    help="Follow the optimisation no further than this.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many photographs at most.",
)
@click.option(
    "--side",
    type=click.IntRange(min=16),
    default=256,
    show_default=True,
    metavar="PIXELS",
    help="Photographs are cut to squares of this side.",
)
@click.option("--styles", metavar="A,B", help="Only these styles.  [default: all]")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of the feature network; bfloat16 is faster and flatters the network.",
)
@click.option(
    "-o",
    "--output",
    metavar="JSON",
    help="Keep the scores here, style by style, and a table in Markdown beside it; a run that was "
    "interrupted goes on from it.",
)
@options.engine
@options.threads
@options.json_
@options.quiet
def evaluate(
    model: str,
    *,
    photos: str,
    paintings: str,
    features: str,
    iterations: int,
    count: int,
    side: int,
    styles: str | None,
    precision: str,
    output: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure a style network: the loss of one pass, and how many iterations of L-BFGS from the
    photograph reach it.

    MODEL is a .onnx file, or the name of a shipped network: multistyle.
    """
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need="evaluating a style network")
    import torch

    from deepcanon.style.evaluate import Comparison, Precision, photographs
    from deepcanon.style.features import load_features
    from deepcanon.style.scores import Report

    if threads is not None:
        torch.set_num_threads(threads)
    comparison = Comparison(
        model,
        photos=photographs(photos, count=count, side=side),
        paintings=paintings,
        features=load_features(features),
        iterations=iterations,
        precision=Precision(precision),
        engine=engine,
        threads=threads,
    )
    wanted = _wanted(comparison, styles)
    report = Report(
        settings=comparison.settings(features=features),
        path=None if output is None else Path(output),
    )
    without = [name for name in comparison.record.labels if name not in comparison.styles]
    if without and styles is None and not (quiet or as_json):
        note(f"not measured, the record names no painting of them: {', '.join(without)}")
    for style in wanted:
        if style not in report.scores:
            _measure(comparison, report, style, quiet=quiet or as_json)
    if as_json:
        print_json({"command": "evaluate", **report.to_dict()})
    elif not quiet:
        _print(report, wanted)
    return 0


def _wanted(comparison: Comparison, styles: str | None) -> list[str]:
    """The styles to measure, all refused or accepted before minutes of work."""
    wanted = comparison.styles
    if styles is not None:
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


def _measure(comparison: Comparison, report: Report, style: str, *, quiet: bool) -> None:
    with progress(style, total=comparison.iterations + 1, quiet=quiet) as advance:
        score = comparison.measure(style, on_step=lambda _, detail: advance(detail))
    report.add(score)
    if not quiet:
        note(f"{style}: one pass {score.total:.4g} is worth {score.worth} iterations")


def _print(report: Report, wanted: list[str]) -> None:
    rows = []
    for style in wanted:
        score = report.scores[style]
        figures = (score.total, score.content, score.texture, score.variation, score.curve[0])
        rows.append([style, *(f"{figure:8.4f}" for figure in figures), score.worth])
    print_table(rows, head=_HEAD)
