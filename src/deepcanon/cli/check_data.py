"""`deepcanon check-data DIR`: what is wrong with labelled pictures, all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, progress
from deepcanon.core.errors import Failed

if TYPE_CHECKING:
    from deepcanon.classify.data.check import DataReport

__all__ = ["check_data"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon check-data flowers/", "deepcanon check-data flowers-split/ --json"
    ),
)
@click.argument("data", metavar="DIR")
@options.json_
@options.quiet
def check_data(data: str, *, as_json: bool, quiet: bool) -> int:
    """Decode every picture of a folder and say what is wrong with them.

    Looks for pictures that cannot be read, the same picture twice, in two classes, or in train and
    val, classes without pictures, and classes in one of train and val only. DIR is whatever
    training takes: a folder for each class, divided into train/ and val/ or not, or the files of
    CIFAR or MNIST. Exit code 1 when something was found.
    """
    from deepcanon.classify.data.check import check, gather

    subject = gather(data)
    with progress("pictures", total=len(subject), quiet=quiet or as_json) as advance:
        report = check(subject, on_picture=advance)
    if as_json:
        print_json({"command": "check-data", **report.to_dict()})
    elif not quiet:
        _print(report)
    return Failed.exit_code if report.findings else 0


def _print(report: DataReport) -> None:
    for finding in report.findings:
        print(f"{finding.problem}: {' = '.join(finding.places)}: {finding.why}")
    for split, classes in report.counts.items():
        where = f"{split}: " if split else ""
        total = sum(classes.values())
        fewest, most = min(classes.values(), default=0), max(classes.values(), default=0)
        each = f"{fewest} to {most}" if fewest < most else f"{most}"
        note(f"{where}{total} pictures of {len(classes)} classes, {each} of each")
    found = len(report.findings)
    if not found:
        note("nothing wrong was found")
    else:
        note(f"{found} {'problem was' if found == 1 else 'problems were'} found")
