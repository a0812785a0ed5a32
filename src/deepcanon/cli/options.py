"""Options that several commands share: the same name, letter and words everywhere."""

from __future__ import annotations

import click

__all__ = ["SETTINGS", "engine", "examples", "json_", "model", "quiet", "threads"]

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
    "--threads", type=click.IntRange(min=1), metavar="N", help="Processor threads to use."
)
model = click.option(
    "--model", metavar="FILE", help="A .onnx file of your own in place of the shipped network."
)


def examples(*lines: str) -> str:
    """The examples that close a help text, each on its own line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
