"""The way in: from the words of the command line to one function of one module.

`deepcanon --help` is answered from the table below and imports nothing; a command imports its own
module and no other. The value behind a table entry is a click command (click, not typer: typer
imports pydantic whenever a command runs).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from deepcanon.cli.output import download_bar, run
from deepcanon.core.errors import BadInput

__all__ = ["COMMANDS", "Entry", "load", "main"]


class Entry(NamedTuple):
    """Where a command lives, and its line in `deepcanon --help`."""

    module: str
    function: str
    help: str


# A name may have two words; the longest that fits is taken, so `stylize sheet` comes before
# `stylize` with a photograph called "sheet" (write ./sheet for that).
COMMANDS = {
    "stylize": Entry("stylize", "stylize", "repaint photographs in the style of a painting"),
    "stylize sheet": Entry("sheet", "sheet", "one photograph in every style, on one page"),
    "classify": Entry("classify", "classify", "name what pictures show"),
    "demo": Entry("demo", "demo", "repaint the sample photograph in every shipped style"),
    "list": Entry("list", "list_", "the networks in the catalogue"),
    "describe": Entry("describe", "describe", "a network: its paper, variants and layers"),
    "visualize": Entry("visualize", "visualize", "what the layers of a classifier see"),
    "train": Entry("train", "train", "train a recipe on your own data"),
    "split": Entry("split", "split", "set some labelled pictures apart to judge by"),
    "check-data": Entry("check_data", "check_data", "what is wrong with labelled pictures"),
    "find-rate": Entry("find_rate", "find_rate", "a learning rate for a classifier's recipe"),
    "recipes": Entry("recipes", "recipes", "the recipes, and one of them as YAML to copy"),
    "evaluate": Entry("evaluate", "evaluate", "measure a trained network"),
    "export": Entry("export", "export", "write a checked .onnx file"),
    "reproduce": Entry("reproduce", "reproduce", "measure a table or figure again"),
}

_HELP = """\
usage: deepcanon COMMAND [ARGUMENTS]

The deep-learning canon as one toolkit: faithful to the papers, and fast on a plain CPU.

commands:
{commands}

with any command:
  --help           its options, and an example
  --debug          show where an error came from
  --offline        never use the network

deepcanon --version prints the version

examples:
  deepcanon demo
  deepcanon stylize photo.jpg --style great-wave
  deepcanon stylize sheet photo.jpg -o sheet.jpg"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0, 1 failed, 2 bad input, 130 interrupted."""
    if words is None:
        # Nothing is converted from other formats here, and OpenVINO's converter, with the telemetry
        # that it brings, would be half of the import. OpenVINO does without what is not there.
        sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
        # numpy's matrix products have threads of their own, which are started whether they are
        # needed or not, and spin; what commands multiply in numpy is too small to gain from them.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        code = _run(sys.argv[1:])
        _end_without_engines(code)
        return code
    return _run(list(words))


def _run(words: list[str]) -> int:
    words, debug = _take(words, "--debug")
    words, offline = _take(words, "--offline")
    return run(lambda: _dispatch(words, offline=offline), debug=debug)


def _end_without_engines(code: int) -> None:
    """End the process here if an inference engine is loaded, and not torch.

    The system takes threads and memory back at once; an engine that is asked to do so takes a tenth
    of the time of a short run. Training ends as Python does: it has workers and logs to wait for.
    """
    if "torch" in sys.modules or not {"openvino", "onnxruntime"}.intersection(sys.modules):
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # their reader went away: Python's own end says what it says
        return
    os._exit(code)


def load(name: str) -> Any:
    """Import the module of a command and return the command: it has `make_context` and `invoke`."""
    entry = COMMANDS[name]
    return getattr(import_module(f"deepcanon.cli.{entry.module}"), entry.function)


def _dispatch(words: list[str], *, offline: bool) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from deepcanon import __version__

        print(f"deepcanon {__version__}")
        return 0
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
    if name is None:
        raise _unknown(words[0])
    if offline:
        from deepcanon.core.assets import set_offline

        set_offline(True)
    rest = words[len(name.split()) :]
    if sys.stderr.isatty() and not {"-q", "--quiet"}.intersection(rest):
        from deepcanon.core.assets import watch_downloads

        watch_downloads(download_bar)
    command = load(name)
    try:
        with command.make_context(f"deepcanon {name}", rest) as context:
            code = command.invoke(context)
    except Exception as error:
        error.add_note(f"deepcanon {name}")  # a complaint about options names its command
        raise
    return code if isinstance(code, int) else 0


def _help() -> str:
    lines = [f"  {name:<16} {entry.help}" for name, entry in COMMANDS.items()]
    return _HELP.format(commands="\n".join(lines))


def _take(words: list[str], switch: str) -> tuple[list[str], bool]:
    """Take a switch that stands anywhere before `--` out of the words."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != switch]
    return kept + words[end:], len(kept) < end


def _unknown(word: str) -> BadInput:
    from deepcanon.core.near import did_you_mean

    if word.startswith("-"):
        return BadInput(
            f"{word} stands before a command", hint="deepcanon --help lists the commands"
        )
    hint = did_you_mean(word, COMMANDS, otherwise="deepcanon --help lists the commands")
    return BadInput(f"there is no command '{word}'", hint=hint)
