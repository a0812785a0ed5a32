"""Two networks side by side, for `deepcanon describe --compare A B`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcanon.core.catalog import ModelCard
    from deepcanon.nn.layer_table import Layer, LayerTable

__all__ = ["Side", "as_dict", "show", "stages"]

_CONVOLUTIONS = ("Conv2d", "ConvTranspose2d")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: its name, its card, the variant, what a file sets otherwise, and its layers
    (None without PyTorch)."""

    title: str
    card: ModelCard
    variant: str
    settings: Mapping[str, Any]
    table: LayerTable | None

    @property
    def differs(self) -> str:
        """From the paper: what the variant does, and what a file sets otherwise."""
        set_otherwise = [f"{name} {value}" for name, value in self.settings.items()]
        return "; ".join(
            [self.card.variants[self.variant].differs or "as in the paper", *set_otherwise]
        )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All layers whose output is of one size, as "56x56"; "vector" where there is no plane."""

    size: str
    layers: int  # those with weights of a convolution or a matrix
    channels: int  # the most
    parameters: int
    multiply_adds: int


def stages(table: LayerTable) -> list[Stage]:
    """The layers of a table by the size of their output, in the order of their first."""
    groups: dict[str, list[Layer]] = {}
    for layer in table.layers:
        groups.setdefault(_size(layer), []).append(layer)
    return [
        Stage(
            size=size,
            layers=sum(1 for layer in layers if layer.multiply_adds),
            channels=max(layer.output[0] for layer in layers),
            parameters=sum(layer.parameters for layer in layers),
            multiply_adds=sum(layer.multiply_adds for layer in layers),
        )
        for size, layers in groups.items()
    ]


def as_dict(first: Side, second: Side) -> dict[str, Any]:
    """Both, ready for JSON."""
    return {"compare": [_of_one(first), _of_one(second)]}


def show(first: Side, second: Side) -> None:
    """Print what they are, their sums, and their stages, a column each."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.width = max(console.width, 140)  # numbers are not to be cut, also in a pipe
    both = (first, second)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("")
    for side in both:
        grid.add_column(side.title, overflow="fold", max_width=60)
    grid.add_row(
        "paper", *(f"{side.card.title} ({side.card.venue} {side.card.year})" for side in both)
    )
    grid.add_row("what was new", *(side.card.new for side in both))
    grid.add_row("variant", *(side.differs for side in both))
    tables = [side.table for side in both]
    if first.table is not None and second.table is not None:
        known = [_sums(side.table) for side in both if side.table is not None]
        for name in known[0]:
            grid.add_row(name, *(each[name] for each in known))
    console.print(grid)
    if None in tables:
        return
    console.print(
        "\nBy the size of the output: layers with weights, most channels, and what they cost:"
    )
    console.print(_stage_grid(first, second))


def _stage_grid(first: Side, second: Side) -> Any:
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("output", no_wrap=True)
    for side in (first, second):
        for number, title in enumerate(("layers", "channels", "parameters", "multiply-adds")):
            head = f"{side.title}\n{title}" if number == 0 else f"\n{title}"
            grid.add_column(head, justify="right", no_wrap=True)
    by_size = [
        {stage.size: stage for stage in stages(side.table)}
        for side in (first, second)
        if side.table is not None
    ]
    for size in sorted({*by_size[0], *by_size[1]}, key=_pixels, reverse=True):
        cells = []
        for found in by_size:
            stage = found.get(size)
            cells += ["", "", "", ""] if stage is None else _cells(stage)
        grid.add_row(size, *cells)
    return grid


def _cells(stage: Stage) -> list[str]:
    return [
        str(stage.layers),
        str(stage.channels),
        f"{stage.parameters:,}",
        f"{stage.multiply_adds:,}",
    ]


def _sums(table: LayerTable) -> dict[str, str]:
    weighted = [layer for layer in table.layers if layer.multiply_adds]
    seen = [layer.receptive_field for layer in weighted if layer.kind in _CONVOLUTIONS]
    field = seen[-1] if seen else None
    return {
        "input": "x".join(map(str, table.input)),
        "layers with weights": str(len(weighted)),
        "parameters": f"{table.parameters:,}",
        "multiply-adds": f"{table.multiply_adds:,}",
        "receptive field (last conv.)": "" if field is None else f"{field[0]}x{field[1]}",
    }


def _of_one(side: Side) -> dict[str, Any]:
    from dataclasses import asdict

    table = side.table
    return {
        **side.card.to_dict(),
        "compared": side.title,
        "settings": dict(side.settings),
        "variant": side.variant,
        "differs": side.card.variants[side.variant].differs,
        "input": None if table is None else list(table.input),
        "parameters": None if table is None else table.parameters,
        "multiply_adds": None if table is None else table.multiply_adds,
        "stages": None if table is None else [asdict(stage) for stage in stages(table)],
    }


def _size(layer: Layer) -> str:
    return "x".join(map(str, layer.output[1:])) or "vector"


def _pixels(size: str) -> int:
    if size == "vector":
        return 0
    pixels = 1
    for side in size.split("x"):
        pixels *= int(side)
    return pixels
