"""Style transfer by optimisation: the photograph's features, the painting's statistics.

L. A. Gatys, A. S. Ecker, M. Bethge, Image Style Transfer Using Convolutional Neural Networks,
CVPR 2016, https://doi.org/10.1109/CVPR.2016.265 (sections below are this one's); first told in
A Neural Algorithm of Artistic Style, 2015, https://arxiv.org/abs/1508.06576.

*What was new*: a network trained to name objects separates what a picture shows from how it is
painted. Deep features hold the content; their correlations, position thrown away (Gram matrices),
hold the style. A picture with a photograph's content and a painting's style is found by descent.

With F the features of the picture at a layer of N filters and M positions, P the photograph's, and
G and A the Gram matrices ``G_ij = Σ_k F_ik F_jk`` of the picture and of the painting::

    content   L_content = ½ Σ (F − P)²                       at conv4_2           (1)
    style     E_l = 1/(4 N² M²) Σ (G − A)²                                        (4)
              L_style = Σ_l w_l E_l, w_l = 1/5               at conv1_1 … conv5_1 (5)
    total     L = α L_content + β L_style                                         (7)

The paper's "conv4_2" is a Caffe blob, which its ReLU overwrites: here it is the tap ``relu4_2``.

**What differs from the paper**, by variant (`VARIANTS`):

- all: the painting keeps its proportions and is brought to the photograph's *area* (§3: "the same
  size"); its Gram matrix is rescaled by M / M_painting. A coarse stage weighs the content up by
  the positions it lacks, so the balance is that of the full size.
- ``paper``: meant for Caffe's VGG19 as released; other networks want ``torchvision``. §2 has each
  filter scaled to a mean activation of 1, but then formulas (1) to (7) and the figures' α/β (10⁻⁴
  to 10⁻¹, Fig. 4) make the content outweigh the style about a thousandfold. Activations in the
  tens, as Caffe's are, fit the figures. So here they stay as the network gives them.
- ``leon_gatys_code``: the first author's notebook (leongatys/PytorchNeuralStyleTransfer): means for
  sums, Gram / M, the normalised network of §2, max pooling, starts from the photograph.
- ``torchvision``: any other VGG, and slim. A factor a layer brings the activations to where the
  figures' α/β and the notebook's weights are the same balance (`FIGURE_ACTIVATION`).
- ``modern``: the same, but from the photograph, coarse to fine, with total variation, and in the
  coordinates of a `pyramid`.

**Units.** α, β and w_l always belong to the formulas above. A `Convention` sums and averages
otherwise; `content_factor` and `style_factor` convert, so the total, its gradient and the picture
do not depend on it: only the parts that are reported do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.core.catalog import Variant
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels
from deepcanon.style.activations import Activations, scale
from deepcanon.style.features import FeatureNet, Pooling, load_features
from deepcanon.style.losses import gram, total_variation
from deepcanon.style.repaint import (
    LBFGS,
    Adam,
    Losses,
    Preview,
    Repainted,
    Stage,
    Start,
    Terms,
    noise,
    octaves,
    resize,
    run_stages,
    same_area,
    share_out,
    stage_size,
    to_tensor,
)


class Convention(StrEnum):
    """How the two losses add up. PAPER: formulas (1) and (4)."""

    PAPER = "paper"
    LEON_GATYS_CODE = "leon_gatys_code"  # mean (F−P)²; mean over N² of (G/M − A/M)²
    PYTORCH_TUTORIAL = "pytorch_tutorial"  # mean (F−P)²; mean over N² of (G/(NM) − A/(NM))²


class Layer(NamedTuple):
    """A tap of the feature network and its w_l."""

    tap: str
    weight: float


_STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # §2.2


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is minimised, and how. The defaults are the paper's."""

    content: tuple[Layer, ...] = (Layer("relu4_2", 1.0),)  # §3
    style: tuple[Layer, ...] = tuple(Layer(tap, 1 / 5) for tap in _STYLE_TAPS)  # §3
    alpha: float = 1e-3  # Fig. 3: α/β from 5·10⁻⁴ to 5·10⁻³
    beta: float = 1.0  # only the ratio is given
    alpha_side: int | None = None  # α holds at side² pixels, as a mean would; None: at any (eq. 1)
    variation: float = 0.0  # not in the paper: Johnson et al. 2016; weight at alpha_side, like α
    convention: Convention = Convention.PAPER  # eq. 1, 4
    activations: Activations = Activations.AS_GIVEN  # see "paper" above
    mean_activation: float = 1.0  # §2; unused when AS_GIVEN
    pooling: Pooling = Pooling.AVERAGE  # §2
    start: Start = Start.NOISE  # §2.3: white noise
    noise: float = 1 / 255  # the notebook: randn on 0 to 255; ours around mid-grey
    optimiser: LBFGS | Adam = field(default_factory=LBFGS)  # §2.3
    stages: tuple[Stage, ...] = (Stage(iterations=500),)  # the notebook

    def __post_init__(self) -> None:
        numbers = {"alpha": self.alpha, "beta": self.beta, "variation": self.variation}
        numbers |= {f"the weight of {tap}": weight for tap, weight in self.content + self.style}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{name} is {value}", hint="give a finite number, zero or above")
        if self.alpha + self.beta == 0 or not self.stages or not self.content + self.style:
            raise BadInput(
                "there is nothing to minimise",
                hint="give alpha or beta above zero, a content or style layer, and a stage",
            )

    @property
    def iterations(self) -> int:
        """The iterations of all stages."""
        return sum(stage.iterations for stage in self.stages)

    def with_iterations(self, iterations: int) -> Config:
        """The same with `iterations` in all, shared out over the stages as they are now."""
        return replace(self, stages=share_out(self.stages, iterations))


