"""Teaching the slim VGG: predict VGG16's activations, and with them its Gram matrices.

What is compared, tap by tap (t teacher, s student, both in the teacher's principal components):

- ``mean (s - t)^2 / mean t^2``, each component divided by the fourth root of its energy, so that
  the faint ones, which hold texture, are learned as well as the few that hold brightness;
- ``|G(s) - G(t)|^2 / |G(t)|^2``, the error that a style loss will see.

A picture under optimisation is no photograph. So half of the samples are disturbed (other contrast
and colour, noise fine and coarse), paintings stand beside photographs, and every second picture has
walked some steps down the student's own style loss, to where a descent under it will look for what
the student is wrong about.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from deepcanon.core.record import Record
from deepcanon.nn.weights import write
from deepcanon.style.data import Crops, Photos, Picked
from deepcanon.style.features import FeatureNet, load_features
from deepcanon.style.losses import gram
from deepcanon.style.recipes import SlimRecipe
from deepcanon.style.slim import Config, SlimVGG
from deepcanon.training import provenance, schedules
from deepcanon.training.fit import Run, fit, scores
from deepcanon.training.muon import Muon


def principal_components(
    teacher: FeatureNet, pictures: Float[Tensor, "b 3 h w"], *, config: Config
) -> dict[str, tuple[Tensor, Tensor]]:
    """Tap -> (basis [C, C/divide], mean square of each component), strongest first, uncentred."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.no_grad():
        sums = {tap: torch.zeros(()) for tap in config.taps}
        for picture in pictures:
            for tap, activation in teacher(picture[None], config.taps).items():
                sums[tap] = sums[tap] + gram(activation)[0].double() / activation[0, 0].numel()
    for tap, total in sums.items():
        energy, vectors = torch.linalg.eigh(total / len(pictures))
        width = config.channels(tap)
        strongest = energy.flip(0)[:width].clamp(min=float(energy[-1]) * 1e-9)
        found[tap] = vectors.flip(1)[:, :width].float(), strongest.float()
    return found


