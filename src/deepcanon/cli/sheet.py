"""`deepcanon stylize sheet`: one photograph in every style, on one page."""

from __future__ import annotations

import time

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, progress
from deepcanon.core.errors import BadInput

__all__ = ["sheet"]

TILE = 512  # longer side in pixels of a picture on the page


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon stylize sheet photo.jpg -o sheet.jpg",
        "deepcanon stylize sheet photo.jpg --tile 256 --keep-color",
    ),
)
@click.argument("photo", metavar="PHOTO")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A file, a folder, or - (PNG).  [default: photo.sheet.jpg beside photo.jpg]",
)
@click.option(
    "--tile",
    type=click.IntRange(min=16),
    default=TILE,
    show_default=True,
    metavar="PIXELS",
    help="Longer side of each picture on the page.",
)
@click.option("--columns", type=click.IntRange(min=1), metavar="N", help="Pictures side by side.")
@options.strength
@options.keep_color
@options.model
@options.engine
@options.threads
@options.json_
@options.quiet
def sheet(
    photo: str,
    *,
    output: str | None,
    tile: int,
    columns: int | None,
    strength: float,
    keep_color: bool,
    model: str | None,
    engine: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """One photograph in every style, on one page, each with its name."""
    from deepcanon.cli.files import plan, print_written
    from deepcanon.core.images import load, save
    from deepcanon.style.predict import style_names
    from deepcanon.style.sheet import contact_sheet, every_style

    start = time.perf_counter()
    jobs = plan([photo], output=output, tag="sheet", as_json=as_json).jobs
    if len(jobs) != 1:
        raise BadInput(f"{photo} is {len(jobs)} pictures", hint="name the one for the sheet")
    job = jobs[0]
    picture = load(job.source, max_side=tile)
    painted = every_style(
        picture,
        model=model,
        engine=engine,
        threads=threads,
        strength=strength,
        keep_color=keep_color,
    )
    tiles = [("photograph", picture.pixels)]
    styles = []
    with progress("repainting", total=len(style_names(model)), quiet=quiet or as_json) as advance:
        for name, stylized in painted:
            tiles.append((name, stylized.pixels))
            styles.append({"name": name, "seconds": round(stylized.seconds, 4)})
            advance(name)
    page = contact_sheet(tiles, columns=columns)
    save(page, job.output, icc=picture.icc)
    written = {
        "input": str(job.source),
        "output": str(job.output),
        "width": page.shape[1],
        "height": page.shape[0],
        "seconds": round(time.perf_counter() - start, 3),
    }
    if as_json:
        print_json({"command": "stylize sheet", **written, "styles": styles})
    elif not quiet:
        print_written([written])
    return 0
