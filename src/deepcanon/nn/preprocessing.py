"""What a set of weights expects its pictures to look like, as data and as a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``(x[order] * scale - mean) / std``, channel by channel, of RGB pictures in 0..1.

    ``mean`` and ``std`` stand in the network's own channel order and in its own units.
    """

    name: str
    order: str  # "RGB" or "BGR": the order in which the network reads the channels
    scale: float  # the value of white: 1 or 255
    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a `Record`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        if content["order"] not in ("RGB", "BGR"):
            raise ValueError(f"the channel order is {content['order']!r}, not RGB or BGR")
        return cls(
            name=str(content["name"]),
            order=content["order"],
            scale=float(content["scale"]),
            mean=_three(content["mean"]),
            std=_three(content["std"]),
        )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = values
    return float(first), float(second), float(third)


# Means of the ImageNet training pictures, blue first, as in the VGG authors' Caffe release.
CAFFE = Preprocessing(name="caffe", order="BGR", scale=255.0, mean=(103.939, 116.779, 123.68))
# torchvision's documented statistics for all of its ImageNet weights.
TORCHVISION = Preprocessing(
    name="torchvision",
    order="RGB",
    scale=1.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
# Pictures in -1..1, as the authors of the Inception networks trained on; also torchvision's
# googlenet and inception_v3, whose ``transform_input`` turns its statistics back into these.
INCEPTION = Preprocessing(
    name="inception", order="RGB", scale=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)


def preprocess(
    pictures: Float[Tensor, "*b 3 h w"], *, how: Preprocessing
) -> Float[Tensor, "*b 3 h w"]:
    """RGB pictures in 0..1 -> what the network reads. Differentiable."""
    x = pictures if how.order == "RGB" else pictures.flip(-3)
    x = x if how.scale == 1 else x * how.scale  # a pass over the pictures less
    x = x - _as_channels(how.mean, x)
    return x if set(how.std) == {1} else x / _as_channels(how.std, x)


def _as_channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(3, 1, 1)