class Distillation(pl.LightningModule):
    """The student learns; the teacher and its principal components stay."""

    def __init__(
        self,
        student: SlimVGG,
        *,
        teacher: FeatureNet,
        components: Mapping[str, tuple[Tensor, Tensor]],
        recipe: SlimRecipe,
    ) -> None:
        super().__init__()
        self.student = student
        self.recipe = recipe
        self._teacher = [teacher]  # in a list: it is no part of what is trained or saved
        self.bases = nn.ParameterDict(
            {
                tap: nn.Parameter(basis, requires_grad=False)
                for tap, (basis, _) in components.items()
            }
        )
        self.energies = nn.ParameterDict(
            {tap: nn.Parameter(mean, requires_grad=False) for tap, (_, mean) in components.items()}
        )
        student.scale.copy_(
            torch.stack([self.energies[tap].mean().sqrt() for tap in student.config.taps])
        )

    def training_step(self, pictures: Float[Tensor, "b 3 h w"], step: int) -> Tensor:
        """Disturb, walk, ask both, compare."""
        seed = [self.recipe.seed, self.global_step]
        pictures = disturb(pictures, seed=seed)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if self.recipe.walk:
            steps = int(np.random.default_rng([*seed, 1]).integers(1, self.recipe.walk + 1))
            pictures = walk(self.student, pictures, steps=steps, rate=self.recipe.walk_rate)
        taps = self.student.config.taps
        with torch.no_grad():
            taught = self._teacher[0](pictures, taps)
        answers = self.student(pictures, taps)
        features = torch.zeros(())
        grams = torch.zeros(())
        for tap in taps:
            target = torch.einsum("bchw,cd->bdhw", taught[tap].float(), self.bases[tap])
            features = features + feature_error(answers[tap].float(), target, self.energies[tap])
            grams = grams + gram_error(answers[tap].float(), target)
        self.log_dict({"features": features / len(taps), "grams": grams / len(taps)})
        return (features + self.recipe.gram_weight * grams) / len(taps)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Muon for the kernels, Adam for the rest; warmup, then half a cosine to nothing."""
        weights = list(self.student.parameters())
        rates = ((self.recipe.kernel_rate, True), (self.recipe.learning_rate, False))
        optimizer = Muon(
            [
                {"params": [each for each in weights if (each.ndim == 4) is kernel], "lr": rate}
                for rate, kernel in rates
            ],
            lr=self.recipe.learning_rate,
        )
        shape = schedules.cosine(steps=self.recipe.steps, warmup=self.recipe.warmup)
        scheduler = LambdaLR(optimizer, shape)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def feature_error(
    answer: Float[Tensor, "b d h w"], target: Float[Tensor, "b d h w"], energy: Float[Tensor, " d"]
) -> Float[Tensor, ""]:
    """Relative square error with each component divided by the fourth root of its energy."""
    weight = energy.rsqrt().view(-1, 1, 1)
    error = ((answer - target).square() * weight).mean()
    return error / (target.square() * weight).mean()


def gram_error(
    answer: Float[Tensor, "b d h w"], target: Float[Tensor, "b d h w"]
) -> Float[Tensor, ""]:
    """Relative square error of the Gram matrices, averaged over the pictures."""
    expected = gram(target)
    error = (gram(answer) - expected).square().flatten(1).sum(1)
    return (error / expected.square().flatten(1).sum(1)).mean()


def disturb(pictures: Float[Tensor, "b 3 h w"], *, seed: list[int]) -> Float[Tensor, "b 3 h w"]:
    """Half of the pictures in other colours and with noise between one and 16 pixels coarse."""
    draw = np.random.default_rng(seed)
    changed = []
    for picture in pictures:
        if draw.random() < 0.5:
            gain = torch.tensor(draw.uniform(0.4, 1.6, (3, 1, 1)), dtype=torch.float32)
            middle = picture.mean((1, 2), keepdim=True)
            shift = torch.tensor(draw.normal(0, 0.1, (3, 1, 1)), dtype=torch.float32)
            picture = (picture - middle) * gain + middle + shift
            coarse = 2 ** int(draw.integers(5))
            side = -(-picture.shape[-1] // coarse)
            noise = torch.tensor(draw.normal(0, 1, (1, 3, side, side)), dtype=torch.float32)
            noise = functional.interpolate(noise, size=picture.shape[-2:], mode="bilinear")[0]
            picture = (picture + noise * float(draw.uniform(0, 0.3))).clamp(-0.1, 1.1)
        changed.append(picture)
    return torch.stack(changed)


def walk(
    student: SlimVGG, pictures: Float[Tensor, "b 3 h w"], *, steps: int, rate: float
) -> Float[Tensor, "b 3 h w"]:
    """Every second picture moved towards the Gram matrices that the student sees in the next one.

    Each of ``steps`` moves a pixel by ``rate`` on average, and by three times that at most.
    """
    taps = student.config.taps
    x, beside = pictures[::2].clone(), pictures.roll(-1, 0)[::2]
    with torch.no_grad():
        wanted = {tap: answer.float() for tap, answer in student(beside, taps).items()}
    for _ in range(steps):
        x.requires_grad_(True)
        with torch.enable_grad():
            found = student(x, taps)
            errors = [gram_error(found[tap].float(), wanted[tap]) for tap in taps]
            loss = torch.stack(errors).sum()
        (slope,) = torch.autograd.grad(loss, x)
        slope = slope / slope.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-12)
        x = (x.detach() - rate * slope.clamp(-3, 3)).clamp(-0.1, 1.1)
    moved = pictures.clone()
    moved[::2] = x
    return moved


def train(recipe: SlimRecipe, *, folder: Path, resume: bool, quiet: bool) -> Path | None:
    """Distil a slim VGG and write ``slim-vgg.safetensors``; None when interrupted."""
    photos = Photos(recipe.photos, side=recipe.side + recipe.side // 4)
    paintings = Photos(recipe.paintings, side=2 * recipe.side)
    if not quiet:
        photos.warn()
        paintings.warn()
    trained_on, kept_out = photos.split()
    beside = [place % len(paintings) for place in range(len(trained_on) // 4)]
    picks = Picked([*((photos, i) for i in trained_on), *((paintings, i) for i in beside)])
    crops = Crops(picks, side=recipe.side, seed=recipe.seed)
    teacher = load_features(recipe.teacher)
    config = Config()
    sample = torch.stack([crops[len(picks) * 1000 + i] for i in range(48)])
    components = principal_components(teacher, sample, config=config)
    pl.seed_everything(recipe.seed, verbose=False)
    student = SlimVGG(config).to(memory_format=torch.channels_last)
    task = Distillation(student, teacher=teacher, components=components, recipe=recipe)
    content = provenance.as_dict(recipe)
    inputs = {
        "photos": provenance.sha256_of_listing(photos.paths),
        "paintings": provenance.sha256_of_listing(paintings.paths),
        **provenance.sha256_of_weights(recipe.teacher, called="teacher"),
    }
    run = Run.of(recipe, folder=folder, quiet=quiet)
    if not fit(task, crops, run=run, recipe=content, inputs=inputs, resume=resume):
        return None
    record = Record(
        model="slim_vgg",
        variant="principal",
        domain="style",
        config={},
        labels=list(config.taps),
        preprocessing={},
        licence="Apache-2.0",
        recipe={**content, "sha256": inputs},
        data=f"{len(trained_on)} photographs, {len(kept_out)} kept out, {len(paintings)} paintings",
        date=provenance.today(),
        hardware=provenance.hardware(),
        scores=scores(task),
        notes="student of a VGG16; activations in the teacher's principal components",
    )
    return write(student, folder / "slim-vgg.safetensors", record=record)
