"""Recipes of the classifiers: what `deepcanon train NAME` does when nothing else is said.

``deepcanon recipes show NAME`` prints one as YAML. The comment beside a number names its source, or
says that it is ours; above each of `RECIPES` stands what it cost and what it gave, where it was
run. Sections are those of the paper that the network's file cites.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from deepcanon.core.errors import BadInput
from deepcanon.training.ranges import ANY, PACE, refuse_outside

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """Train a classifier on labelled pictures."""

    runner: ClassVar[str] = "deepcanon.classify.train:train"
    finder: ClassVar[str] = "deepcanon.classify.find_rate:find_rate"
    needs: ClassVar[tuple[str, ...]] = ("data",)

    data: str = ""  # a folder (a folder a class, CIFAR, MNIST), standin, or digits
    hold_out: int = 10  # one picture in so many to measure on, if the data sets none aside; 0: none
    model: str = "resnet20"  # a classifier of deepcanon list
    variant: str = "paper"
    network: dict[str, Any] = field(default_factory=dict)  # other settings of it, as {width: 32}
    start: str = ""  # weights to start from: a file, or imagenet where there are published ones
    head: Literal["same", "new"] = "same"  # new: the last layer is not taken from start
    side: int = 32  # of what the network is shown, pixels
    augmentation: Literal["none", "cifar", "alexnet", "vgg", "resnet", "inception"] = "cifar"
    # How pictures become numbers; measured: by the mean and deviation of the training pictures.
    # Where the weights of start say how they want it, it is theirs.
    preprocessing: Literal["measured", "torchvision", "inception", "caffe"] = "measured"
    batch: int = 128
    steps: int = 64_000
    optimiser: Literal["sgd", "adam", "rmsprop"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9  # of sgd and rmsprop
    weight_decay: float = 1e-4  # not of biases and norms
    warmup: int = 0  # steps until the full rate; a tenth of all steps at most
    schedule: Literal["constant", "step", "decay", "plateau", "cosine"] = "step"
    drop: float = 0.1  # what step, decay and plateau multiply the rate by
    drop_at: tuple[float, ...] = (0.5, 0.75)  # of step: after which shares of all steps
    drop_every: int = 1000  # of decay: steps
    patience: int = 5  # of plateau: measurements in a row that are no better
    clip: float = 0.0  # the largest norm of the gradient; 0: any
    label_smoothing: float = 0.0
    auxiliary_weight: float | None = None  # of auxiliary losses; null: as the network's paper says
    mixup: float = 0.0  # Zhang et al. 2018, alpha; 0: none
    ema_decay: float = 0.0  # share of a moving average of the weights that a step keeps; 0: none
    seed: int = 0
    precision: Precision = "auto"
    processes: int = 1  # that share each batch
    workers: int = 0  # more processes that read pictures
    checkpoint_every: int = 500  # steps
    measure_every: int = 1000  # steps

    def __post_init__(self) -> None:
        ranges = {
            "side": (1, ANY),
            "drop": (0, 1),
            "drop_every": (1, ANY),
            "patience": (1, ANY),
            "label_smoothing": (0, 0.99),
            "ema_decay": (0, 0.999999),
            "momentum": (0, 0.999999),
            "processes": (1, ANY),
            "measure_every": (1, ANY),
        }
        refuse_outside(self, {**PACE, **ranges})
        if self.batch % self.processes:
            most = max(self.processes, self.batch // self.processes * self.processes)
            raise BadInput(
                f"a batch of {self.batch} cannot be shared by {self.processes} processes",
                hint=f"take a multiple of it: --set batch={most}",
            )
        if self.hold_out == 1:
            raise BadInput(
                "hold_out is 1, which leaves no picture to train on",
                hint="one in 10 is usual: --set hold_out=10",
            )


# He et al. 2016, §4.2: the numbers are the defaults above. What differs: the mean and deviation are
# of channels, not of pixels; biases and batch norms do not decay; 50k pictures are trained on where
# the paper keeps 5k of them out; on a processor that computes with bfloat16, so do we.
_CIFAR = ClassifierRecipe()

# Krizhevsky et al. 2012, §5: 90 rounds through 1.28 M pictures.
_ALEXNET = ClassifierRecipe(
    model="alexnet",
    side=224,
    augmentation="alexnet",  # §4.1
    preprocessing="caffe",  # §2: 0..255, the mean subtracted (there that of each pixel)
    steps=900_000,
    learning_rate=0.01,
    weight_decay=5e-4,
    schedule="plateau",
    measure_every=10_009,
)

RECIPES: dict[str, ClassifierRecipe] = {
    # The network that ships had 12,000 steps and a cosine: 48 minutes, top-1 85.9 % on CIFAR-10
    # after a lossy JPEG (docs/results.md). As it stands: not run so far.
    "resnet20-cifar10": _CIFAR,
    # Not run so far.
    "resnet56-cifar10": replace(_CIFAR, model="resnet56"),
    # The plain twins, which depth harms. Not run so far.
    "plain20-cifar10": replace(_CIFAR, model="plain20"),
    "plain56-cifar10": replace(_CIFAR, model="plain56"),
    # Not run so far.
    "alexnet-imagenet": _ALEXNET,
    # Zeiler & Fergus 2014, §3: 70 rounds; filters are kept small after each step. The decay is
    # AlexNet's (not said), and so are the crops: the paper takes ten fixed ones. Not run so far.
    "zfnet-imagenet": replace(_ALEXNET, model="zfnet", steps=700_000),
    # Simonyan & Zisserman 2015, §3.1: 370k steps. VGG16 began from the layers of a trained VGG11,
    # as it does here with `start` set to one; without, the normal draw may not start to learn.
    # Not run so far.
    "vgg16-imagenet": replace(
        _ALEXNET,
        model="vgg16",
        augmentation="vgg",
        batch=256,
        steps=370_000,
        measure_every=5_000,
    ),
    # Szegedy et al. 2015, §6: momentum 0.9, the rate falls by 4 % every 8 rounds, the network is an
    # average. The rate, batch, decay, length: not said; those of BVLC's replication in Caffe
    # (bvlc_googlenet/solver.prototxt). Not run.
    "googlenet-imagenet": replace(
        _ALEXNET,
        model="googlenet",
        augmentation="inception",
        preprocessing="measured",  # ours: the starting weights are wide enough for it
        batch=32,
        steps=10_000_000,
        weight_decay=2e-4,
        schedule="decay",
        drop=0.96,
        drop_every=320_000,
        ema_decay=0.9999,
        measure_every=40_000,
    ),
    # Szegedy et al. 2016, §8: 100 rounds in batches of 32, RMSProp, the rate falls by 6 % every two
    # rounds, gradients no longer than 2, labels smoothed (§7), the network is an average; §6: 299
    # pixels. The decay, the momentum beside RMSProp (torch's: docs/papers.md) and how fast the
    # average moves are ours. 50 replicas went ahead without waiting for one another there, here
    # each step follows the one before. Not run so far.
    "inception_v3-imagenet": replace(
        _ALEXNET,
        model="inception_v3",
        side=299,
        augmentation="inception",
        preprocessing="inception",
        batch=32,
        steps=4_000_000,
        optimiser="rmsprop",
        learning_rate=0.045,
        weight_decay=4e-5,
        schedule="decay",
        drop=0.94,
        drop_every=80_000,
        clip=2.0,
        label_smoothing=0.1,
        ema_decay=0.9999,
        measure_every=40_000,
    ),
    # He et al. 2016, §3.4: 600k steps. Not run so far.
    "resnet50-imagenet": replace(
        _ALEXNET,
        model="resnet50",
        preprocessing="measured",  # ours: §3.4 subtracts the mean of each pixel only
        augmentation="resnet",  # §3.4
        batch=256,
        steps=600_000,
        learning_rate=0.1,
        weight_decay=1e-4,
        measure_every=5_000,
    ),
    # For pictures of your own; all of it ours. `start=imagenet head=new` begins with torchvision's
    # weights, and then a tenth of the rate is enough. Not run so far.
    "classifier": ClassifierRecipe(
        model="resnet18",
        variant="torchvision",
        side=128,
        augmentation="inception",
        batch=32,
        steps=3000,
        learning_rate=0.05,
        warmup=100,
        schedule="cosine",
        label_smoothing=0.1,
        ema_decay=0.998,
        measure_every=250,
    ),
}
