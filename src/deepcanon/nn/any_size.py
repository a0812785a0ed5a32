"""The form of a network for export whose pictures may have any size."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class AnySize(nn.Module):
    """A network that takes pictures of any size, said to be so for the export."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        """As of the network."""
        scores: Tensor = self.net(pictures)
        return scores
