"""The page and the picture of a contest, from the table that `contest` writes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcanon.core.chart import Chart, Line, Stroke, draw
from deepcanon.reproduce.curves import Curve, percent

__all__ = ["draw_curves", "markdown"]


def markdown(table: Mapping[str, Any]) -> str:
    """What the paper found, what was done here, what each contestant reached, the verdict."""
    set_up = table["settings"]
    curves = _curves(table)
    # A contestant that is kept from an earlier call may have run on another day and machine.
    runs = dict.fromkeys(
        f"{each['date']}, {each['machine']}" for each in table["contestants"].values()
    )
    lines = [
        f"# {table['title']}",
        "",
        f"{table['reproduces']}: {table['found']}",
        "",
        f"**{table['verdict']}**",
        "",
        f"{set_up['data']}: {set_up['pictures']} pictures of {set_up['classes']} classes, "
        f"{set_up['held_out']} held out; {set_up['steps']} steps, seed {set_up['seed']}, "
        f"{set_up['precision']}; {'; '.join(runs)}; threads: {set_up['threads']}.",
        "",
        f"What differs from the paper: {table['differs']}",
        "",
    ]
    if table["claims"]:
        lines += ["| claim | holds | seen |", "|---|---|---|"]
        lines += [
            f"| {each['text']} | {'yes' if each['holds'] else 'no'} | {each['seen']} |"
            for each in table["claims"]
        ]
        lines.append("")
    lines += [
        "Errors: of the batches, over the last tenth of the steps; at the end, in evaluation mode, "
        "on training pictures and on those held out. Seconds are of training alone.",
        "",
        "| contestant | parameters | multiply-adds | steps | seconds | batches | trained on | held "
        "out | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, curve in curves.items():
        last = curve.running[-1] if curve.running else None
        cells = [
            name,
            f"{curve.parameters:,}",
            f"{curve.multiply_adds:,}",
            "" if last is None else f"{last.step:,}",
            "" if last is None else f"{last.seconds:.0f}",
            percent(curve.late),
            "" if curve.train_error is None else percent(curve.train_error),
            "" if curve.held_out_error is None else percent(curve.held_out_error),
            curve.end.value,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"![the curves]({table['name']}.png)"]
    return "\n".join(lines) + "\n"


def draw_curves(table: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Running training error and held-out error against the step, uint8 [h, w, 3]."""
    curves = _curves(table)
    order = list(table["of"])
    last = float(table["settings"]["steps"])
    goal = table["goal"]
    charts = []
    for title, kind in (("training error of the batches", "running"), ("held-out error", "held")):
        lines = []
        for name, curve in curves.items():
            points = curve.running if kind == "running" else curve.held_out
            path = [(float(point.step), 100 * point.error) for point in points]
            stroke = Stroke.DASHED if name in table["dashed"] else Stroke.SOLID
            # A contestant has its colour also while others are missing.
            lines.append(Line(name=name, points=path, stroke=stroke, colour=order.index(name)))
        if goal and kind == "running":
            level = [(0.0, 100 * goal), (last, 100 * goal)]
            lines.append(Line(name=percent(goal), points=level, colour=len(order)))
        lowest = min((y for line in lines for _, y in line.points), default=0.0)
        floor = min(90.0, 10 * (lowest // 10))
        charts.append(
            Chart(
                title=f"{table['name']}: {title}",
                x="step",
                y="error, %",
                lines=lines,
                x_range=(0.0, last),
                y_range=(floor, 100.0),
            )
        )
    return draw(*charts)


def _curves(table: Mapping[str, Any]) -> dict[str, Curve]:
    return {name: Curve.from_dict(found) for name, found in table["contestants"].items()}
