"""One pass inside a process, the same network: our session against PyTorch and bare OpenVINO.

Aims: 3 times as fast as PyTorch eager, and 0.95 of the speed of OpenVINO called by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sidebyside import THREADS, Spread, in_turn, machine, ratios, seconds, table, two_cores

SIZES = (256, 512, 1024)
AUTO, ORT = "deepcanon, fastest", "deepcanon, onnxruntime"
EAGER, BY_HAND = "PyTorch eager", "OpenVINO by hand"
REST = 0.05  # seconds: ONNX Runtime's threads spin for a while after a run

Pass = Callable[[dict[str, Any]], object]


def main(words: Sequence[str] | None = None) -> int:
    """Print the times, and the speed-ups pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="PIXELS")
    parser.add_argument("--model", metavar="FILE", help="default: the shipped network")
    wanted = parser.parse_args(words)
    two_cores()
    path = _shipped() if wanted.model is None else Path(wanted.model)
    passes = {AUTO: session(path, "auto"), ORT: session(path, "onnxruntime")}
    passes |= {EAGER: in_pytorch(path), BY_HAND: by_hand(path)}
    print(machine("deepcanon", "onnxruntime", "openvino", "torch"))
    print(f"medians of {wanted.rounds} passes in turn (least-largest), ratios pair by pair\n")
    rows, compared = [], []
    for size in wanted.sizes:
        feeds = _feeds(path, size)
        found = in_turn(
            {name: seconds(partial(run, feeds)) for name, run in passes.items()},
            rounds=wanted.rounds,
            rest=REST,
        )
        rows += [
            [f"{size}²", name, Spread.of(times).text(0.001, digits=1)]
            for name, times in found.items()
        ]
        for ours in (AUTO, ORT):
            eager = ratios(found[EAGER], found[ours]).text()
            hand = ratios(found[BY_HAND], found[ours]).text()
            compared.append([f"{size}²", ours, eager, hand])
    print(table(["size", "pass", "ms"], rows))
    print()
    head = ["size", "ours", "speed-up over eager (aim ≥ 3)", "speed / OpenVINO's (aim ≥ 0.95)"]
    print(table(head, compared))
    return 0


def session(path: Path, engine: str) -> Pass:
    """Our own session."""
    from deepcanon.engine.session import open_session

    return open_session(path, engine=engine, threads=THREADS).run


def in_pytorch(path: Path) -> Pass:
    """The network as it is trained, not as it is exported: channels last, no gradients."""
    import torch

    from deepcanon import create_model
    from deepcanon.core.record import read_record

    styles = len(read_record(path).labels)
    net = create_model("johnson", variant="multistyle", weights=str(path), styles=styles).eval()
    net = net.to(memory_format=torch.channels_last)
    torch.set_num_threads(THREADS)

    @torch.inference_mode()
    def forward(feeds: dict[str, Any]) -> object:
        x = torch.from_numpy(feeds["picture"]).permute(0, 3, 1, 2).float() / 255
        y = net(x, torch.from_numpy(feeds["weights"]))
        return (y * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()

    return forward


def by_hand(path: Path) -> Pass:
    """OpenVINO as its manual has it."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda feeds: compiled(feeds)["stylized"]


def _feeds(path: Path, size: int) -> dict[str, Any]:
    import numpy as np

    from deepcanon.core.record import read_record
    from deepcanon.core.standin import photo

    weights = np.zeros((1, len(read_record(path).labels)), np.float32)
    weights[0, 0] = 1
    return {"picture": photo(0, size)[None], "weights": weights}


def _shipped() -> Path:
    from deepcanon.core.assets import shipped

    return shipped("multistyle")


if __name__ == "__main__":
    sys.exit(main())
