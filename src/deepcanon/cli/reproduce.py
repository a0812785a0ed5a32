"""`deepcanon reproduce NAME`: measure a table or figure of the canon again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, progress
from deepcanon.core.errors import BadInput

__all__ = ["reproduce"]


def _counts(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    """ "30,50" -> (30, 50)."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as cause:
        raise click.BadParameter(f"'{text}' is not a list of counts such as 30,50") from cause


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon reproduce",
        "deepcanon reproduce style-tradeoff --photo photo.jpg --painting painting.jpg",
        "deepcanon reproduce style-speed -o speed/ --threads 2",
        "deepcanon reproduce degradation --data cifar-10-batches-bin/",
    ),
)
@click.argument("name", required=False, metavar="[NAME]")
@click.option(
    "-o",
    "--output",
    default="out",
    show_default=True,
    metavar="DIR",
    help="The folder for its tables and pictures.",
)
@click.option(
    "--data",
    metavar="DIR",
    help="Labelled pictures, as for deepcanon train.  [default: standin, generated ones]",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Of each training.")
@click.option("--photo", metavar="FILE", help="The photograph.  [default: a generated one]")
@click.option("--painting", metavar="FILE", help="The painting.  [default: a generated one]")
@click.option("--photos", metavar="DIR", help="Photographs: a folder or a glob.")
@click.option("--paintings", metavar="DIR", help="Paintings: a folder or a glob.")
@click.option(
    "--features",
    metavar="NAME",
    help="slim, vgg16, vgg19, a weights file, or two, as shallow.h5+deep.h5.",
)
@click.option("--student", metavar="NAME", help="The small feature network, as --features.")
@click.option("--iterations", type=click.IntRange(min=1), metavar="N", help="Of a descent.")
@click.option(
    "--schedule",
    metavar="N,M",
    callback=_counts,
    help="Iterations on the small network, then on the large one.",
)
@click.option(
    "--variation",
    type=click.FloatRange(min=0),
    metavar="WEIGHT",
    help="Of the total-variation term while the small network judges.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many pictures at most.")
@click.option(
    "--minutes", type=click.FloatRange(min=0), metavar="M", help="Begin nothing new after these."
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(min=16),
    multiple=True,
    metavar="PIXELS",
    help="Side of the pictures; where a table has several, repeat it.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of noise and of pictures.")
@click.option("--engine", metavar="NAME", help="Of one pass: openvino, onnxruntime, torch, auto.")
@options.threads
@options.json_
@options.quiet
def reproduce(
    name: str | None,
    *,
    output: str,
    data: str | None,
    steps: int | None,
    photo: str | None,
    painting: str | None,
    photos: str | None,
    paintings: str | None,
    features: str | None,
    student: str | None,
    iterations: int | None,
    schedule: tuple[int, ...] | None,
    variation: float | None,
    count: int | None,
    minutes: float | None,
    sizes: tuple[int, ...],
    seed: int | None,
    engine: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure a table or figure of the canon again; without NAME, list what there is.

    Each has its own settings, and says so when it is given one that it does not take. Those that
    train several networks keep each one that is done: the same command goes on with the next.
    All but the list needs PyTorch.
    """
    from deepcanon.cli.files import check_folder
    from deepcanon.reproduce import REPRODUCTIONS, load

    if name is None:
        _list(as_json=as_json)
        return 0
    run = load(name)
    settings = {
        "data": data,
        "steps": steps,
        "photo": photo,
        "painting": painting,
        "photos": photos,
        "paintings": paintings,
        "features": features,
        "student": student,
        "iterations": iterations,
        "schedule": schedule,
        "variation": variation,
        "count": count,
        "minutes": minutes,
        "sizes": sizes or None,
        "seed": seed,
        "engine": engine,
        "threads": threads,
    }
    check_folder(Path(output))
    taken = set(inspect.signature(run).parameters)
    given = _matched(name, settings, taken=taken)
    if "data" in taken and data in (None, "standin") and not (quiet or as_json):
        note("note: on generated pictures nothing is judged; --data takes real ones, as CIFAR-10")
    with _bar(name, quiet=quiet or as_json) as on_progress:
        done = run(output, on_progress=on_progress, **given)
    if as_json:
        print_json(
            {
                "command": "reproduce",
                "name": name,
                "row": REPRODUCTIONS[name].row,
                "files": [str(path) for path in done.files],
                "table": done.table,
            }
        )
    elif not quiet:
        for complaint in done.table.get("skipped", ()):
            note(f"skipped: {complaint}")
        if "verdict" in done.table:
            note(f"{name}: {done.table['verdict']}")
        for path in done.files:
            print(path)
    return 0


def _matched(name: str, settings: dict[str, Any], *, taken: set[str]) -> dict[str, Any]:
    """The settings that were given, for a `run` that takes the parameters `taken`.

    Raises BadInput for one that it does not take.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if "sizes" in given and "size" in taken:
        sizes = given.pop("sizes")
        if len(sizes) > 1:
            raise BadInput(f"{name} has one size, not {len(sizes)}", hint="give --size once")
        given["size"] = sizes[0]
    strange = [key for key in given if key not in taken]
    if strange:
        allowed = taken | ({"sizes"} if "size" in taken else set())
        known = [_option(key) for key in settings if key in allowed]
        raise BadInput(
            f"{name} takes no {_option(strange[0])}", hint=f"it takes {', '.join(known)}"
        )
    return given


def _option(setting: str) -> str:
    return "--size" if setting == "sizes" else f"--{setting}"


def _list(*, as_json: bool) -> None:
    from deepcanon.reproduce import REPRODUCTIONS

    if as_json:
        print_json(
            [
                {"name": name, "row": each.row, "help": each.help, "cost": each.cost}
                for name, each in REPRODUCTIONS.items()
            ]
        )
        return
    print("Each NAME with its row in docs/coverage.md, what it measures, and what it costs:")
    for name, each in REPRODUCTIONS.items():
        print(f"\n{name} ({each.row})\n    {each.help}\n    {each.cost}")


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A bar that is opened at the first word of progress, which says how many steps there are."""
    with ExitStack() as stack:
        advance: Callable[[str], None] | None = None
        reached = 0

        def on_progress(step: int, total: int, detail: str) -> None:
            nonlocal advance, reached
            if advance is None:
                advance = stack.enter_context(progress(label, total=total, quiet=quiet))
            for _ in range(step - reached):
                advance(detail)
            reached = step

        yield on_progress
