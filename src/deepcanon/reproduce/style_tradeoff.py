"""Content against style: the same photograph and painting at a series of ratios α/β.

Gatys et al. 2016, Fig. 4: at 10⁻⁴ the picture is little more than a texture of the painting, at
10⁻¹ the photograph is all there and the style is faint. Starts from noise, as the paper does, with
the variant that makes α/β mean the same on every feature network, so any of them will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deepcanon.core import standin
from deepcanon.core.images import Source, load, save
from deepcanon.reproduce import Progress, Reproduced, write_table
from deepcanon.style.features import FeatureNet, load_features
from deepcanon.style.gatys import TORCHVISION, Config, repaint
from deepcanon.style.repaint import Losses, Stage
from deepcanon.style.sheet import contact_sheet

SERIES = (1e-4, 1e-3, 1e-2, 1e-1)  # Fig. 4


def run(
    out: str | Path,
    *,
    photo: Source | None = None,
    painting: Source | None = None,
    features: str | FeatureNet = "slim",
    iterations: int = 100,
    size: int = 256,
    ratios: Sequence[float] = SERIES,
    threads: int | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Reproduced:
    """Write ``style-tradeoff.png``, a labelled grid, and ``style-tradeoff.json`` into `out`.

    Without a photograph or painting, generated ones stand in. Pictures are shrunk to a longer side
    of `size` pixels. The losses in the table are those of the finished picture, in the paper's
    units, before their weights. `threads` are torch's; without it as many as it takes.
    """
    folder = Path(out)
    content = standin.photo(seed, size) if photo is None else load(photo, max_side=size).pixels
    style = standin.painting(seed, size) if painting is None else load(painting).pixels
    network = load_features(features) if isinstance(features, str) else features
    beside = load(style, max_side=max(content.shape[:2])).pixels
    tiles = [("photograph", content), ("painting", beside)]
    rows = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        for place, ratio in enumerate(ratios):

            def tell(step: int, losses: Losses, earlier: int = place * iterations) -> None:
                if on_progress is not None:
                    detail = f"content {losses.content:.3g}  style {losses.style:.3g}"
                    on_progress(earlier + step, len(ratios) * iterations, detail)

            config = _config(ratio, iterations=iterations)
            done = repaint(content, style, config=config, features=network, seed=seed, on_step=tell)
            if done.interrupted:
                raise KeyboardInterrupt
            assert done.losses is not None
            label = f"α/β = {ratio:g}"
            tiles.append((label, done.pixels))
            rows.append(
                {
                    "ratio": ratio,
                    "content_loss": done.losses.content,
                    "style_loss": done.losses.style,
                    "evaluations": done.evaluations,
                    "seconds": round(done.seconds, 2),
                }
            )
    finally:
        torch.set_num_threads(before)
    table: dict[str, Any] = {
        "reproduces": "Gatys et al. 2016, Fig. 4",
        "photograph": _name(photo),
        "painting": _name(painting),
        "width": content.shape[1],
        "height": content.shape[0],
        "features": features if isinstance(features, str) else type(features).__name__,
        "iterations": iterations,
        "seed": seed,
        "rows": rows,
    }
    written = write_table(table, folder / "style-tradeoff.json")
    page = folder / "style-tradeoff.png"
    save(contact_sheet(tiles, columns=3), page)
    return Reproduced(table=table, files=(page, written))


def _config(ratio: float, *, iterations: int) -> Config:
    paper_units = Config().convention
    stages = (Stage(iterations=iterations),)
    return replace(TORCHVISION, alpha=ratio, beta=1.0, convention=paper_units, stages=stages)


def _name(source: Source | None) -> str:
    if source is None:
        return "generated"
    return Path(source).name if isinstance(source, str | Path) else "given as pixels"
