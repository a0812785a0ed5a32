"""The two trainings of transform networks: a network anew, and one more style for a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.core import images
from deepcanon.core.assets import find
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.core.record import Record, read_record, record_in
from deepcanon.style import johnson
from deepcanon.style.data import Crops, Photos, Picked, load_picture
from deepcanon.style.export import export_transform_net
from deepcanon.style.features import load_features
from deepcanon.style.norms import ConditionalInstanceNorm
from deepcanon.style.predict import check_style_name
from deepcanon.style.recipes import JohnsonRecipe, NewStyleRecipe, TransformRecipe
from deepcanon.style.repaint import to_pixels
from deepcanon.style.task import PerceptualLoss, Repainting, Weighting, paint
from deepcanon.training import provenance
from deepcanon.training.fit import Run, fit, scores

PREVIEWS = 4  # photographs
# Whose the paintings and photographs of a user are, only the user knows.
LICENCE = "not stated; the rights in the paintings and photographs remain with their owners"


class _Fitted(NamedTuple):
    """The averaged network, and the record of its training."""

    net: johnson.TransformNet
    record: Record


def train(recipe: JohnsonRecipe, *, folder: Path, resume: bool, quiet: bool) -> Path | None:
    """Train and export to ``folder/johnson-VARIANT.onnx``; None when interrupted.

    Raises BadInput for photographs or paintings that are missing or cannot be read, and for styles
    whose names could not be used.
    """
    for style in recipe.styles:
        check_style_name(style, setting="styles='{my-style: painting.jpg}'")
    if not recipe.styles:
        raise BadInput(
            "the recipe names no painting",
            hint="--set styles='{my-style: painting.jpg}' --set paintings=FOLDER",
        )
    for setting in ("turns", "content_weights"):
        for style in getattr(recipe, setting):
            if style not in recipe.styles:
                raise BadInput(
                    f"{setting} names {style}, which is not a style of the recipe",
                    hint=f"--set {setting}={{}} treats all styles alike",
                )
    config = johnson.CONFIGS[recipe.variant]
    if config.norm is johnson.Norm.CONDITIONAL:
        config = dataclasses.replace(config, styles=len(recipe.styles))
    elif len(recipe.styles) > 1:
        raise BadInput(
            f"{recipe.variant} paints one style, the recipe names {len(recipe.styles)}",
            hint="take variant=multistyle, or leave one of the styles",
        )
    pl.seed_everything(recipe.seed, verbose=False)
    net = johnson.TransformNet(config)
    start = Path(recipe.start) if recipe.start else None
    before = None
    if start is not None:
        johnson.load(net, start)
        before = record_in(start)
    paintings = {style: Path(recipe.paintings) / file for style, file in recipe.styles.items()}
    # The styles of a round by their number, each as often as the recipe says.
    turns = [
        place
        for place, style in enumerate(recipe.styles)
        for _ in range(recipe.turns.get(style, 1))
    ]
    fitted = _fit(
        net,
        recipe,
        paintings,
        variant=recipe.variant,
        turns=turns,
        content_weights=[
            recipe.content_weights.get(style, recipe.content_weight) for style in recipe.styles
        ],
        start=start,
        folder=folder,
        resume=resume,
        quiet=quiet,
    )
    if fitted is None:
        return None
    record = fitted.record
    if before is not None:
        record = dataclasses.replace(record, recipe={**record.recipe, "base": before.recipe})
    return export_transform_net(
        fitted.net, folder / f"johnson-{recipe.variant}.onnx", record=record
    )


def train_new_style(
    recipe: NewStyleRecipe, *, folder: Path, resume: bool, quiet: bool
) -> Path | None:
    """Learn the vectors of one more painting; the exported network keeps its other styles too.

    Its record keeps what the start's says of them. Raises BadInput when the start is not a
    multistyle network or already has the style, and when the style's name could not be used.
    """
    name = recipe.name or Path(recipe.painting).stem
    check_style_name(name, setting="name=...")
    start = find(recipe.start)
    before = read_record(start)
    if (before.model, before.variant) != ("johnson", "multistyle"):
        raise BadInput(
            f"{start.name} is a {before.model} {before.variant}, which has no style vectors",
            hint="start from the shipped multistyle, or from a network trained by that recipe",
        )
    if name in before.labels:
        raise BadInput(
            f"{start.name} already has a style {name}", hint="choose another: --set name=..."
        )
    old = create_model(
        "johnson", variant="multistyle", **{**before.config, "styles": len(before.labels)}
    )
    assert isinstance(old, johnson.TransformNet)
    johnson.load(old, start)
    # Training sees one style only: the new one, which starts at the mean of the others.
    net = johnson.TransformNet(dataclasses.replace(old.config, styles=1))
    vectors = [key for key, _ in net.named_parameters() if key.endswith((".scales", ".shifts"))]
    net.load_state_dict(
        {
            key: value.mean(0, keepdim=True) if key in vectors else value
            for key, value in old.state_dict().items()
        }
    )
    for key, weight in net.named_parameters():
        weight.requires_grad_(key in vectors)
    paintings = {name: Path(recipe.painting)}
    fitted = _fit(
        net,
        recipe,
        paintings,
        variant=before.variant,
        turns=[0],
        content_weights=[recipe.content_weight],
        start=start,
        folder=folder,
        resume=resume,
        quiet=quiet,
    )
    if fitted is None:
        return None
    learned = fitted.net.state_dict()
    labels = [*before.labels, name]
    whole = johnson.TransformNet(dataclasses.replace(old.config, styles=len(labels)))
    whole.load_state_dict(
        {
            key: torch.cat([value, learned[key]]) if key in vectors else value
            for key, value in old.state_dict().items()
        }
    )
    record = dataclasses.replace(
        fitted.record,
        labels=labels,
        config={**before.config, "styles": len(labels)},
        licence=_licence(before, added=name),
        recipe={**fitted.record.recipe, "base": before.recipe},
        notes=f"{name} was added to {', '.join(before.labels)}",
    )
    return export_transform_net(whole, folder / "new-style.onnx", record=record)


def _licence(before: Record, *, added: str) -> str:
    """What the start says of its own styles, and what is known of the one that was added."""
    if before.licence == LICENCE:
        return LICENCE
    return f"{before.licence}. {added}: {LICENCE}"


def _fit(
    net: johnson.TransformNet,
    recipe: TransformRecipe,
    paintings: dict[str, Path],
    *,
    variant: str,
    turns: Sequence[int],
    content_weights: Sequence[float],
    start: Path | None,
    folder: Path,
    resume: bool,
    quiet: bool,
) -> _Fitted | None:
    if recipe.margin >= recipe.side:  # here, since settings are changed one after the other
        raise BadInput(
            f"a margin of {recipe.margin} pixels cannot mirror crops of {recipe.side}",
            hint=f"--set margin={recipe.side - 1} is the most, --set side={recipe.margin + 1} the "
            "least",
        )
    targets = [load_picture(path, short_side=recipe.painting_side) for path in paintings.values()]
    photos = Photos(recipe.photos, side=recipe.side + recipe.side // 3)
    if not quiet:
        photos.warn()
    trained_on, kept_out = photos.split()
    content = provenance.as_dict(recipe)
    loss = PerceptualLoss(
        load_features(recipe.features),
        targets,
        weighting=Weighting.of(content),
        content_weights=content_weights,
    )
    net = net.to(memory_format=torch.channels_last)
    task = Repainting(net, loss=loss, recipe=recipe, turns=turns)
    crops = Crops(
        Picked((photos, place) for place in trained_on), side=recipe.side, seed=recipe.seed
    )
    previews = PreviewGrid(
        _previewed(photos, kept_out or trained_on, recipe),
        folder=folder / "previews",
        every=recipe.preview_every,
    )
    inputs = {
        "photos": provenance.sha256_of_listing(photos.paths),
        **{f"painting {style}": provenance.sha256_of(path) for style, path in paintings.items()},
        **provenance.sha256_of_weights(recipe.features, called="features"),
        **({} if start is None else {"start": provenance.sha256_of(start)}),
    }
    if not fit(
        task,
        crops,
        run=Run.of(recipe, folder=folder, quiet=quiet),
        recipe=content,
        inputs=inputs,
        resume=resume,
        callbacks=[previews],
    ):
        return None
    record = Record(
        model="johnson",
        variant=variant,
        domain="style",
        config={"styles": net.config.styles},
        labels=list(paintings),
        preprocessing={"picture": "uint8 [b, h, w, 3], RGB"},
        licence=LICENCE,
        recipe={**content, "sha256": inputs},
        data=f"{len(trained_on)} photographs, {len(kept_out)} kept out",
        date=provenance.today(),
        hardware=provenance.hardware(),
        scores=scores(task),
    )
    return _Fitted(task.averaged, record)


def _previewed(
    photos: Photos, places: Sequence[int], recipe: TransformRecipe
) -> Float[Tensor, "n 3 h w"]:
    """Squares, as large as they can be, out of a few photographs."""
    chosen = Picked((photos, place) for place in places)
    crops = Crops(chosen, side=recipe.side, seed=recipe.seed, least=1)
    return torch.stack([crops[i] for i in range(min(PREVIEWS, len(chosen)))])


class PreviewGrid(pl.Callback):
    """Paints a few photographs, left out of training where the folder allows: one row a
    photograph, one column a style."""

    def __init__(self, photos: Float[Tensor, "n 3 h w"], *, folder: Path, every: int) -> None:
        self.photos, self.folder, self.every = photos, folder, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """A picture file where one is due."""
        step = trainer.global_step
        if step % self.every and step != trainer.max_steps:
            return
        assert isinstance(pl_module, Repainting)
        net = pl_module.averaged.eval()
        conditional = any(isinstance(part, ConditionalInstanceNorm) for part in net.modules())
        columns = [self.photos]
        with torch.no_grad():
            for style in torch.eye(net.config.styles):
                weights = style.expand(len(self.photos), -1) if conditional else None
                margin = pl_module.recipe.margin
                columns.append(paint(net, self.photos, weights, margin=margin))
        grid = torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)
        self.folder.mkdir(parents=True, exist_ok=True)
        images.save(to_pixels(grid[None]), self.folder / f"{step:06d}.jpg")
