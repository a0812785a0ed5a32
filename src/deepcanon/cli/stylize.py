"""`deepcanon stylize`: photographs in, photographs repainted in the style of a painting out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, progress
from deepcanon.core.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from deepcanon.cli.files import Job, Plan
    from deepcanon.core.picture import Pixels
    from deepcanon.style.predict import Stylized

__all__ = ["stylize"]

# The longer side in pixels that a descent works at unless told otherwise: some 20 s on two cores.
GATYS_SIZE = 512
FEATURES = "slim"
ITERATIONS = 150  # of `gatys.MODERN`, which the help cannot ask: it would import torch


@dataclass(frozen=True, kw_only=True)
class Look:
    """What both methods do alike with a photograph and with what became of it."""

    strength: float
    keep_color: bool
    max_size: int | None


@dataclass(frozen=True, kw_only=True)
class Descent:
    """What only --method gatys is asked."""

    features: str | None
    iterations: int | None
    preview: int | None
    start: str | None
    seed: int | None


class Method(NamedTuple):
    """A way to repaint, and what its results are called: photo.TAG.jpg (`tags`: of other runs)."""

    paint: Callable[[Job], Stylized]
    tag: str
    tags: Sequence[str]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon stylize photo.jpg --style great-wave -o wave.jpg",
        "deepcanon stylize photos/ --style starry-night:0.6,udnie:0.4 -o repainted/",
        "deepcanon stylize photo.jpg --style my-painting.jpg --iterations 200",
        "cat photo.jpg | deepcanon stylize - --style udnie > udnie.png",
    ),
)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option(
    "--style",
    metavar="STYLE",
    help="A style, a blend (starry-night:0.6,udnie:0.4), or a picture of a painting."
    "  [default: starry-night]",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A file with an ending, a folder (made if missing), or - for PNG to standard output."
    "  [default: photo.STYLE.jpg beside photo.jpg]",
)
@options.strength
@options.keep_color
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Limit of the longer side.  [default: the photograph's; gatys then repaints at "
    f"{GATYS_SIZE} and enlarges]",
)
@click.option(
    "--method",
    type=click.Choice(["johnson", "gatys"]),
    help="One pass of a trained network, or optimisation: tens of seconds."
    "  [default: gatys for a painting, else johnson]",
)
@click.option(
    "--features",
    metavar="NAME",
    help=f"gatys: slim, vgg16, vgg19 or a weights file.  [default: {FEATURES}]",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"gatys: how many.  [default: {ITERATIONS}]",
)
@click.option(
    "--preview",
    type=click.IntRange(min=1),
    metavar="N",
    help="gatys: write a preview beside OUT every N.",
)
@click.option(
    "--start",
    type=click.Choice(["content", "noise"]),
    help="gatys: from the photograph or from noise.  [default: content]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="gatys: of the noise, with --start noise.",
)
@options.model
@options.engine
@options.threads
@options.json_
@options.quiet
def stylize(
    photos: tuple[str, ...],
    *,
    style: str | None,
    output: str | None,
    strength: float,
    keep_color: bool,
    max_size: int | None,
    method: str | None,
    features: str | None,
    iterations: int | None,
    preview: int | None,
    start: str | None,
    seed: int | None,
    model: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Repaint photographs in the style of a painting.

    PHOTO... are files, folders, globs, or - for standard input. The result has the size, alpha
    channel and colour profile of the photograph.

    The styles: starry-night, great-wave, the-scream, composition-vii, udnie, woman-with-a-hat,
    shipwreck. `deepcanon stylize sheet PHOTO` shows them all.
    """
    from deepcanon.cli.files import plan, print_written, run_all
    from deepcanon.style.predict import check_strength

    began = time.perf_counter()
    check_strength(strength)  # NaN passes click's range
    look = Look(strength=strength, keep_color=keep_color, max_size=max_size)
    descent = Descent(
        features=features, iterations=iterations, preview=preview, start=start, seed=seed
    )
    painting = style if style is not None and _is_picture(style) else None
    by_descent = method == "gatys" or (method is None and painting is not None)
    if by_descent:
        if engine != "auto" or model is not None:
            raise BadInput("gatys takes no --engine and no --model", hint="leave them out")
        painting = _wanted(painting, style)
        chosen = _gatys(painting, look, descent, threads=threads, quiet=quiet or as_json)
    else:
        _check_johnson(painting, descent)
        chosen = _johnson(style, look, model=model, engine=engine, threads=threads)
    keep = [painting] if painting is not None else []
    made = plan(photos, output=output, tag=chosen.tag, tags=chosen.tags, keep=keep, as_json=as_json)
    if preview is not None:
        _check_previews(made, keep=keep)
    silent = quiet or as_json or by_descent  # a descent has a bar of its own for each picture
    outcome = run_all(made, chosen.paint, _write, label="repainting", quiet=silent)
    if as_json:
        print_json(
            {
                "command": "stylize",
                "method": "gatys" if by_descent else "johnson",
                **outcome.to_dict(),
                "seconds": round(time.perf_counter() - began, 3),
            }
        )
    elif not quiet:
        print_written(outcome.results)
    return outcome.report()


def _johnson(
    style: str | None, look: Look, *, model: str | None, engine: str, threads: int | None
) -> Method:
    """One pass of the shipped network, or of `model`; its first style when none is named."""
    from deepcanon.style.predict import DEFAULT_STYLE, Stylizer, style_names

    names = style_names(model)
    if style is None:
        style = DEFAULT_STYLE if DEFAULT_STYLE in names else names[0]
    stylizer = Stylizer(style, model=model, engine=engine, threads=threads)

    def paint(job: Job) -> Stylized:
        return stylizer(
            job.source,
            strength=look.strength,
            keep_color=look.keep_color,
            max_size=look.max_size,
        )

    return Method(paint, tag="+".join(stylizer.weights), tags=names)


