"""Convolution, batch normalisation, ReLU: what Inception networks from v2 on are made of."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

Size = int | tuple[int, int]


def conv_norm(
    into: int,
    out: int,
    *,
    kernel: Size,
    stride: int = 1,
    padding: Size = 0,
    eps: float = 1e-3,
) -> nn.Sequential:
    """``conv`` without bias, ``norm``, ``relu``: [b, into, h, w] -> [b, out, h2, w2].

    No bias: the norm takes the mean away and adds a shift of its own (S. Ioffe, C. Szegedy, ICML
    2015, arXiv:1502.03167, §3.2). ``eps`` is that of the authors' code for Inception.
    """
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(into, out, kernel, stride=stride, padding=padding, bias=False),
            norm=nn.BatchNorm2d(out, eps=eps),
            relu=nn.ReLU(inplace=True),
        )
    )
