"""Feature networks small enough for tests: a few seeded convolutions with VGG's tap names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = {
    "relu1_1": 4,
    "relu2_1": 5,
    "relu3_1": 6,
    "relu4_1": 6,
    "relu4_2": 7,
    "relu5_1": 8,
}


class TinyFeatures(nn.Module):
    """Every tap that Gatys asks for; a 2x2 pool before each new stage. Counts its calls."""

    def __init__(self, *, seed: int = 0, kernel: int = 3, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.sizes: list[tuple[int, int]] = []
        generator = torch.Generator().manual_seed(seed)
        self.weights: dict[str, Tensor] = {}
        before = 3
        for tap, width in WIDTHS.items():
            shape = (width, before, kernel, kernel)
            weight = torch.randn(shape, generator=generator)
            self.weights[tap] = weight * (2 / (before * kernel**2)) ** 0.5
            before = width

    @property
    def channels(self) -> Mapping[str, int]:
        return WIDTHS

    def forward(self, pictures: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        self.sizes.append((pictures.shape[2], pictures.shape[3]))
        wanted = set(wanted)
        x, found = pictures, {}
        for tap, weight in self.weights.items():
            if tap.endswith("_1") and tap != "relu1_1":
                x = functional.avg_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, weight, padding=weight.shape[-1] // 2))
            if tap in wanted:
                found[tap] = x * self.gain
        return found


class RotatedFeatures(nn.Module):
    """As slim does: the components of another network's activations in an orthonormal basis."""

    def __init__(self, inner: TinyFeatures) -> None:
        super().__init__()
        self.inner = inner
        generator = torch.Generator().manual_seed(7)
        self.bases = {
            tap: torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
            for tap, width in WIDTHS.items()
        }

    @property
    def channels(self) -> Mapping[str, int]:
        return WIDTHS

    def forward(self, pictures: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        found = self.inner(pictures, wanted)
        return {
            tap: torch.einsum("ij,bjhw->bihw", self.bases[tap], features)
            for tap, features in found.items()
        }


class PaddedFeatures(nn.Module):
    """Another network's activations with silent components added, or says it has more filters."""

    def __init__(self, inner: nn.Module, *, extra: int) -> None:
        super().__init__()
        self.inner = inner
        self.extra = extra

    @property
    def channels(self) -> Mapping[str, int]:
        return {tap: width + self.extra for tap, width in WIDTHS.items()}

    def forward(self, pictures: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.inner(pictures, wanted)
        return found
