"""`deepcanon visualize MODEL PICTURE…`: what the layers of a classifier see, on one page."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json, progress
from deepcanon.core.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from deepcanon.classify.inside.looks import Advance, Choice, Looks, Named
    from deepcanon.classify.inside.subject import Subject
    from deepcanon.cli.files import Outcome

__all__ = ["visualize"]

FILTERS, ACTIVATIONS, DECONVNET = "filters", "activations", "deconvnet"
GUIDED, PATCHES = "guided-backprop", "top-patches"
METHODS = (FILTERS, ACTIVATIONS, DECONVNET, GUIDED, PATCHES)


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon visualize alexnet --variant torchvision --weights imagenet --method filters"
        " -o filters.png",
        "deepcanon visualize my.onnx photo.jpg --method guided-backprop -o looks.png",
        "deepcanon visualize vgg16 photos/ --layer relu1_1 --layer relu5_3 --method top-patches"
        " --weights imagenet -o parts-and-wholes.png",
    ),
)
@click.argument("model", metavar="MODEL")
@click.argument("pictures", nargs=-1, metavar="PICTURE...")
@click.option("-o", "--output", required=True, metavar="OUT", help="The picture to write.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=ACTIVATIONS,
    show_default=True,
    metavar="NAME",
    help=f"One of {', '.join(METHODS)}.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Which layer, as `deepcanon describe MODEL` lists them, or conv3_1, relu5_3, ... of VGG;"
    " may be given again.  [default: a shallow, a middle and a deep one]",
)
@click.option(
    "--channel",
    "channels",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="N",
    help="Which channel, from 0; may be given again.  [default: the strongest]",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many channels to show.")
@click.option(
    "--weights",
    metavar="FILE",
    help="What to fill a catalogue MODEL with; or imagenet, where `describe` says so.",
)
@click.option("--variant", metavar="NAME", help="Which variant of a catalogue MODEL.")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Side of the square that the network is shown.  [default: the network's own]",
)
@click.option(
    "--tile",
    type=click.IntRange(min=8, max=1024),
    default=96,
    show_default=True,
    metavar="PIXELS",
    help="Side of each picture on the page.",
)
@options.json_
@options.quiet
def visualize(
    model: str,
    pictures: tuple[str, ...],
    *,
    output: str,
    method: str,
    layers: tuple[str, ...],
    channels: tuple[int, ...],
    count: int | None,
    weights: str | None,
    variant: str | None,
    size: int | None,
    tile: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what the layers of a classifier see: its filters; the maps of a picture; what in the
    picture excited a channel, by a deconvnet or guided backpropagation; or the patches of many
    pictures that excite it most. Shallow layers see parts, deep layers wholes. Needs PyTorch.

    MODEL is a network that ships (resnet20-cifar10), a name of the catalogue, or a .onnx or
    .safetensors file of deepcanon's.
    PICTURE... are files, folders, globs, or - for standard input.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need="looking into a network")
    began = time.perf_counter()
    if method == FILTERS and pictures:
        raise BadInput("filters are the same for every picture", hint="leave the pictures out")
    if method != FILTERS and not pictures:
        raise BadInput(f"{method} needs a picture", hint="name one after the model")
    if method == FILTERS and len(layers) > 1:
        raise BadInput("filters are shown of one layer", hint="give --layer once")

    from deepcanon.classify.inside.looks import Choice
    from deepcanon.classify.inside.subject import open_subject
    from deepcanon.cli.files import check_output

    place = Path(output)
    check_output("-" if output == "-" else place)
    if output == "-" and as_json:
        raise BadInput(
            "the picture and the JSON would both go to standard output",
            hint="leave out --json, or name a file with -o",
        )
    found, outcome = _pictures(pictures, output=output)
    subject = open_subject(model, variant=variant, weights=weights, side=size)
    if subject.note and not quiet:
        note(f"note: {subject.note}")
    choice = Choice(channels=channels, count=count, tile=tile)
    with progress("looking", total=len(found), quiet=quiet or as_json) as advance:
        looks = _look(subject, method, found, layers=layers, choice=choice, advance=advance)
    _add(outcome, looks, alone=len(found) + len(outcome.failures) == 1)
    if looks.sections:
        written = _write(subject, method, looks, output=output)
        written["seconds"] = round(time.perf_counter() - began, 3)
        if as_json:
            print_json({"command": "visualize", **written, **outcome.to_dict()})
        elif not quiet and output != "-":
            print(output)
    return outcome.report()


def _pictures(words: Sequence[str], *, output: str) -> tuple[list[Named], Outcome]:
    """The pictures by name; standard input is read now, as it can be read only once."""
    from deepcanon.classify.inside.looks import Named
    from deepcanon.cli.files import Outcome, find_pictures, refuse_overwriting
    from deepcanon.core.images import MAX_BYTES

    if not words:
        return [], Outcome()
    places, failures = find_pictures(words)
    if output != "-":
        refuse_overwriting(Path(output), places)
    named = [
        Named("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
        if place == "-"
        else Named(place.name, place)
        for place in places
    ]
    return named, Outcome(failures=failures)


def _look(
    subject: Subject,
    method: str,
    pictures: Sequence[Named],
    *,
    layers: Sequence[str],
    choice: Choice,
    advance: Advance,
) -> Looks:
    from deepcanon.classify import visualize as ways
    from deepcanon.classify.inside.looks import Looks, default_layers
    from deepcanon.classify.inside.projection import Rule
    from deepcanon.classify.inside.top_patches import top_patches

    if method == FILTERS:
        layer = layers[0] if layers else None
        return Looks(sections=[ways.filters(subject, layer=layer, choice=choice)])
    chosen = layers or default_layers(subject)
    if method == ACTIVATIONS:
        return ways.activations(subject, pictures, layers=chosen, choice=choice, advance=advance)
    if method == PATCHES:
        return top_patches(subject, pictures, layers=chosen, choice=choice, advance=advance)
    rule = Rule.DECONVNET if method == DECONVNET else Rule.GUIDED
    return ways.projections(
        subject, pictures, layers=chosen, rule=rule, choice=choice, advance=advance
    )


def _add(outcome: Outcome, looks: Looks, *, alone: bool) -> None:
    """Note what was done and what was not; the error of the only picture is raised."""
    from deepcanon.cli.files import Failure

    for name, error in looks.failures:
        if alone:
            raise error
        outcome.failures.append(Failure(name, error))
    outcome.results.extend({"input": name} for name in looks.done)


def _write(subject: Subject, method: str, looks: Looks, *, output: str) -> dict[str, Any]:
    from deepcanon.classify.inside.sheet import draw
    from deepcanon.core.images import save

    title = f"{subject.model} {subject.variant}: {method}"
    page = draw(looks.sections, title=title)
    save(page, output)
    return {
        "model": subject.model,
        "variant": subject.variant,
        "method": method,
        "side": subject.side,
        "note": subject.note,
        "output": output,
        "width": page.shape[1],
        "height": page.shape[0],
        "sections": [section.to_dict() for section in looks.sections],
    }
