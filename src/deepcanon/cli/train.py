"""`deepcanon train RECIPE`: a recipe run on your own data, and resumed bit for bit."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json

__all__ = ["train"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon train new-style --set painting=painting.jpg --set photos=photos/",
        "deepcanon train new-style --set painting=painting.jpg --set photos=photos/ --resume",
        "deepcanon train classifier --set data=photos/",
        "deepcanon train mine.yaml -o runs/second --set steps=4000",
    ),
)
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting; may be given again. A part of one: --set style_taps.relu1_2=0.5",
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    help="Folder for everything the run writes.  [default: runs/RECIPE]",
)
@click.option("--resume", is_flag=True, help="Go on where the run in that folder stopped.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    metavar="N",
    help="Random seed; the same as --set seed=N.",
)
@options.threads
@options.json_
@options.quiet
def train(
    recipe: str,
    *,
    settings: tuple[str, ...],
    output: str | None,
    resume: bool,
    seed: int | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train a recipe on your own data. Needs PyTorch.

    RECIPE is a name (`deepcanon recipes` lists them) or a YAML file that changes one
    (`deepcanon recipes show NAME` prints one to copy).

    Ctrl-C stops after the step at hand and keeps a checkpoint; the same command with --resume then
    ends with the same weights, bit for bit, as a run that was never interrupted.
    """
    from deepcanon.training.recipe import choose, start

    began = time.perf_counter()
    if seed is not None:
        settings = (*settings, f"seed={seed}")
    chosen = choose(recipe, settings=settings)
    folder = Path(output) if output is not None else Path("runs", chosen.title)
    try:
        made = start(chosen, folder=folder, resume=resume, quiet=quiet, threads=threads)
    except KeyboardInterrupt:
        made = None
    if made is None:
        raise KeyboardInterrupt(
            _how_to_go_on(folder, recipe=recipe, settings=settings, output=output, threads=threads)
        )
    seconds = round(time.perf_counter() - began, 1)
    if as_json:
        from deepcanon.training.provenance import as_dict

        print_json(
            {
                "command": "train",
                "recipe": chosen.name,
                "settings": as_dict(chosen.recipe),
                "folder": str(folder),
                "output": str(made),
                "seconds": seconds,
            }
        )
    elif not quiet:
        print(made)
    return 0


def _how_to_go_on(
    folder: Path,
    *,
    recipe: str,
    settings: tuple[str, ...],
    output: str | None,
    threads: int | None,
) -> str:
    """The hint of an interrupted run: the command to copy, or that there is nothing to go on with.

    Text only, so that it can be said in the moment of a second Ctrl-C.
    """
    if not (folder / "last.ckpt").exists():
        return "no checkpoint was due yet; the same command starts anew"
    words = ["deepcanon", "train", recipe]
    for setting in settings:
        words += ["--set", setting]
    if output is not None:
        words += ["-o", output]
    if threads is not None:
        words += ["--threads", str(threads)]
    return f"go on with: {shlex.join([*words, '--resume'])}"
