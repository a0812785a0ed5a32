"""Muon: what a step is, beside what a singular value decomposition and torch's Adam say."""

import copy

import pytest
import torch
from torch import nn

from deepcanon.training.muon import MOMENTUM, Muon, orthogonalised


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8), (1, 5), (5, 1)])
def test_all_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = torch.linalg.svdvals(orthogonalised(matrix))
    assert found.min() > 0.3 and found.max() < 1.3
    # The directions stay: U' X V of the given matrix is diagonal, and positive.
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonalised(matrix) @ v.T
    assert torch.allclose(turned, torch.diag(turned.diagonal()), atol=1e-4)
    assert (turned.diagonal() > 0).all()


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_one_step_by_hand() -> None:
    # A kernel of one weight: whatever the gradient, the quintic takes 1 to the same value.
    weight = nn.Parameter(torch.tensor([[[[2.0]]]]))
    a, b, c = 3.4445, -4.7750, 2.0315
    x = 1.0
    for _ in range(5):
        x = a * x + b * x**3 + c * x**5
    optimizer = Muon([weight], lr=0.5)
    weight.grad = torch.full_like(weight, 123.0)
    optimizer.step()
    assert weight.item() == pytest.approx(2 - 0.5 * x, abs=1e-5)
    assert optimizer.state[weight]["momentum"].item() == 123
    weight.grad = torch.full_like(weight, -1.0)
    optimizer.step()  # the momentum, 0.95 * 123 - 1, still points the same way
    assert optimizer.state[weight]["momentum"].item() == pytest.approx(MOMENTUM * 123 - 1)
    assert weight.item() == pytest.approx(2 - x, abs=1e-5)


def test_a_tall_kernel_steps_further() -> None:
    tall, wide = nn.Parameter(torch.zeros(32, 2, 1, 1)), nn.Parameter(torch.zeros(2, 32, 1, 1))
    gradient = torch.randn(32, 2, generator=torch.Generator().manual_seed(1))
    tall.grad, wide.grad = gradient[:, :, None, None], gradient.T[:, :, None, None].clone()
    Muon([tall, wide], lr=1.0).step()
    assert torch.allclose(tall.data[..., 0, 0], 4 * wide.data[..., 0, 0].T, atol=1e-5)


def test_all_else_is_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(2)
    start = [torch.randn(shape, generator=generator) for shape in ((7,), (3, 5))]
    ours = [nn.Parameter(one.clone()) for one in start]
    theirs = [nn.Parameter(one.clone()) for one in start]
    optimizers = Muon(ours, lr=0.03), torch.optim.Adam(theirs, lr=0.03)
    for _ in range(20):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_its_state_can_be_saved_and_goes_on_to_the_last_bit() -> None:
    def run(net: nn.Module, optimizer: Muon, first: int, last: int) -> None:
        for step in range(first, last):
            torch.manual_seed(step)
            optimizer.zero_grad()
            net(torch.randn(2, 3, 6, 6)).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3))
    again = copy.deepcopy(net)
    optimizer = Muon(net.parameters(), lr=0.05)
    run(net, optimizer, 0, 6)
    half = Muon(again.parameters(), lr=0.05)
    run(again, half, 0, 3)
    resumed = Muon(again.parameters(), lr=0.05)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    run(again, resumed, 3, 6)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_closure_computes_the_gradients() -> None:
    weight = nn.Parameter(torch.ones(2))

    def closure() -> float:
        loss = weight.square().sum()
        loss.backward()
        return loss.item()

    assert Muon([weight], lr=0.1).step(closure) == 2
    assert torch.allclose(weight, torch.full((2,), 0.9), atol=1e-6)


def test_what_has_no_gradient_stays() -> None:
    weight = nn.Parameter(torch.ones(2, 2, 1, 1))
    Muon([weight], lr=0.1).step()
    assert torch.equal(weight, torch.ones(2, 2, 1, 1))
