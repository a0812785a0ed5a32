"""`deepcanon find-rate RECIPE`: a learning rate to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, progress

__all__ = ["find_rate"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon find-rate classifier --set data=photos/",
        "deepcanon find-rate resnet20-cifar10 --set data=cifar10/ --set batch=64 -o rate.png",
    ),
)
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting, as for train."
)
@click.option("-o", "--output", metavar="FILE.png", help="Draw the curve of the loss.")
@click.option(
    "--steps",
    type=click.IntRange(min=20),
    default=100,
    show_default=True,
    metavar="N",
    help="Steps to take; each tries another rate.",
)
@click.option(
    "--least",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-5,
    show_default=True,
    metavar="RATE",
    help="The first rate.",
)
@click.option(
    "--most",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="RATE",
    help="The last rate.",
)
@options.threads
@options.json_
@options.quiet
def find_rate(
    recipe: str,
    *,
    settings: tuple[str, ...],
    output: str | None,
    steps: int,
    least: float,
    most: float,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Find a learning rate for a recipe of a classifier: where the loss falls fastest. Needs
    PyTorch.

    Trains for --steps steps at most with a growing rate and keeps nothing of it. Prints the rate as
    a setting for `deepcanon train`.
    """
    from importlib import import_module

    from deepcanon.cli.files import check_place
    from deepcanon.core import images
    from deepcanon.core.errors import BadInput
    from deepcanon.training.recipe import choose, ready

    if not least < most:
        raise BadInput(
            f"--least is {least} and --most is {most}", hint="the last rate is the higher one"
        )
    if output is not None:
        if Path(output).suffix.lower() != ".png":
            raise BadInput(f"{output} is not named .png", hint="that is what is drawn: -o FILE.png")
        check_place(Path(output), example="rate.png")
    chosen = choose(recipe, settings=settings)
    finder = getattr(chosen.recipe, "finder", None)
    if finder is None:
        raise BadInput(
            f"there is no finder for {chosen.name}, which trains no classifier",
            hint="deepcanon recipes lists those of the domain classify",
        )
    ready(chosen, threads=threads)
    module, _, function = finder.partition(":")
    try:
        with progress("trying rates", total=steps, quiet=quiet or as_json) as advance:
            found = getattr(import_module(module), function)(
                chosen.recipe,
                steps=steps,
                least=least,
                most=most,
                quiet=quiet or as_json,
                advance=advance,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing of it is kept; --steps N takes fewer steps") from None
    if output is not None:
        images.save(found.plot(title=f"{chosen.title}: loss by learning rate"), Path(output))
    if as_json:
        print_json({"command": "find-rate", "recipe": chosen.name, **found.to_dict()})
        return 0
    print(f"learning_rate={found.suggestion:.2g}")
    if output is not None and not quiet:
        note(f"drawn: {output}")
    return 0
