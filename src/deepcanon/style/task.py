"""Training transform networks: Johnson's perceptual objective, for one style or for many.

The objective of a picture y painted from a photograph x in style s, with relu taps of a fixed
VGG (Johnson et al. 2016, §3.2; N, G as in `deepcanon.style.losses.mean_gram`)::

    content  mean (F(y) - F(x))^2 / mean F(x)^2              at `content_tap`
    style    sum_l w_l |G_l(y) - G_l(s)|^2 / |G_l(s)|^2      at `style_taps`, sum_l w_l = 1
    total    content_weight * content + style_weight * style + tv_weight * mean squared step

What is trained adds ``tone_weight * tone_distance(y, x) + lattice_weight * lattice(y)``, no part of
the objective.

*What differs from the paper*, with every recipe: content and style are relative to the size of
their targets, so that one set of weights serves paintings whose Gram matrices differ a hundredfold
(the paper's lambdas therefore mean nothing here); total variation is a mean, not a sum; photographs
are square crops of 0.6 to 1 of the shorter side, mirrored half of the time, where the paper scales
whole ones to 256 x 256. With all but `johnson-paper`: unequal weights of the style taps; a rate
that rises and then falls by half a cosine; what ships is a moving average of the weights; the
network sees a `margin` around each picture, as in use; the judge sees pictures `shifted` a little,
each step otherwise; light must stay light (`tone_weight`); no raster may show (`lattice_weight`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from deepcanon.style.features import FeatureNet
from deepcanon.style.forms import cut
from deepcanon.style.johnson import Norm, TransformNet
from deepcanon.style.losses import lattice, mean_gram, tone_distance, total_variation
from deepcanon.style.recipes import TransformRecipe
from deepcanon.training import schedules
from deepcanon.training.average import move_average
from deepcanon.training.muon import Muon


class Weighting(NamedTuple):
    """Where activations are compared, and how much each part counts."""

    content_tap: str
    style_taps: Mapping[str, float]
    content_weight: float
    style_weight: float
    tv_weight: float

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> Weighting:
        """Read a `TransformRecipe` as plain data. Raises KeyError for what it does not say."""
        return cls(
            content_tap=str(recipe["content_tap"]),
            style_taps={tap: float(share) for tap, share in recipe["style_taps"].items()},
            content_weight=float(recipe["content_weight"]),
            style_weight=float(recipe["style_weight"]),
            tv_weight=float(recipe["tv_weight"]),
        )


class Judgement(NamedTuple):
    """The objective of each picture, [b], and its parts before their weights."""

    total: Float[Tensor, " b"]
    content: Float[Tensor, " b"]
    style: Float[Tensor, " b"]
    tv: Float[Tensor, " b"]


class PerceptualLoss:
    """The objective against a fixed feature network and the Gram matrices of some paintings.

    `content_weights` has one number a painting; without it `weighting` has the one for them all.
    """

    def __init__(
        self,
        features: FeatureNet,
        paintings: Sequence[Float[Tensor, "1 3 h w"]],
        *,
        weighting: Weighting,
        content_weights: Sequence[float] | None = None,
    ) -> None:
        self.features = features
        self.weighting = weighting
        own = content_weights or [weighting.content_weight] * len(paintings)
        self.content_weights = torch.tensor(own)
        with torch.no_grad():
            found = [features(painting, weighting.style_taps) for painting in paintings]
            self.grams = {
                tap: torch.cat([mean_gram(one[tap]) for one in found])
                for tap in weighting.style_taps
            }

    def content(self, photos: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """What the painted picture must keep of the photographs."""
        tap = self.weighting.content_tap
        with torch.no_grad():
            return self.features(photos, [tap])[tap]

    def __call__(
        self,
        painted: Float[Tensor, "b 3 h w"],
        content: Float[Tensor, "b c h2 w2"],
        styles: Float[Tensor, "b styles"],
    ) -> Judgement:
        """Judge painted pictures; ``styles`` has one row a picture, its share of each painting."""
        want = self.weighting
        found = self.features(painted, {*want.style_taps, want.content_tap})
        kept = found[want.content_tap].float()
        content = content.float()
        lost = (kept - content).square().flatten(1).mean(1) / content.square().flatten(1).mean(1)
        style = torch.zeros_like(lost)
        for tap, weight in want.style_taps.items():
            target = torch.einsum("bs,scd->bcd", styles, self.grams[tap])
            error = (mean_gram(found[tap]) - target).square().flatten(1).sum(1)
            style = style + weight * error / target.square().flatten(1).sum(1)
        tv = total_variation(painted.float()) / painted[0].numel()
        total = (
            (styles @ self.content_weights) * lost + want.style_weight * style + want.tv_weight * tv
        )
        return Judgement(total, lost, style, tv)


def paint(
    net: TransformNet,
    photos: Float[Tensor, "b 3 h w"],
    styles: Float[Tensor, "b styles"] | None,
    *,
    margin: int,
) -> Float[Tensor, "b 3 h w"]:
    """What `Stylizer` makes: ``margin`` mirrored pixels more on each side are seen and cut off.

    A network judged with its borders learns to paint there what the Gram matrices still lack.
    """
    height, width = photos.shape[-2:]
    seen = functional.pad(photos, (margin,) * 4, mode="reflect")
    return cut(net(seen, styles).float(), margin, height=height, width=width)


def shifted(
    pictures: Float[Tensor, "b 3 h w"], *, margin: int, seed: list[int]
) -> Float[Tensor, "b 3 h2 w2"]:
    """The pictures with ``margin`` reflected rows and columns, before and after in drawn shares.

    A judge that always looks at the same places is blind for what falls between its pools, and a
    network finds that out: it paints a lattice. No paper has this; VGG's pools repeat every 8
    pixels at relu4, hence a margin of 8. To cut rows off instead would leave borders unjudged.
    """
    top, left = np.random.default_rng(seed).integers(margin + 1, size=2).tolist()
    return functional.pad(pictures, (left, margin - left, top, margin - top), mode="reflect")


class Repainting(pl.LightningModule):
    """Trains a transform network; keeps a moving average of its weights, which is what ships."""

    def __init__(
        self,
        net: TransformNet,
        *,
        loss: PerceptualLoss,
        recipe: TransformRecipe,
        turns: Sequence[int],
    ) -> None:
        """`turns` are the styles of a round, by their number: one may have several turns."""
        super().__init__()
        self.net = net
        self.averaged = copy.deepcopy(net).requires_grad_(False)
        self.recipe = recipe
        self.turns = turns
        self._loss = [loss]  # in a list: it is no part of what is trained or saved

    def styles(self, count: int) -> Float[Tensor, "b styles"]:
        """One style a picture; each round shows the `turns` in an order of its own."""
        total = len(next(iter(self._loss[0].grams.values())))
        first = self.global_step * count
        chosen = []
        for index in range(first, first + count):
            round_, place = divmod(index, len(self.turns))
            order = np.random.default_rng([self.recipe.seed, 3, round_]).permutation(self.turns)
            chosen.append(order[place])
        return torch.eye(total)[torch.tensor(np.array(chosen))]

    def training_step(self, photos: Float[Tensor, "b 3 h w"], step: int) -> Tensor:
        """Paint, judge. The feature network is fixed; the photographs' own features are targets."""
        loss = self._loss[0]
        photos = photos.contiguous(memory_format=torch.channels_last)
        styles = self.styles(len(photos))
        given = styles if self.net.config.norm is Norm.CONDITIONAL else None
        painted = paint(self.net, photos, given, margin=self.recipe.margin)
        draw = [self.recipe.seed, 4, self.global_step]
        seen, kept = (
            shifted(each, margin=self.recipe.shift, seed=draw) for each in (painted, photos)
        )
        terms = loss(seen, loss.content(kept), styles)
        tone, raster = tone_distance(painted, photos), lattice(painted)
        logged = {**terms._asdict(), "tone": tone, "lattice": raster}
        self.log_dict({name: value.mean() for name, value in logged.items()})
        recipe = self.recipe
        return (terms.total + recipe.tone_weight * tone + recipe.lattice_weight * raster).mean()

    def on_train_batch_end(self, *_: object) -> None:
        """Move the average on."""
        move_average(self.averaged, self.net, keep=self.recipe.ema_decay, steps=self.global_step)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's ``optimiser``, warmup of its rates, then as its ``schedule`` says."""
        recipe = self.recipe
        rates: dict[str, float] = {
            "kernels": recipe.kernel_rate if recipe.optimiser == "muon" else recipe.learning_rate,
            "biases": recipe.learning_rate,
            "vectors": recipe.learning_rate * recipe.vectors_faster,
        }
        groups: dict[str, list[Tensor]] = {kind: [] for kind in rates}
        for name, weight in self.net.named_parameters():
            if weight.requires_grad:
                vector = name.endswith((".scales", ".shifts"))
                kind = "vectors" if vector else "kernels" if weight.ndim == 4 else "biases"
                groups[kind].append(weight)
        given = [{"params": groups[kind], "lr": rates[kind]} for kind in rates if groups[kind]]
        make = {"adam": torch.optim.Adam, "muon": Muon}[recipe.optimiser]
        optimizer = make(given, lr=recipe.learning_rate)
        warmup = min(recipe.warmup, recipe.steps // 10)
        if recipe.schedule == "constant":
            shape = schedules.constant(warmup=warmup)
        else:
            shape = schedules.cosine(steps=recipe.steps, warmup=warmup)
        scheduler = LambdaLR(optimizer, shape)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
