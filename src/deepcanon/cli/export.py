"""`deepcanon export MODEL`: a network of the catalogue as a checked `.onnx` file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import note, print_json

if TYPE_CHECKING:
    from torch import nn

    from deepcanon.core.record import Record
    from deepcanon.engine.export import Interface

__all__ = ["export"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon export vgg16 --weights imagenet -o vgg16.onnx",
        "deepcanon export johnson --variant modern --weights net.safetensors -o net.onnx",
    ),
)
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="FILE.onnx", help="The file to write.")
@click.option(
    "--variant", metavar="NAME", help="Which variant.  [default: that of the weights, or the paper]"
)
@click.option(
    "--weights", metavar="FILE", help="What to fill it with; or imagenet, where `describe` says so."
)
@options.json_
@options.quiet
def export(
    model: str,
    *,
    output: str,
    variant: str | None,
    weights: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write a network as a .onnx file. Needs PyTorch.

    ONNX Runtime must compute with it what torch does, up to rounding, for several batches and
    sizes, or nothing is written. The batch may be of any length, and pictures of any size where the
    network allows it. The weights and all that is known of them stand in the file; `deepcanon list`
    shows the MODELs.
    """
    from deepcanon.cli.files import check_place
    from deepcanon.core.catalog import check_weights, create_model, get_card
    from deepcanon.core.errors import BadInput
    from deepcanon.core.record import record_in

    began = time.perf_counter()
    card = get_card(model)
    path = Path(output)
    if path.suffix.lower() != ".onnx":
        raise BadInput(f"{path} is not named .onnx", hint="that is what is written: -o FILE.onnx")
    check_place(path, example="model.onnx")
    record = record_in(weights)
    usual = card.default if record is None or record.model != model else record.variant
    chosen = variant or usual
    if weights is not None:
        check_weights(weights, model=model, variant=chosen)
    settings = record.config if record else {}
    net = create_model(model, variant=chosen, weights=weights, **settings)

    from deepcanon.engine import export as exporter

    interface = exporter.interface_of(net, input_size=card.input_size)
    if weights is None and not quiet:
        note(f"note: the weights of {model} are random; --weights FILE fills them")
    if record is None:
        record = _new_record(net, interface, model, chosen, card.domain, weights)
    exporter.export(
        net,
        path,
        example=interface.example,
        outputs=interface.outputs,
        dynamic=interface.dynamic,
        record=record,
        check=interface.check,
    )
    if as_json:
        print_json(
            {
                "command": "export",
                "model": model,
                "variant": chosen,
                "weights": weights,
                "output": str(path),
                "bytes": path.stat().st_size,
                "inputs": list(interface.example),
                "outputs": list(interface.outputs),
                "checked": [
                    {name: list(value.shape) for name, value in feed.items()}
                    for feed in interface.check
                ],
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    elif not quiet:
        print(path)
    return 0


def _new_record(
    net: nn.Module, interface: Interface, model: str, variant: str, domain: str, weights: str | None
) -> Record:
    import dataclasses
    from datetime import date

    from deepcanon.core.record import Record

    config: Any = getattr(net, "config", None)
    preprocessing: Any = getattr(net, "preprocessing", None)
    published: Any = getattr(net, "published", None)  # its url and the sha256 of the file
    source = "" if weights is None else Path(weights).name
    data = "unknown" if source else "none"
    recipe: dict[str, Any] = {}
    labels = list(interface.labels)
    if published is not None:
        from deepcanon.classify.weights.official import imagenet_classes

        labels = imagenet_classes()
        source, data = published.url, "ImageNet (ILSVRC 2012)"
        recipe = {"start": published.url, "sha256": {"start": published.sha256}}
    return Record(
        model=model,
        variant=variant,
        domain=domain,
        config=dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {},  # type: ignore[arg-type]
        labels=labels,
        preprocessing=preprocessing.to_dict() if preprocessing is not None else {},
        licence=f"that of {source}" if source else "Apache-2.0",
        recipe=recipe,
        data=data,
        date=date.today().isoformat(),
        hardware="unknown" if source else "none",
        scores={},
        notes=f"exported from {source}" if source else "random weights, never trained",
    )
