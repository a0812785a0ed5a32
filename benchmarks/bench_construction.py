"""How long each classifier of the catalogue takes to be built, its starting weights drawn.

Every variant of every network at its full size, one after the other in one process: the median of
some rounds, in which no network is in memory beside it. The aim is under two seconds for any of
them. Importing torch and the networks' files is not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from sidebyside import THREADS, Spread, machine, table, two_cores

AIM = 2.0  # seconds


def main(words: Sequence[str] | None = None) -> int:
    """Print parameters and seconds of each variant, and which is the slowest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="*", metavar="NAME", help="default: every classifier")
    wanted = parser.parse_args(words)
    two_cores()
    import torch

    from deepcanon import list_models
    from deepcanon.core.catalog import get_card

    torch.set_num_threads(THREADS)
    names = wanted.models or [card.name for card in list_models(domain="classify")]
    chosen = [(name, variant) for name in names for variant in get_card(name).variants]
    print(machine("deepcanon", "torch"))
    print(f"medians of {wanted.rounds} rounds (least-largest)\n")
    rows, slowest = [], (0.0, "")
    for model, variant in chosen:
        found, parameters = built(model, variant, rounds=wanted.rounds)
        spread = Spread.of(found)
        rows.append([f"{model}:{variant}", f"{parameters / 1e6:.2f}", spread.text()])
        slowest = max(slowest, (spread.middle, f"{model}:{variant}"))
    print(table(["network", "parameters, M", f"s (aim < {AIM:g})"], rows))
    middle, name = slowest
    verdict = "within" if middle < AIM else "over"
    print(f"\nslowest: {name} in {middle:.2f} s, {verdict} the aim of {AIM:g} s")
    return 0


def built(name: str, variant: str, *, rounds: int) -> tuple[list[float], int]:
    """Seconds of each round, and how many parameters the network has."""
    from deepcanon import create_model

    create_model(name, variant=variant)  # what is imported and allocated for the first time
    found, parameters = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        net = create_model(name, variant=variant)
        found.append(time.perf_counter() - began)
        parameters = sum(each.numel() for each in net.parameters())
        del net
    return found, parameters


if __name__ == "__main__":
    sys.exit(main())
