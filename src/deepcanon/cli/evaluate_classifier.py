"""`deepcanon evaluate` of a classifier: its scores on labelled pictures, and what explains them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepcanon.cli.output import note, print_json, print_table, progress
from deepcanon.core.errors import BadInput, Failed

if TYPE_CHECKING:
    from deepcanon.classify.metrics.report import ClassScore, Report

__all__ = ["ClassifierWishes", "evaluate_classifier"]

_LISTED = 50  # classes; of more the worst are shown
_WORST = 10
_WIDTH = 9  # of a share, and of what stands above it
_HEAD = ("class", "pictures", *(each.rjust(_WIDTH) for each in ("recall", "precision", "F1")))


@dataclass(frozen=True, kw_only=True)
class ClassifierWishes:
    """The options of `deepcanon evaluate` that only a classifier is asked; None: not given."""

    data: str | None
    split: str | None
    crops: str | None
    confusion: str | None


def evaluate_classifier(
    model: Path,
    wishes: ClassifierWishes,
    *,
    count: int | None,
    output: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Judge a classifier by the pictures of a data set; the exit code, 1 when some could not be
    read.

    Raises `BadInput` where the data is not named or does not fit the network.
    """
    from deepcanon.classify.crops import Crops
    from deepcanon.classify.data.sources import open_source
    from deepcanon.classify.evaluate import Split, evaluate
    from deepcanon.classify.predict import Classifier

    if wishes.data is None:
        raise BadInput(
            "missing option '--data'",
            hint="a classifier is measured with --data DIR, a folder of labelled pictures",
        )
    _check_outputs(output, wishes.confusion)
    crops, split = Crops(wishes.crops or "1-crop"), Split(wishes.split or "val")
    classifier = Classifier(model, engine=engine, threads=threads)
    classifier.check_crops(crops)
    source = open_source(wishes.data)
    many = crops in (Crops.TEN, Crops.FIFTY)
    if many and classifier.side == classifier.resize and not (quiet or as_json):
        note(
            "note: the shorter side of pictures is taken whole: of square ones "
            f"{crops.value} is the picture and its mirror image"
        )
    pictures = source.val if split is Split.VAL else source.train
    total = min(len(pictures), count or len(pictures))
    with progress("judging", total=total, quiet=quiet or as_json) as advance:
        report = evaluate(
            classifier, source, crops=crops, split=split, count=count, on_step=advance
        )
    if output is not None:
        report.save(output)
    if wishes.confusion is not None:
        _draw(report, wishes.confusion)
    if as_json:
        print_json({"command": "evaluate", **report.to_dict()})
    elif not quiet:
        _print(report)
    return _finish(report, quiet=quiet or as_json)


def _check_outputs(output: str | None, confusion: str | None) -> None:
    """Refuse now what could not be written after minutes of work."""
    from deepcanon.cli.files import check_output, check_report

    if output is not None:
        check_report(output)
    if confusion is not None:
        check_output(Path(confusion))


def _draw(report: Report, path: str) -> None:
    from deepcanon.classify.metrics.confusion import draw_confusion
    from deepcanon.core.images import save

    title = (
        f"{report.settings['model']}, {report.settings['data']}: top-1 {_percent(report.top[1])}"
    )
    save(draw_confusion(report.confusion, classes=report.classes, title=title), path)


def _print(report: Report) -> None:
    shares = [f"top-{k} {_percent(share)}" for k, share in report.top.items()]
    print("  ".join([*shares, f"loss {report.loss:.4f}", f"{report.count} pictures"]))
    recorded = report.settings["recorded"].get("top1")
    if recorded is not None:
        print(f"top-1 in the record: {_percent(recorded)}")
    table = [each for each in report.table() if each.pictures]
    if len(table) > _LISTED:
        table = sorted(table, key=lambda each: each.recall or 0)[:_WORST]
        print(f"\nthe {_WORST} classes that are found least:")
    else:
        print()
    print_table([_row(each) for each in table], head=_HEAD)
    mistakes = report.mistakes()
    if mistakes:
        print("\nmost often mistaken:")
        print_table([(each.shown, "for", each.taken_for, each.pictures) for each in mistakes])


def _row(each: ClassScore) -> list[object]:
    """A class under `_HEAD`; precision is the share of what is called so that is so."""
    shares = (each.recall, each.precision, each.f1)
    return [each.name, each.pictures, *(_percent(share).rjust(_WIDTH) for share in shares)]


def _finish(report: Report, *, quiet: bool) -> int:
    if not quiet:
        for finding in report.findings:
            note(f"note: {finding.message}")
            note(f"hint: {finding.hint}")
    if not report.skipped:
        return 0
    for name, why in report.skipped:
        note(f"skipped {name}: {why}")
    total = report.count + len(report.skipped)
    note(f"error: {len(report.skipped)} of {total} pictures could not be read")
    note("hint: the scores are those of the others; deepcanon check-data lists all that is wrong")
    return Failed.exit_code


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
