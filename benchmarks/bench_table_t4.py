"""The chapter's table T4 on this machine: optimisation (Gatys, VGG19) against one pass."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence

from sidebyside import THREADS, machine, two_cores


def main(words: Sequence[str] | None = None) -> int:
    """Print the table of `deepcanon reproduce style-speed`, the chapter's figures in brackets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="PIXELS")
    parser.add_argument("--iterations", type=int, default=20, help="timed, then scaled")
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--features", help="default: VGG19 with random weights, as fast as real")
    wanted = parser.parse_args(words)
    two_cores()
    from deepcanon.reproduce.style_speed import SIZES, markdown, run

    with tempfile.TemporaryDirectory() as folder:
        done = run(
            folder,
            features=wanted.features,
            sizes=wanted.sizes or SIZES,
            iterations=wanted.iterations,
            passes=wanted.passes,
            threads=THREADS,
        )
    print(machine("deepcanon", "torch", "openvino", "onnxruntime"))
    print()
    print(markdown(done.table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
