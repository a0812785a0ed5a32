"""`deepcanon split DIR`: some pictures of each class set apart to judge by."""

from __future__ import annotations

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, print_table

__all__ = ["split"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon split flowers/ --val 0.1",
        "deepcanon split flowers/ --val 0.2 -o flowers-divided --seed 7",
    ),
)
@click.argument("folder", metavar="DIR")
@click.option(
    "--val",
    "share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="How much of each class is set apart; one picture at least.",
)
@click.option(
    "-o", "--output", metavar="OUT", help="Folder for train/ and val/, new or empty.  [DIR-split]"
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Another seed sets other pictures apart.",
)
@options.json_
@options.quiet
def split(
    folder: str, *, share: float, output: str | None, seed: int, as_json: bool, quiet: bool
) -> int:
    """Divide a folder of labelled pictures, a folder for each class, into train and val.

    DIR stays as it is: OUT/train and OUT/val get hard links to its files, or copies of them where
    the disk knows no links. A file and its exact copies in the same class stay on one side.
    """
    from deepcanon.classify.data.split import split as divide

    made = divide(folder, share=share, output=output, seed=seed)
    if as_json:
        print_json({"command": "split", **made.to_dict()})
    elif not quiet:
        rows = [[name, train, val] for name, (train, val) in made.counts.items()]
        sums = [sum(column) for column in zip(*made.counts.values(), strict=True)]
        print_table([*rows, ["all", *sums]], head=("class", "train", "val"))
        print(made.output)
    return 0
