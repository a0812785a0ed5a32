"""The two trainings of transform networks: a network anew, and one more style for a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.core import images
from deepcanon.core.assets import shipped
from deepcanon.core.errors import BadInput
from deepcanon.core.record import Record, read_record
from deepcanon.engine.export import weights_of
from deepcanon.style import johnson
from deepcanon.style.data import Crops, Photos, held_out, load_picture
from deepcanon.style.export import export_transform_net
from deepcanon.style.features import load_features
from deepcanon.style.norms import ConditionalInstanceNorm
from deepcanon.style.recipes import JohnsonRecipe, NewStyleRecipe
from deepcanon.style.task import Objective, PerceptualLoss, Repainting
from deepcanon.training import provenance
from deepcanon.training.fit import Run, fit

PREVIEWS = 4  # photographs, none of them trained on


def train(recipe: JohnsonRecipe, *, folder: Path, resume: bool, quiet: bool) -> Path | None:
    """Train and export to ``folder/johnson-VARIANT.onnx``; None when interrupted.

    Raises BadInput for photographs or paintings that are missing or cannot be read.
    """
    if not recipe.styles:
        raise BadInput(
            "the recipe names no painting",
            hint="--set styles='{my-style: painting.jpg}' --set paintings=FOLDER",
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
    if recipe.start:
        net.load_state_dict(_read(recipe.start, like=net))
    paintings = [
        load_picture(Path(recipe.paintings) / file, short_side=recipe.painting_side)
        for file in recipe.styles.values()
    ]
    labels = list(recipe.styles)
    return _fit(net, recipe, paintings, labels, folder=folder, resume=resume, quiet=quiet)


def train_new_style(
    recipe: NewStyleRecipe, *, folder: Path, resume: bool, quiet: bool
) -> Path | None:
    """Learn the vectors of one more painting; the exported network keeps its other styles too.

    Raises BadInput when the start is no multistyle network or already has the style.
    """
    start = Path(recipe.start) if Path(recipe.start).exists() else shipped(recipe.start)
    before = read_record(start)
    name = recipe.name or Path(recipe.painting).stem
    if before.variant != "multistyle":
        raise BadInput(
            f"{start.name} is a {before.model} {before.variant}, which has no style vectors",
            hint="start from the shipped multistyle, or from a network trained by that recipe",
        )
    if name in before.labels:
        raise BadInput(
            f"{start.name} already has a style {name}", hint="choose another: --set name=..."
        )
    painting = load_picture(recipe.painting, short_side=recipe.painting_side)
    # Training sees one style only: the new one, which starts at the mean of the others.
    net = johnson.TransformNet(dataclasses.replace(johnson.MULTISTYLE, styles=1))
    old = _read(start, like=net)
    vectors = [key for key, _ in net.named_parameters() if _is_vector(key)]
    net.load_state_dict(
        {
            key: value.mean(0, keepdim=True) if key in vectors else value
            for key, value in old.items()
        }
    )
    for key, weight in net.named_parameters():
        weight.requires_grad_(key in vectors)
    fitted = _fit(net, recipe, [painting], [name], folder=folder, resume=resume, quiet=quiet)
    if fitted is None:
        return None
    learned = _read(fitted, like=net)
    labels = [*before.labels, name]
    whole = johnson.TransformNet(dataclasses.replace(johnson.MULTISTYLE, styles=len(labels)))
    whole.load_state_dict(
        {
            key: torch.cat([value, learned[key]]) if key in vectors else value
            for key, value in old.items()
        }
    )
    record = dataclasses.replace(
        read_record(fitted),
        labels=labels,
        config={"styles": len(labels)},
        notes=f"{name} was added to {', '.join(before.labels)}",
    )
    return export_transform_net(whole, fitted, record=record)


def _read(path: str | Path, *, like: johnson.TransformNet) -> dict[str, Tensor]:
    """The weights of an exported transform network; the file holds constants besides."""
    found = weights_of(path)
    return {key: found[key] for key in like.state_dict()}


def _is_vector(key: str) -> bool:
    return key.endswith((".scales", ".shifts"))


def _fit(
    net: johnson.TransformNet,
    recipe: JohnsonRecipe | NewStyleRecipe,
    paintings: Sequence[Float[Tensor, "1 3 h w"]],
    labels: list[str],
    *,
    folder: Path,
    resume: bool,
    quiet: bool,
) -> Path | None:
    photos = Photos(recipe.photos, side=recipe.side + recipe.side // 3)
    photos.warn()
    trained_on = [i for i, path in enumerate(photos.paths) if not held_out(path)]
    previewed = [i for i in range(len(photos)) if i not in set(trained_on)] or trained_on
    objective = Objective(
        recipe.content_tap,
        recipe.style_taps,
        recipe.content_weight,
        recipe.style_weight,
        recipe.tv_weight,
    )
    loss = PerceptualLoss(load_features(recipe.features), paintings, objective=objective)
    task = Repainting(
        net.to(memory_format=torch.channels_last),
        loss=loss,
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
    )
    run = Run(
        folder=folder,
        steps=recipe.steps,
        batch=recipe.batch,
        seed=recipe.seed,
        precision=recipe.precision,
        checkpoint_every=recipe.checkpoint_every,
        quiet=quiet,
    )
    crops = Crops([photos[i] for i in trained_on], side=recipe.side, seed=recipe.seed)
    shown = Crops([photos[i] for i in previewed], side=recipe.side, seed=recipe.seed, least=1)
    preview = Preview(
        torch.stack([shown[i] for i in range(min(PREVIEWS, len(previewed)))]),
        folder=folder / "previews",
        every=recipe.preview_every,
    )
    content = provenance.as_dict(recipe)
    if not fit(task, crops, run=run, recipe=content, resume=resume, callbacks=[preview]):
        return None
    record = Record(
        model="johnson",
        variant=getattr(recipe, "variant", "multistyle"),
        domain="style",
        config={"styles": net.config.styles},
        labels=labels,
        preprocessing={"picture": "uint8 [b, h, w, 3], RGB"},
        licence="Apache-2.0; the paintings are in the public domain",
        recipe=content,
        data=f"{len(trained_on)} photographs, {len(photos) - len(trained_on)} kept out",
        date=provenance.today(),
        hardware=provenance.hardware(),
        scores={name: float(value) for name, value in task.trainer.callback_metrics.items()},
    )
    return export_transform_net(task.averaged, folder / f"{_file_name(recipe)}.onnx", record=record)


def _file_name(recipe: JohnsonRecipe | NewStyleRecipe) -> str:
    return f"johnson-{recipe.variant}" if isinstance(recipe, JohnsonRecipe) else "new-style"


class Preview(pl.Callback):
    """Paints a few photographs that are kept out: one row a photograph, one column a style."""

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
                columns.append(net(self.photos, weights).float())
        grid = torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)
        pixels = (grid.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        self.folder.mkdir(parents=True, exist_ok=True)
        images.save(pixels, self.folder / f"{step:06d}.jpg")
