"""Local response normalisation (Krizhevsky, Sutskever & Hinton, NeurIPS 2012, §3.3).

``b_i = a_i / (k + alpha * sum_j a_j ** 2) ** beta`` over the ``size`` channels around ``i``. The
paper multiplies the *sum* by alpha; Caffe and PyTorch multiply the *mean*, that is alpha / size.
Both are here by name: `local_response_norm` (paper) and `averaged_response_norm` (PyTorch).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# §3.3: "we used k = 2, n = 5, alpha = 1e-4, and beta = 0.75"
SIZE, ALPHA, BETA, K = 5, 1e-4, 0.75, 2.0


def local_response_norm(
    x: Float[Tensor, "b c *hw"],
    *,
    size: int = SIZE,
    alpha: float = ALPHA,
    beta: float = BETA,
    k: float = K,
) -> Float[Tensor, "b c *hw"]:
    """Normalise over ``size`` adjacent channels as the paper writes it: alpha times the sum.

    At the first and last channels the window is cut off, as in the paper's min and max limits.
    """
    squares = functional.pad(x.square().movedim(1, -1), (size // 2, (size - 1) // 2))
    channels = x.shape[1]
    # As many slices as the window has channels, added: fewer passes over the map than torch makes.
    total = squares[..., :channels]
    for shift in range(1, size):
        total = total + squares[..., shift : shift + channels]
    return x * (k + alpha * total.movedim(-1, 1)).pow(-beta)


def averaged_response_norm(
    x: Float[Tensor, "b c *hw"],
    *,
    size: int = SIZE,
    alpha: float = ALPHA,
    beta: float = BETA,
    k: float = K,
) -> Float[Tensor, "b c *hw"]:
    """The variant of Caffe and PyTorch: alpha times the mean of the squares in the window.

    At the edge the window keeps its size: the zeros beyond count.
    """
    return local_response_norm(x, size=size, alpha=alpha / size, beta=beta, k=k)


class LocalResponseNorm(nn.Module):
    """`local_response_norm` as a layer; it has no parameters."""

    def __init__(
        self, *, size: int = SIZE, alpha: float = ALPHA, beta: float = BETA, k: float = K
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
        """Shape in, shape out: [b, c, ...]."""
        return local_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)

    def extra_repr(self) -> str:
        """The four constants, for ``print(net)``."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
