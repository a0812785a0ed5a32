"""`deepcanon describe MODEL`: its paper, what was new, its variants, and every layer.

Of a weights file it shows the record and the layers; `--compare A B` puts two networks side by
side.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json
from deepcanon.core.errors import BadInput, how_to_install

if TYPE_CHECKING:
    from deepcanon.cli.compare import Side
    from deepcanon.core.catalog import ModelCard
    from deepcanon.nn.layer_table import LayerTable

__all__ = ["describe"]

_WIDEST = 1000  # characters of a table


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon describe vgg16",
        "deepcanon describe vgg16 --variant torchvision --size 256",
        "deepcanon describe vgg19 --json",
        "deepcanon describe runs/flowers/resnet18.onnx",
        "deepcanon describe --compare vgg16 resnet50:v1_5",
        "deepcanon describe --compare resnet20-cifar10 runs/mine/resnet20.onnx",
    ),
)
@click.argument("model", required=False, metavar="MODEL")
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Put two networks side by side in place of MODEL; each as MODEL, or as NAME:VARIANT.",
)
@click.option("--variant", metavar="NAME", help="Of which variant.  [default: the model's own]")
@click.option(
    "--size", type=click.IntRange(min=1), metavar="PIXELS", help="Side of the input picture."
)
@options.json_
def describe(
    model: str | None,
    *,
    compare: tuple[str, str] | None,
    variant: str | None,
    size: int | None,
    as_json: bool,
) -> None:
    """Show a network: paper, what was new, variants, and for each layer its output shape,
    parameters, multiply-adds and receptive field.

    MODEL is a name of `deepcanon list`; or a .onnx or .safetensors file of deepcanon's, or the name
    of a network that ships, such as resnet20-cifar10: then how it was trained is shown.
    """
    from deepcanon.core.assets import file_of
    from deepcanon.core.catalog import get_card

    if compare is not None:
        _refuse_with_compare(compare, model=model, variant=variant)
        _compare(compare, size=size, as_json=as_json)
        return
    if model is None:
        raise click.UsageError("missing argument 'MODEL'")
    file = file_of(model)
    if file is not None:
        _describe_file(file, variant=variant, size=size, as_json=as_json)
        return
    _refuse_other_files(model)
    card = get_card(model)
    variant = _known(card, variant)
    table = None
    if find_spec("torch") is not None:
        table = _layers(card, variant=variant, size=size)
    if as_json:
        print_json(_as_dict(card, variant=variant, table=table))
        return
    _print(card, variant=variant, table=table)
    if table is None:
        note(_no_torch())


def _refuse_other_files(word: str) -> None:
    if Path(word).suffix:
        raise BadInput(
            f"{word} is not a .onnx or .safetensors file",
            hint="describe such a file of deepcanon's, or a name of deepcanon list",
        )


def _describe_file(path: Path, *, variant: str | None, size: int | None, as_json: bool) -> None:
    from deepcanon.cli.describe_file import as_dict, lines
    from deepcanon.core.catalog import list_models
    from deepcanon.core.record import read_record

    record = read_record(path)
    if variant not in (None, record.variant):
        raise BadInput(
            f"{path} holds {record.model} {record.variant}, not {variant}",
            hint="leave --variant out",
        )
    table, missing = None, ""
    card = next((each for each in list_models() if each.name == record.model), None)
    if find_spec("torch") is None:
        missing = _no_torch()
    elif card is not None:  # a network of the user's own has none
        side = size or record.preprocessing.get("side")
        try:
            table = _layers(card, variant=record.variant, size=side, settings=record.config)
        except BadInput as error:  # as of a file from another version
            missing = f"no layers: {error.message}"
    if as_json:
        layers = {"layers": None} if table is None else table.to_dict()
        print_json({**as_dict(path, record), **layers, "note": missing})
        return
    for line in lines(path, record):
        print(line)
    if table is not None:
        _print_layers(table, of=f"{record.model} {record.variant}")
    elif missing:
        note(missing)


def _refuse_with_compare(
    compare: tuple[str, str], *, model: str | None, variant: str | None
) -> None:
    if model is not None:
        raise BadInput(
            f"{model} stands beside the two networks of --compare",
            hint=f"deepcanon describe --compare {' '.join(compare)}",
        )
    if variant is not None:
        raise BadInput(
            "--variant does not say of which network",
            hint=f"deepcanon describe --compare {compare[0]}:{variant} {compare[1]}",
        )


def _compare(compare: tuple[str, str], *, size: int | None, as_json: bool) -> None:
    from deepcanon.cli.compare import as_dict, show

    first, second = (_side(word, size=size) for word in compare)
    if as_json:
        print_json({**as_dict(first, second), "note": "" if first.table else _no_torch()})
        return
    show(first, second)
    if first.table is None:
        note(_no_torch())


def _side(word: str, *, size: int | None) -> Side:
    """One of the networks to compare: NAME, NAME:VARIANT, a file, or what ships."""
    from deepcanon.cli.compare import Side
    from deepcanon.core.assets import file_of
    from deepcanon.core.catalog import get_card
    from deepcanon.core.record import read_record

    file = file_of(word)
    settings: Mapping[str, Any] = {}
    if file is not None:
        record = read_record(file)
        card, settings = get_card(record.model), record.config
        chosen = _known(card, record.variant)
        size = size or record.preprocessing.get("side")
        title = f"{word} ({card.name} {chosen})"
    else:
        _refuse_other_files(word)
        name, _, variant = word.partition(":")
        card = get_card(name)
        chosen = _known(card, variant or None)
        title = card.name if chosen == card.default else f"{card.name} {chosen}"
    table = None
    if find_spec("torch") is not None:
        table = _layers(card, variant=chosen, size=size, settings=settings)
    return Side(title=title, card=card, variant=chosen, settings=settings, table=table)


def _known(card: ModelCard, variant: str | None) -> str:
    if variant is None:
        return card.default
    if variant not in card.variants:
        raise BadInput(
            f"{card.name} has no variant '{variant}'", hint=f"variants: {', '.join(card.variants)}"
        )
    return variant


def _no_torch() -> str:
    return f"the layer table needs PyTorch: {how_to_install('train')}"


def _layers(
    card: ModelCard,
    *,
    variant: str,
    size: int | None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> LayerTable:
    import torch

    from deepcanon.core.catalog import create_model
    from deepcanon.nn.layer_table import layer_table

    channels, height, width = card.input_size
    if size is not None:
        height = width = size
    with torch.device("meta"):
        module = create_model(card.name, variant=variant, **settings)
    return layer_table(module, input_size=(channels, height, width))


def _as_dict(card: ModelCard, *, variant: str, table: LayerTable | None) -> dict[str, Any]:
    return {
        **card.to_dict(),
        "variants": {
            name: {"differs": each.differs, "weights": each.weights, "config": each.config}
            for name, each in card.variants.items()
        },
        "variant": variant,
        **({"layers": None} if table is None else table.to_dict()),
        "note": _no_torch() if table is None else "",
    }


def _print(card: ModelCard, *, variant: str, table: LayerTable | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.width = max(
        console.width, 100
    )  # piped or in a narrow window: longer lines, not cut ones
    console.print(f"{card.name} ({card.domain})", style="bold")
    console.print(f"{card.title}\n{card.authors}, {card.venue} {card.year}, {card.link}")
    console.print(f"\nWhat was new: {card.new}")
    console.print("\nVariants:")
    for name, each in card.variants.items():
        default = " (default)" if name == card.default else ""
        weights = f"; published weights: {', '.join(each.weights)}" if each.weights else ""
        console.print(f"  {name}{default}: {each.differs or 'as in the paper'}{weights}")
    if table is not None:
        _print_layers(table, of=f"variant {variant}")


def _print_layers(table: LayerTable, *, of: str) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    size = "x".join(map(str, table.input))
    console.print(f"\nLayers of {of} for one input of {size}:")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("layer", "kind"):
        grid.add_column(title, no_wrap=True)
    for title in ("output", "parameters", "multiply-adds", "receptive\nfield"):
        grid.add_column(title, justify="right", no_wrap=True)
    for layer in table.layers:
        grid.add_row(
            layer.name,
            layer.kind,
            "x".join(map(str, layer.output)),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            _field(layer.receptive_field),
        )
    unused = table.parameters - sum(layer.parameters for layer in table.layers)
    if unused:  # such as auxiliary classifiers
        grid.add_row("in training only", "", "", f"{unused:,}", "", "")
    grid.add_row("total", "", "", f"{table.parameters:,}", f"{table.multiply_adds:,}", "")
    # Rich would cut the names of layers to fit.
    console.width = max(
        console.width,
        Measurement.get(console, console.options.update(max_width=_WIDEST), grid).maximum,
    )
    console.print(grid)


def _field(size: tuple[int, int] | None) -> str:
    if size is None:
        return ""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"
