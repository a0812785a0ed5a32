"""`deepcanon demo`: the sample photograph repainted in every shipped style, and all on one page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, progress
from deepcanon.core.errors import BadInput

if TYPE_CHECKING:
    from deepcanon.core.images import Picture
    from deepcanon.core.picture import Pixels

__all__ = ["demo"]

SAMPLE = "sample-photo"  # the manifest's name

TILE = 512  # longer side in pixels of a picture on the page


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples("deepcanon demo", "deepcanon demo -o pictures"),
)
@click.option(
    "-o", "--output", default="out", show_default=True, metavar="FOLDER", help="Where to write."
)
@options.engine
@options.threads
@options.json_
@options.quiet
def demo(*, output: str, engine: str, threads: int | None, as_json: bool, quiet: bool) -> int:
    """Repaint the sample photograph in every shipped style.

    Writes FOLDER/STYLE.jpg for each style, the photograph itself, and FOLDER/sheet.jpg with all of
    them on one page.
    """
    from deepcanon.cli.files import check_output, print_written
    from deepcanon.core.images import resize, save
    from deepcanon.style.predict import style_names
    from deepcanon.style.sheet import contact_sheet, every_style

    start = time.perf_counter()
    folder = Path(output)
    if output == "-":
        raise BadInput("the demo writes several files", hint="name a folder with -o")
    check_output(folder / "sheet.jpg")
    photo = _sample()
    save(photo.pixels, folder / "photograph.jpg", icc=photo.icc)
    tiles = [("photograph", photo.pixels)]
    results = []
    with progress("repainting", total=len(style_names()), quiet=quiet or as_json) as advance:
        began = time.perf_counter()
        for name, stylized in every_style(photo, engine=engine, threads=threads):
            path = folder / f"{name}.jpg"
            stylized.save(path)
            tiles.append((name, stylized.pixels))
            results.append(_written(path, stylized.pixels, began=began))
            began = time.perf_counter()
            advance(name)
    began = time.perf_counter()
    page = contact_sheet([(name, resize(pixels, long_side=TILE)) for name, pixels in tiles])
    save(page, folder / "sheet.jpg")
    results.append(_written(folder / "sheet.jpg", page, began=began))
    seconds = round(time.perf_counter() - start, 3)
    if as_json:
        print_json({"command": "demo", "results": results, "seconds": seconds})
    elif not quiet:
        print_written(results)
        print(f"{len(results)} pictures in {seconds:.1f} s: look at {folder / 'sheet.jpg'}")
    return 0


def _sample() -> Picture:
    """The photograph that ships."""
    from deepcanon.core.assets import shipped
    from deepcanon.core.images import load

    return load(shipped(SAMPLE))


def _written(path: Path, pixels: Pixels, *, began: float) -> dict[str, Any]:
    """What was written; `seconds` are those of repainting and writing."""
    height, width = pixels.shape[:2]
    seconds = round(time.perf_counter() - began, 3)
    return {"output": str(path), "width": width, "height": height, "seconds": seconds}
