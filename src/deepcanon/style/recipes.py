"""Recipes of the style domain: what `deepcanon train NAME` does when nothing else is said.

``deepcanon recipes show NAME`` prints one as YAML. The comment beside a number names its source, or
says that it is ours; above each of `RECIPES` stands what it cost and what it gave, on the 2 cores
that docs/LOG.md names, where there is more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Literal

from deepcanon.core.errors import BadInput
from deepcanon.training.ranges import ANY, PACE, refuse_outside

Precision = Literal["auto", "float32", "bfloat16"]
NetworkVariant = Literal["paper", "instance_norm", "modern", "multistyle"]

# Name of a shipped style -> the painting's file.
PAINTINGS: Mapping[str, str] = MappingProxyType(
    {
        "starry-night": "starry_night_google.jpg",
        "great-wave": "wave.jpg",
        "the-scream": "the_scream.jpg",
        "composition-vii": "composition_vii.jpg",
        "udnie": "udnie.jpg",
        "woman-with-a-hat": "woman-with-hat-matisse.jpg",
        "shipwreck": "shipwreck.jpg",
    }
)

# The four taps of Johnson et al. 2016, §4.1, whose weights the paper says nothing of: equal ones.
PAPER_TAPS: Mapping[str, float] = MappingProxyType(
    {"relu1_2": 0.25, "relu2_2": 0.25, "relu3_3": 0.25, "relu4_3": 0.25}
)

# The same taps with unequal weights, ours: shallow ones carry a painting's colours.
STYLE_TAPS: Mapping[str, float] = MappingProxyType(
    {"relu1_2": 0.3, "relu2_2": 0.3, "relu3_3": 0.2, "relu4_3": 0.2}
)


@dataclass(frozen=True, kw_only=True)
class SlimRecipe:
    """Distil a slim VGG from a VGG16."""

    runner: ClassVar[str] = "deepcanon.style.distill:train"
    needs: ClassVar[tuple[str, ...]] = ("photos", "paintings")

    photos: str = ""  # a folder
    paintings: str = ""  # a folder
    teacher: str = "vgg16"  # as for load_features
    side: int = 128  # of the crops, pixels; ours
    batch: int = 6  # ours
    steps: int = 2500  # ours: the curve still falls at the end
    learning_rate: float = 3e-3  # of Adam, for biases; ours
    kernel_rate: float = 0.02  # of Muon, for the kernels; ours
    warmup: int = 100  # steps until the full rate; ours
    walk: int = 12  # steps at most that every second picture goes down the student's loss; ours
    walk_rate: float = 0.03  # of white, the mean of such a step; ours
    gram_weight: float = 0.5  # beside 1 for the activations; ours
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every: int = 500  # steps

    def __post_init__(self) -> None:
        # 16: one pixel of the deepest tap, relu5_1.
        refuse_outside(self, {**PACE, "side": (16, ANY)})


@dataclass(frozen=True, kw_only=True)
class TransformRecipe:
    """What all trainings of transform networks have in common."""

    photos: str = ""  # a folder
    features: str = "slim"  # the judge, as for load_features
    side: int = 192  # of the photographs' crops, pixels; ours
    painting_side: int = 320  # shorter side of a painting: its strokes grow with it; ours
    batch: int = 4  # Johnson et al. 2016, §4.1
    steps: int = 4000  # ours
    optimiser: Literal["adam", "muon"] = "adam"  # Johnson et al. 2016, §4.1
    learning_rate: float = 2e-3  # of Adam; ours
    kernel_rate: float = 0.1  # of Muon, for the kernels; ours
    vectors_faster: float = 5.0  # a style's own vectors learn so many times faster; ours
    warmup: int = 100  # steps until the full rate, a tenth of all at most; ours
    schedule: Literal["cosine", "constant"] = "cosine"  # of the rate after the warmup; ours
    ema_decay: float = 0.998  # share of the moving average of the weights that a step keeps; ours
    margin: int = 24  # mirrored pixels around what the network sees, cut off as in use; ours
    shift: int = 8  # reflected rows and columns around what the judge sees; ours
    content_tap: str = "relu2_2"  # Johnson et al. 2016, §4.1
    # Tap -> its share of the style loss; ours.
    style_taps: dict[str, float] = field(default_factory=lambda: dict(STYLE_TAPS))
    content_weight: float = 1.0  # of a loss relative to its target, as the next; ours
    style_weight: float = 12.0  # ours: at 20 the content goes
    tv_weight: float = 8.0  # ours
    tone_weight: float = 0.5  # ours: what it costs when light and dark change places
    lattice_weight: float = 6.0  # ours: what a picture of stripes, period 4, costs
    seed: int = 0
    precision: Precision = "auto"
    checkpoint_every: int = 500  # steps
    preview_every: int = 500  # steps

    def __post_init__(self) -> None:
        sides = {"side": (24, ANY), "painting_side": (16, ANY), "margin": (0, ANY)}
        shares = {"shift": (0, 8), "ema_decay": (0, 1)}
        refuse_outside(self, {**PACE, **sides, **shares, "preview_every": (1, ANY)})
        if not self.style_taps:
            raise BadInput("style_taps is empty", hint="as in --set style_taps={relu2_2: 1}")


@dataclass(frozen=True, kw_only=True)
class JohnsonRecipe(TransformRecipe):
    """Train a transform network on a folder of photographs, for one painting or for many."""

    runner: ClassVar[str] = "deepcanon.style.train:train"
    needs: ClassVar[tuple[str, ...]] = ("photos", "paintings")

    variant: NetworkVariant = "modern"  # of `johnson`
    paintings: str = ""  # the folder in which the styles' files are
    styles: dict[str, str] = field(default_factory=dict)  # style name -> file in it
    # Style name -> how many pictures of a round are in it; 1 for those not named; ours.
    turns: dict[str, int] = field(default_factory=dict)
    # Style name -> a content_weight of its own, as Johnson et al. gave each network one; ours.
    content_weights: dict[str, float] = field(default_factory=dict)
    start: str = ""  # weights to start from: a .onnx or .safetensors of ours

    def __post_init__(self) -> None:
        super().__post_init__()
        for style, times in self.turns.items():
            if times < 1:
                raise BadInput(f"turns gives {style} {times} pictures", hint="give it 1 or more")


@dataclass(frozen=True, kw_only=True)
class NewStyleRecipe(TransformRecipe):
    """Add one painting to a trained multistyle network: only its scale and shift vectors learn."""

    runner: ClassVar[str] = "deepcanon.style.train:train_new_style"
    needs: ClassVar[tuple[str, ...]] = ("painting", "photos")

    painting: str = ""  # a picture
    name: str = ""  # of the new style; the painting's file name if empty
    start: str = "multistyle"  # the shipped network, or a .onnx of ours
    steps: int = 800  # ours
    learning_rate: float = 1e-1  # of Adam; ours, as the shipped network's vectors learnt
    vectors_faster: float = 1.0  # nothing but vectors learns here, at the learning rate itself
    content_tap: str = "relu3_3"  # ours, as the shipped network's, and the next two
    content_weight: float = 0.3
    tv_weight: float = 20.0
    tone_weight: float = 0.5
    checkpoint_every: int = 200  # steps
    preview_every: int = 200  # steps


Recipe = SlimRecipe | JohnsonRecipe | NewStyleRecipe

_MULTISTYLE = JohnsonRecipe(
    variant="multistyle",
    styles=dict(PAINTINGS),
    side=128,
    steps=2000,
    optimiser="muon",  # 400 steps: total 2.29; Adam 2.52 at its best rate, 3.09 at 2e-3
    learning_rate=2e-2,
    content_tap="relu3_3",
    content_weight=0.75,
    tone_weight=0.3,
)

RECIPES: dict[str, Recipe] = {
    # The shipped network: 28 minutes, relative error of activations 1.0 -> 0.21, of Gram matrices
    # 1.0 -> 0.03.
    "slim-vgg": SlimRecipe(),
    # The paper's numbers, §4.1; what still differs is listed in `style.task`. Not run so far.
    "johnson-paper": JohnsonRecipe(
        variant="paper",
        features="vgg16",
        side=256,
        steps=40_000,
        learning_rate=1e-3,
        warmup=0,
        schedule="constant",
        ema_decay=0.0,
        margin=0,
        shift=0,
        tone_weight=0.0,
        lattice_weight=0.0,
        style_taps=dict(PAPER_TAPS),
    ),
    # One style, ours throughout. Not run so far.
    "johnson": JohnsonRecipe(),
    # The way to the shipped network, first part, against slim: 7 minutes, total 10.7 -> 1.21 with
    # content_weight 1.5, tone_weight, lattice_weight and margin 0. The colours and the structure.
    "multistyle": _MULTISTYLE,
    # Second part, against VGG16, with `start` where the first ended. Less content than above, as
    # light, dark and the raster have terms of their own now; pictures of 256 pixels, as those that
    # are looked at: smaller crops teach other textures. Not run as it stands: docs/LOG.md tells the
    # twelve shorter runs whose end ships, the last six of which took four hours.
    "multistyle-finish": replace(
        _MULTISTYLE,
        features="vgg16",
        side=256,
        batch=2,
        steps=6000,
        kernel_rate=0.05,
        content_weight=0.3,
        content_weights={"composition-vii": 0.15},  # a busy painting, for which 0.3 is dear
        turns={
            "starry-night": 2,
            "great-wave": 2,
            "the-scream": 2,
            "composition-vii": 4,
            "udnie": 2,
            "woman-with-a-hat": 2,
        },
        tv_weight=20.0,
        tone_weight=0.5,
    ),
    # 7:24 minutes, total 1.12 -> 0.67 (docs/results.md).
    "new-style": NewStyleRecipe(),
}
