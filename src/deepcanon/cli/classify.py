"""`deepcanon classify`: pictures in, what they show out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, print_table, progress
from deepcanon.core.errors import BadInput

if TYPE_CHECKING:
    from deepcanon.classify.results import Classified
    from deepcanon.cli.files import Place

__all__ = ["classify"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon classify photo.jpg",
        "deepcanon classify photos/ --model my.onnx --top 1 --csv",
        "deepcanon classify 'new/*.png' -o found.json -q",
    ),
)
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many classes to name, best first.",
)
@click.option(
    "--model",
    metavar="FILE",
    help="A .onnx file of your own, or the name of one that ships.  [default: resnet20-cifar10]",
)
@options.crops
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
@click.option(
    "-o", "--output", metavar="FILE", help="Write the result here too: it ends in .json or .csv."
)
@options.engine
@options.threads
@options.json_
@options.quiet
def classify(
    pictures: tuple[str, ...],
    *,
    top: int,
    model: str | None,
    crops: str,
    as_csv: bool,
    output: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Name what pictures show, with the probability of each class.

    PICTURE... are files, folders, globs, or - for standard input.

    The network that ships knows ten things and finds one of them in every picture: airplane,
    automobile, bird, cat, deer, dog, frog, horse, ship and truck, as CIFAR-10 has them. For others
    give --model, which `deepcanon train classifier` makes from a folder of your own pictures.
    """
    from deepcanon.classify.crops import Crops
    from deepcanon.classify.predict import DEFAULT, Classifier
    from deepcanon.classify.results import to_csv
    from deepcanon.cli.files import Failure, Outcome, find_pictures

    began = time.perf_counter()
    if as_csv and as_json:
        raise BadInput("--json and --csv would both be printed", hint="leave one of them out")
    classifier = Classifier(model or DEFAULT, engine=engine, threads=threads)
    sources, failures = find_pictures(pictures)
    if output is not None:
        _check_output(Path(output), sources)
    outcome = Outcome(failures=failures)
    alone = len(sources) + len(failures) == 1
    silent = quiet or as_json or as_csv
    found: list[Classified] = []
    with progress("classifying", total=len(sources), quiet=silent) as advance:

        def each() -> Iterator[Place]:
            for source in sources:
                yield source
                advance(Path(source).name)

        results = classifier.stream(
            each(),
            top=top,
            crops=Crops(crops),
            on_error=None
            if alone
            else lambda source, error: outcome.failures.append(Failure(str(source), error)),
        )
        for result in results:
            found.append(result)
            known = result.to_dict()
            outcome.results.append({"input": known.pop("picture"), **known})
    content = {
        "command": "classify",
        "model": f"{classifier.record.model} {classifier.record.variant}",
        "crops": crops,
        **outcome.to_dict(),
        "seconds": round(time.perf_counter() - began, 3),
    }
    if output is not None:
        _write(Path(output), found, content)
    if as_json:
        print_json(content)
    elif as_csv:
        print(to_csv(found), end="")
    elif not quiet:
        _print(found)
        if output is not None:
            note(f"written to {output}")
    return outcome.report()


def _check_output(output: Path, sources: Sequence[Place]) -> None:
    """Refuse now what could not be written after minutes of work."""
    from deepcanon.classify.results import check_results_file
    from deepcanon.cli.files import check_place, refuse_overwriting

    check_results_file(output)
    check_place(output, example="found.csv")
    refuse_overwriting(output, sources)


def _write(output: Path, found: Sequence[Classified], content: dict[str, Any]) -> None:
    from deepcanon.classify.results import check_results_file, save_results
    from deepcanon.core.atomic import write_whole

    if check_results_file(output) == ".csv":
        save_results(found, output)
        return
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with write_whole(output) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))


def _print(found: Sequence[Classified]) -> None:
    """A line for each class; the picture is named in its first."""
    rows = [
        [each.name if place == 0 else "", label, f"{100 * score:5.1f} %"]
        for each in found
        for place, (label, score) in enumerate(zip(each.labels, each.scores, strict=True))
    ]
    if rows:
        print_table(rows)