def _gatys(
    painting: str, look: Look, descent: Descent, *, threads: int | None, quiet: bool
) -> Method:
    """Optimisation of the picture itself; the painting may be any picture."""
    from deepcanon.core.images import load, resize, shrink

    model = load(painting)  # what is wrong with it is said before PyTorch is asked for
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need="repainting after a painting of your own (Gatys)")
    import torch

    from deepcanon.style import gatys
    from deepcanon.style.color import finish
    from deepcanon.style.features import load_features
    from deepcanon.style.predict import Stylized
    from deepcanon.style.repaint import Losses, Preview, Start

    config = gatys.MODERN
    if descent.iterations is not None:
        config = config.with_iterations(descent.iterations)
    if descent.start is not None:
        config = replace(config, start=Start(descent.start))
    if descent.seed is not None and config.start is not Start.NOISE:
        raise BadInput(
            "--seed is that of the noise, and the descent starts from the photograph",
            hint="add --start noise, or leave --seed out",
        )
    features = load_features(descent.features or FEATURES, pooling=config.pooling)
    if threads is not None:
        torch.set_num_threads(threads)

    def paint(job: Job) -> Stylized:
        photo = load(job.source, max_side=look.max_size)
        small = photo if look.max_size else shrink(photo, max_side=GATYS_SIZE)
        size = (photo.pixels.shape[0], photo.pixels.shape[1])

        def finished(painted: Pixels, *, seconds: float) -> Stylized:
            painted = resize(painted, size=size)
            return Stylized(
                pixels=finish(
                    painted, photo.pixels, strength=look.strength, keep_colors=look.keep_color
                ),
                alpha=photo.alpha,
                icc=photo.icc,
                name=photo.name,
                style={Path(painting).name: 1.0},
                engine="torch",
                seconds=seconds,
            )

        preview = None
        if descent.preview is not None and job.output != "-":
            beside = _preview(job.output)
            preview = Preview(
                every=descent.preview,
                show=lambda _, painted: finished(painted, seconds=0).save(beside),
            )
        with progress(photo.name, total=config.iterations, quiet=quiet) as advance:

            def tell(step: int, losses: Losses) -> None:
                advance(f"content {losses.content:.3g}  style {losses.style:.3g}")

            done = gatys.repaint(
                small.pixels,
                model.pixels,
                config=config,
                features=features,
                seed=descent.seed or 0,
                on_step=tell,
                preview=preview,
            )
        stylized = finished(done.pixels, seconds=done.seconds)
        if done.interrupted and done.iterations:
            stylized.save(job.output)
            raise KeyboardInterrupt(
                f"{job.output} holds the picture as it was after {done.iterations} iterations"
            )
        if done.interrupted:
            raise KeyboardInterrupt
        if small is not photo and not quiet:
            note(
                f"{photo.name}: repainted at {GATYS_SIZE} pixels and enlarged; "
                "--max-size N repaints at N"
            )
        return stylized

    tag = Path(painting).stem
    return Method(paint, tag=tag, tags=[f"{tag}.preview"])


def _preview(output: Path) -> Path:
    """Where the previews of an output go: beside it, as what stands there must not be harmed."""
    return output.with_name(f"{output.stem}.preview{output.suffix}")


def _check_previews(made: Plan, *, keep: Sequence[str]) -> None:
    """Raise `BadInput` when a preview would overwrite an input, or has no place to go to."""
    inputs = {os.path.realpath(each) for each in [*keep, *(job.source for job in made.jobs)]}
    for job in made.jobs:
        if job.output == "-":
            raise BadInput("--preview cannot go to standard output", hint="name a file with -o")
        beside = _preview(job.output)
        if os.path.realpath(beside) in inputs:
            raise BadInput(
                f"the preview {beside} would overwrite an input",
                hint="name another file or folder with -o",
            )


def _check_johnson(painting: str | None, descent: Descent) -> None:
    from deepcanon.core.reading import opened

    for name in ("features", "iterations", "preview", "start", "seed"):
        if getattr(descent, name) is not None:
            raise BadInput(
                f"--{name} is for --method gatys",
                hint=f"leave --{name} out, or give --style a picture of a painting",
            )
    if painting is not None:
        with opened(Path(painting), what="painting"):  # one that is not there is told first
            pass
        raise BadInput(
            f"--method johnson has no network for {painting}",
            hint="leave --method out, or train a network: "
            f"deepcanon train new-style --set painting={painting} --set photos=photos/",
        )


def _wanted(painting: str | None, style: str | None) -> str:
    if painting is None:
        raise BadInput(
            f"--method gatys needs a picture of the painting, not {style or 'nothing'}",
            hint="give it as --style painting.jpg",
        )
    return painting


def _is_picture(style: str) -> bool:
    """Whether --style means a file: it is one, or is spelled like one."""
    from deepcanon.core.images import SUFFIXES

    return Path(style).suffix.lower() in SUFFIXES or os.sep in style or Path(style).is_file()


def _write(job: Job, stylized: Stylized) -> dict[str, Any]:
    stylized.save(job.output)
    known = stylized.to_dict()
    del known["picture"]  # the name of the input, once more
    return {"input": str(job.source), "output": str(job.output), **known}