_WIDTHS = (64, 128, 256, 512, 512)  # N at the style taps of VGG19
_NOTEBOOK_SIDE = 512  # img_size
_NOTEBOOK_STYLE = tuple(1e3 / n**2 for n in _WIDTHS)  # style_weights
# In the paper's units: content 1 · mean (F−P)² = α ½ Σ (F−P)², style weight · E_l · 4 = β w_l E_l.
_NOTEBOOK_ALPHA = 2 / (512 * (_NOTEBOOK_SIDE // 8) ** 2)
_NOTEBOOK_BETA = 4 * sum(_NOTEBOOK_STYLE)

# Activations scaled by s want α/β scaled by s². This s turns the notebook's α/β, which is for a
# mean of 1, into that of the figures: about 37, which is indeed what Caffe's activations are like.
FIGURE_ACTIVATION = math.sqrt(1e-3 / (_NOTEBOOK_ALPHA / _NOTEBOOK_BETA))

PAPER = Config()
LEON_GATYS_CODE = Config(
    style=tuple(
        Layer(tap, weight / sum(_NOTEBOOK_STYLE))
        for tap, weight in zip(_STYLE_TAPS, _NOTEBOOK_STYLE, strict=True)
    ),
    alpha=_NOTEBOOK_ALPHA,  # content_weights = [1e0]
    beta=_NOTEBOOK_BETA,
    alpha_side=_NOTEBOOK_SIDE,  # a mean weighs the same at every size
    convention=Convention.LEON_GATYS_CODE,
    activations=Activations.FILTER,  # vgg_conv.pth holds normalised weights
    pooling=Pooling.MAX,  # VGG(pool='max')
    start=Start.CONTENT,  # opt_img = content_image.clone()
)
TORCHVISION = Config(
    alpha_side=_NOTEBOOK_SIDE,
    convention=Convention.PYTORCH_TUTORIAL,
    activations=Activations.LAYER,
    mean_activation=FIGURE_ACTIVATION,
    pooling=Pooling.MAX,  # as these weights were trained
)
MODERN = replace(
    TORCHVISION,
    convention=Convention.PAPER,
    alpha=1e-4,  # Fig. 3's smallest, 5·10⁻⁴, hardly departs from the photograph it starts from here
    variation=30.0,  # ours: about a tenth of the loss at the end
    start=Start.CONTENT,
    # Ours: a quarter of the memory; coarse coordinates beside the pixels save iterations.
    optimiser=LBFGS(history=20, levels=6),
    stages=octaves(150),  # ours
)

VARIANTS: Mapping[str, Variant] = {
    "paper": Variant(config=PAPER, differs="no normalised network: it contradicts the figures"),
    "leon_gatys_code": Variant(
        config=LEON_GATYS_CODE,
        differs="means for sums, Gram / M, normalised network, max pooling, from the photograph",
    ),
    "torchvision": Variant(
        config=TORCHVISION, differs="any VGG: activations as large as Caffe's are, max pooling"
    ),
    "modern": Variant(
        config=MODERN,
        differs="torchvision's, from the photograph, coarse to fine, smoothed, in a pyramid's "
        "coordinates",
    ),
}


def content_loss(
    features: Float[Tensor, "b n h w"],
    target: Float[Tensor, "b n h w"],
    *,
    filters: int | None = None,
    convention: Convention = Convention.PAPER,
) -> Float[Tensor, " b"]:
    """Formula (1), ``½ Σ (F − P)²``; in the other conventions ``Σ (F − P)² / (N M)``, a mean.

    `filters` is N when `features` are fewer components of N activations (slim); default: theirs.
    """
    squares = (features - target).square().flatten(1).sum(1)
    if convention is Convention.PAPER:
        return squares / 2
    return squares / ((filters or features.shape[1]) * features.shape[2] * features.shape[3])


def style_loss(
    correlations: Float[Tensor, "b n n"],
    target: Float[Tensor, "b n n"],
    *,
    filters: int,
    positions: int,
    convention: Convention = Convention.PAPER,
) -> Float[Tensor, " b"]:
    """Formula (4), ``1/(4 N² M²) Σ (G − A)²``, at one layer; or as the `Convention` has it.

    Both Gram matrices are un-normalised, sums over M = `positions`. (That of a painting of another
    size is A · M / M_painting.) N = `filters`, also when the matrices are of fewer components.
    """
    # Divided before it is squared: float32 would overflow on large pictures.
    difference = (correlations - target).flatten(1) / (filters * positions)
    match convention:
        case Convention.PAPER:
            return (difference / 2).square().sum(1)
        case Convention.LEON_GATYS_CODE:
            return difference.square().sum(1)  # the mean over N² of (G/M − A/M)²
        case Convention.PYTORCH_TUTORIAL:
            return (difference / filters).square().sum(1)


def content_factor(convention: Convention, *, filters: int, positions: int) -> float:
    """How many of the paper's units one unit of a convention's `content_loss` is."""
    return 1.0 if convention is Convention.PAPER else filters * positions / 2


def style_factor(convention: Convention, *, filters: int) -> float:
    """How many of the paper's units one unit of a convention's `style_loss` is."""
    match convention:
        case Convention.PAPER:
            return 1.0
        case Convention.LEON_GATYS_CODE:
            return 1 / 4
        case Convention.PYTORCH_TUTORIAL:
            return filters**2 / 4


def total_loss(
    content: Tensor, style: Tensor, variation: Tensor, *, alpha: float, beta: float, gamma: float
) -> Tensor:
    """Formula (7), of losses in the paper's units, and a total-variation term."""
    return alpha * content + beta * style + gamma * variation


class StageLoss:
    """The loss of one stage as a function of the picture; the targets are computed once.

    `content` and `style` are pictures [1, 3, h, w] in 0..1 RGB at the size of the stage;
    `full_area` is how many pixels the picture has at full size.
    """

    def __init__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Float[Tensor, "1 3 h2 w2"],
        *,
        config: Config,
        features: FeatureNet,
        full_area: int,
    ) -> None:
        self.config = config
        self.features = features
        self.taps = tuple(dict.fromkeys(tap for tap, _ in config.content + config.style))
        wanted = full_area if config.alpha_side is None else config.alpha_side**2
        ratio = wanted / (content.shape[2] * content.shape[3])
        self.alpha, self.gamma = config.alpha * ratio, config.variation * ratio
        with torch.no_grad():
            photograph, painting = features(content, self.taps), features(style, self.taps)
            self.filters = {tap: features.channels[tap] for tap in self.taps}
            self.scales = {
                tap: scale(
                    photograph[tap],
                    painting[tap],
                    filters=self.filters[tap],
                    what=config.activations,
                    mean=config.mean_activation,
                )
                for tap in self.taps
            }
            self.content = {tap: photograph[tap] * self.scales[tap] for tap, _ in config.content}
            self.style = {
                tap: self._gram(painting[tap], tap)
                * (_positions(photograph[tap]) / _positions(painting[tap]))
                for tap, _ in config.style
            }

    def __call__(self, picture: Float[Tensor, "1 3 h w"]) -> Terms:
        """The loss of `picture`. The parts are unweighted and in the config's convention."""
        config, convention = self.config, self.config.convention
        found = self.features(picture, self.taps)
        content = content_paper = style = style_paper = picture.new_zeros(1)
        for tap, weight in config.content:
            filters, positions = self.filters[tap], _positions(found[tap])
            scaled, target = found[tap] * self.scales[tap], self.content[tap]
            loss = weight * content_loss(scaled, target, filters=filters, convention=convention)
            content = content + loss
            factor = content_factor(convention, filters=filters, positions=positions)
            content_paper = content_paper + factor * loss
        for tap, weight in config.style:
            filters, positions = self.filters[tap], _positions(found[tap])
            loss = weight * style_loss(
                self._gram(found[tap], tap),
                self.style[tap],
                filters=filters,
                positions=positions,
                convention=convention,
            )
            style = style + loss
            style_paper = style_paper + style_factor(convention, filters=filters) * loss
        variation = total_variation(picture)
        parts = content_paper, style_paper, variation
        total = total_loss(*parts, alpha=self.alpha, beta=config.beta, gamma=self.gamma)
        return Terms(total.sum(), content.sum(), style.sum(), variation.sum())

    def _gram(self, features: Float[Tensor, "1 n h w"], tap: str) -> Float[Tensor, "1 n n"]:
        """The Gram matrix of scaled features, without a scaled copy of the large maps."""
        factors = self.scales[tap].flatten(1)  # [1, n]
        return gram(features) * factors[:, :, None] * factors[:, None, :]


def _positions(features: Float[Tensor, "b n h w"]) -> int:
    return features.shape[2] * features.shape[3]


def repaint(
    content: Pixels,
    style: Pixels,
    *,
    config: Config = MODERN,
    features: str | FeatureNet | Mapping[str, FeatureNet] = "slim",
    seed: int = 0,
    on_step: Callable[[int, Losses], None] | None = None,
    preview: Preview | None = None,
) -> Repainted:
    """Paint `content` in the style of `style`, both uint8 [h, w, 3]; the result has content's size.

    `features` judges the stages that name no network: a name or path for `load_features`, or a
    network. A mapping holds networks by the names in `config.stages` (a name not in it is loaded);
    its first judges the stages without a name. ``on_step(step, losses)`` is called after each
    iteration, counted from 1 over all stages. KeyboardInterrupt, once the descent has begun, gives
    back the picture as it then is. The same seed gives the same picture on one machine and thread
    count. Raises Failed when the loss stops being finite, BadInput for an unknown network or tap.
    """
    full = (content.shape[0], content.shape[1])
    photograph, painting = to_tensor(content), to_tensor(style)
    networks = _networks(config, features)

    def objective(stage: Stage, size: tuple[int, int]) -> StageLoss:
        return StageLoss(
            resize(photograph, size),
            resize(painting, same_area((style.shape[0], style.shape[1]), like=size)),
            config=config,
            features=networks[stage.features],
            full_area=full[0] * full[1],
        )

    start = photograph
    if config.start is Start.NOISE:
        start = noise(stage_size(full, size=config.stages[0].size), std=config.noise, seed=seed)
    return run_stages(
        start,
        config.stages,
        objective,
        full=full,
        optimiser=config.optimiser,
        on_step=on_step,
        preview=preview,
    )


def _networks(
    config: Config, features: str | FeatureNet | Mapping[str, FeatureNet]
) -> dict[str | None, FeatureNet]:
    """The network of each name in the stages; None is the one for stages without a name."""
    found: dict[str | None, FeatureNet] = {}
    for name in dict.fromkeys(stage.features for stage in config.stages):
        if isinstance(features, Mapping):
            wanted = next(iter(features.values())) if name is None else features.get(name, name)
        else:
            wanted = features if name is None else name
        found[name] = (
            load_features(wanted, pooling=config.pooling) if isinstance(wanted, str) else wanted
        )
    return found
