"""A classifier to train: built as a recipe says, filled with the weights that it starts from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepcanon.classify.parts.vgg_staged import STAGED, TRAINED, initialise_from
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.weights.filled import filled
from deepcanon.core.catalog import create_model, get_card
from deepcanon.core.errors import BadInput
from deepcanon.core.record import Record, record_in


def settings(recipe: ClassifierRecipe, *, classes: int) -> dict[str, Any]:
    """What `create_model` is told besides the variant, as it stands in the record's ``config``.

    Raises BadInput for a model that is not a classifier, a variant that it has not, and settings
    that contradict the data.
    """
    card = get_card(recipe.model)
    if card.domain != "classify":
        raise BadInput(
            f"{recipe.model} is not a classifier: it is of {card.domain}",
            hint="deepcanon list --domain classify shows those that are",
        )
    if recipe.variant not in card.variants:
        raise BadInput(
            f"{card.name} has no variant '{recipe.variant}'",
            hint=f"variants: {', '.join(card.variants)}",
        )
    asked = recipe.network.get("num_classes", classes)
    if asked != classes:
        raise BadInput(
            f"network says num_classes={asked}, and {recipe.data} has {classes} classes",
            hint="leave num_classes out: the data says it",
        )
    usual = card.variants[recipe.variant].config
    side = (
        {"image_side": recipe.side} if usual.get("image_side", recipe.side) != recipe.side else {}
    )
    return {**side, **recipe.network, "num_classes": classes}


def build(recipe: ClassifierRecipe, *, classes: int) -> nn.Module:
    """The network of a recipe, drawn as its paper says or with the weights of ``recipe.start``.

    Where the weights say how pictures must be prepared, its ``preprocessing`` does then; of
    "imagenet" its ``published`` says where they are from. Raises BadInput for settings that the
    network has not, a side that is too small for it, and weights of another model or of another
    number of classes. Of another model are those of vgg11 welcome to a deeper VGG:
    `initialise_from` takes some layers of it.
    """
    given = settings(recipe, classes=classes)
    net = create_model(recipe.model, variant=recipe.variant, **given)
    smallest = int(getattr(getattr(net, "config", None), "smallest", 1))
    if recipe.side < smallest:
        raise BadInput(
            f"side is {recipe.side}, and the smallest picture for {recipe.model} is {smallest}",
            hint=f"--set side={smallest} or more",
        )
    if not recipe.start:
        return net
    record = record_in(recipe.start)
    staged = record is not None and record.model == TRAINED and recipe.model in STAGED
    welcome = (TRAINED if staged else recipe.model, "classify")
    if record is not None and (record.model, record.domain) != welcome:
        raise BadInput(
            f"{recipe.start} holds {record.model} {record.variant}, and the recipe trains "
            f"{recipe.model}",
            hint=f"--set model={record.model}, or weights of {recipe.model}",
        )
    if record is not None and record.variant != recipe.variant:
        raise BadInput(
            f"{recipe.start} holds {record.model} {record.variant}, and the recipe trains "
            f"{recipe.model} {recipe.variant}",
            hint=f"--set variant={record.variant}, or weights of {recipe.variant}",
        )
    had = _classes_of(recipe, record)
    if recipe.head == "same" and had not in (None, classes):
        raise BadInput(
            f"{recipe.start} tells {had} classes apart, and {recipe.data} has {classes}",
            hint="--set head=new draws the last layer anew and keeps the others",
        )
    if staged:
        return _start_staged(net, recipe, given)
    if recipe.head == "same":
        return _start(recipe, given)
    old = _start(recipe, {**given, "num_classes": had or classes})
    other = create_model(
        recipe.model, variant=recipe.variant, **{**given, "num_classes": classes + 1}
    )
    _keep_all_but_head(net, old=old, other=other.state_dict())
    return net


def _keep_all_but_head(net: nn.Module, *, old: nn.Module, other: dict[str, Tensor]) -> None:
    """Copy from ``old`` what has the same shape in ``other``, which tells more classes apart."""
    state, before = net.state_dict(), old.state_dict()
    with torch.no_grad():
        for key, value in state.items():
            if other[key].shape == value.shape:
                value.copy_(before[key])
    for name in ("preprocessing", "published"):
        setattr(net, name, getattr(old, name, None))


def _classes_of(recipe: ClassifierRecipe, record: Record | None) -> int | None:
    """How many classes the weights tell apart, where that can be known."""
    if record is not None:
        found = record.config.get("num_classes", len(record.labels) or None)
        return found if isinstance(found, int) else None
    usual = get_card(recipe.model).variants[recipe.variant].config.get("num_classes")
    # "imagenet" and the files of others are nearly all of the paper's classes; a file that is not
    # is refused by its shapes.
    return usual if recipe.start == "imagenet" or recipe.head == "new" else None


def _start(recipe: ClassifierRecipe, given: dict[str, Any]) -> nn.Module:
    """The network with the weights of ``recipe.start``."""
    return filled(
        recipe.model,
        variant=recipe.variant,
        weights=recipe.start,
        settings=given,
        side=recipe.side,
    )


def _start_staged(net: nn.Module, recipe: ClassifierRecipe, given: dict[str, Any]) -> nn.Module:
    """``net`` with the layers that it takes from the vgg11 in ``recipe.start``."""
    if recipe.head == "new":
        raise BadInput(
            f"{recipe.start} holds {TRAINED}, of which {recipe.model} takes the last layer too",
            hint=f"--set head=same, or weights of {recipe.model}",
        )
    trained = filled(
        TRAINED,
        variant=recipe.variant,
        weights=recipe.start,
        settings=given,
        side=recipe.side,
    )
    initialise_from(net, trained)  # type: ignore[arg-type]
    net.preprocessing = trained.preprocessing
    return net
