"""`deepcanon evaluate MODEL`: measure a trained network, each kind in the way of its domain."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deepcanon.cli import options
from deepcanon.cli.evaluate_classifier import ClassifierWishes, evaluate_classifier
from deepcanon.cli.evaluate_style import StyleWishes, evaluate_style
from deepcanon.core.errors import BadInput

__all__ = ["evaluate"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon evaluate my.onnx --data pictures/ --confusion confusion.png",
        "deepcanon evaluate resnet20-cifar10 --data cifar-10-batches-bin/ --crops 10-crop",
        "deepcanon evaluate multistyle --photos photos/ --paintings paintings/ -o scores.json",
    ),
)
@click.argument("model", metavar="MODEL")
@click.option(
    "--data",
    metavar="DIR",
    help="classifier: a folder with one subfolder per class, or CIFAR or MNIST files; digits; "
    "standin.",
)
@click.option(
    "--split",
    type=click.Choice(["val", "train"]),
    help="classifier: the pictures held out, or those trained on.  [default: val]",
)
@click.option(
    "--crops",
    type=options.CROPS,
    help="classifier: the centre; corners, centre and mirror images; 5x5 and mirror images; or the"
    " whole."
    "  [default: 1-crop]",
)
@click.option(
    "--confusion", metavar="PNG", help="classifier: draw here which class is taken for which."
)
@click.option(
    "--photos",
    metavar="DIR",
    help="style: a folder (only those kept out of training are used) or a glob (all are used).",
)
@click.option("--paintings", metavar="DIR", help="style: the folder with the styles' paintings.")
@click.option(
    "--features",
    metavar="NAME",
    help="style: what judges: slim, vgg16, vgg19, a weights file, or two, as shallow.h5+deep.h5."
    "  [default: vgg16]",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    metavar="N",
    help="style: follow the optimisation no further than this.  [default: 60]",
)
@click.option(
    "--side",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    help="style: photographs are cut to squares of this side.  [default: 256]",
)
@click.option("--styles", metavar="A,B", help="style: only these.  [default: all]")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="style: of the feature network; bfloat16 is faster, and overstates the result."
    "  [default: float32]",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many pictures at most.  [default: all; 20 photographs for a style network]",
)
@click.option(
    "-o",
    "--output",
    metavar="JSON",
    help="Keep the scores here. For a style network a table in Markdown goes beside it, and a run "
    "that was interrupted goes on from it.",
)
@options.engine
@options.threads
@options.json_
@options.quiet
def evaluate(
    model: str,
    *,
    data: str | None,
    split: str | None,
    crops: str | None,
    confusion: str | None,
    photos: str | None,
    paintings: str | None,
    features: str | None,
    iterations: int | None,
    side: int | None,
    styles: str | None,
    precision: str | None,
    count: int | None,
    output: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure a trained network.

    A classifier: top-1 and top-5, a table of the classes, what is taken for what; a score at chance
    is looked into. A style network, which needs PyTorch: the loss of one pass, and how many
    iterations of L-BFGS from the photograph reach it.

    MODEL is a .onnx file, or the name of a shipped network.
    """
    of_classifier = ClassifierWishes(data=data, split=split, crops=crops, confusion=confusion)
    of_style = StyleWishes(
        photos=photos,
        paintings=paintings,
        features=features,
        iterations=iterations,
        side=side,
        styles=styles,
        precision=precision,
    )
    path, domain = _open(model)
    if domain == "classify":
        _refuse(of_style, path, domain="style networks")
        return evaluate_classifier(
            path,
            of_classifier,
            count=count,
            output=output,
            engine=engine,
            threads=threads,
            as_json=as_json,
            quiet=quiet,
        )
    if domain == "style":
        _refuse(of_classifier, path, domain="classifiers")
        return evaluate_style(
            path,
            of_style,
            count=count,
            output=output,
            engine=engine,
            threads=threads,
            as_json=as_json,
            quiet=quiet,
        )
    raise BadInput(
        f"{path} is of the domain '{domain}', which cannot be measured",
        hint="give a classifier or a style network",
    )


def _open(model: str) -> tuple[Path, str]:
    """The file of a network, and the domain that its record says."""
    from deepcanon.core.assets import find
    from deepcanon.core.record import read_record

    path = find(model)
    return path, read_record(path).domain


def _refuse(wishes: Any, path: Path, *, domain: str) -> None:
    given = next((name for name, value in asdict(wishes).items() if value is not None), None)
    if given is not None:
        raise BadInput(
            f"--{given} is for {domain}, and {path} is none",
            hint=f"leave --{given} out, or name another network",
        )
