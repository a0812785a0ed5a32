"""Options that several commands share: the same name, letter and words everywhere."""

from __future__ import annotations

import os

import click

__all__ = [
    "SETTINGS",
    "crops",
    "engine",
    "examples",
    "json_",
    "keep_color",
    "model",
    "quiet",
    "strength",
    "threads",
]


def _no_more_than_there_are(
    _context: click.Context, _option: click.Parameter, threads: int | None
) -> int | None:
    """More threads than processors only wait for each other; thousands of them for minutes."""
    return None if threads is None else min(threads, os.cpu_count() or 1)


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

json_ = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
engine = click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="What runs the network: openvino, onnxruntime, torch; auto is the fastest installed.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    callback=_no_more_than_there_are,
    metavar="N",
    help="Processor threads to use.",
)
model = click.option(
    "--model", metavar="FILE", help="A .onnx file of your own in place of the shipped network."
)

CROPS = click.Choice(["1-crop", "10-crop", "50-crop", "dense"])
crops = click.option(
    "--crops",
    type=CROPS,
    default="1-crop",
    show_default=True,
    help="Show the network the centre; corners, centre and mirror images; 5x5 of the picture and "
    "mirror images; or the whole picture.",
)

strength = click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    metavar="NUMBER",
    help="How much of the style; 0 gives the photograph.",
)
keep_color = click.option("--keep-color", is_flag=True, help="Keep the photograph's colours.")


def examples(*lines: str) -> str:
    """The examples that close a help text, each on its own line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
