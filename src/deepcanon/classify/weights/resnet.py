"""Where torchvision's ImageNet weights for ResNets lie. Their keys are those of our networks."""

from __future__ import annotations

from deepcanon.classify.weights.official import Official
from deepcanon.nn.preprocessing import TORCHVISION

_SITE = "https://download.pytorch.org/models/"

# IMAGENET1K_V1, trained nearly as in the paper. There is a V2 of the three deep ones, trained for
# 600 epochs with label smoothing, mixup, cutmix and EMA: another recipe, not the paper's result.
IMAGENET = {
    "resnet18": Official(
        url=_SITE + "resnet18-f37072fd.pth",
        sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        preprocessing=TORCHVISION,
    ),
    "resnet34": Official(
        url=_SITE + "resnet34-b627a593.pth",
        sha256="b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        preprocessing=TORCHVISION,
    ),
    "resnet50": Official(
        url=_SITE + "resnet50-0676ba61.pth",
        sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        preprocessing=TORCHVISION,
    ),
    "resnet101": Official(
        url=_SITE + "resnet101-63fe2227.pth",
        sha256="63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
        preprocessing=TORCHVISION,
    ),
    "resnet152": Official(
        url=_SITE + "resnet152-394f9c45.pth",
        sha256="394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
        preprocessing=TORCHVISION,
    ),
}
