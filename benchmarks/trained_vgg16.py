"""A VGG16 with trained weights in a few minutes, for `bench_classifier.py --trained`.

By itself it takes rounds until a VGG16 begins to learn. Here each convolution has a batch norm
behind it while it is trained, which is folded into the convolution at the end: what is written is
a plain VGG16. 800 batches of 64 CIFAR-10 pictures take 9 minutes on two cores alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidebyside import THREADS, two_cores

RATE, WARMUP, BATCH, SIDE = 0.02, 50, 64, 32
SAY_EVERY = 50  # steps


def main(words: Sequence[str] | None = None) -> int:
    """Train, fold, write the `.onnx` file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="as of deepcanon train")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    wanted = parser.parse_args(words)
    two_cores()
    import torch

    from deepcanon.classify.recipes import RECIPES
    from deepcanon.classify.train import prepare, ship
    from deepcanon.core.record import Record
    from deepcanon.training import provenance

    torch.set_num_threads(THREADS)
    recipe = dataclasses.replace(
        RECIPES["classifier"],
        data=wanted.data,
        model="vgg16",
        side=SIDE,
        augmentation="cifar",
        ema_decay=0.0,
    )
    prepared = prepare(recipe, quiet=False)
    net: Any = prepared.task.net
    learn(net, prepared.samples, steps=wanted.steps)
    record = Record(
        model="vgg16",
        variant="torchvision",
        domain="classify",
        config={"num_classes": len(prepared.source.classes), "image_side": SIDE},
        labels=list(prepared.source.classes),
        preprocessing=prepared.preprocessing,
        licence="not stated; the rights in the pictures remain with their owners",
        recipe={"script": Path(__file__).name, "steps": wanted.steps},
        data=prepared.source.name,
        date=provenance.today(),
        hardware=provenance.hardware(),
        scores={},
    )
    print(ship(net, wanted.output.with_suffix(""), record=record, side=SIDE))
    return 0


def learn(net: Any, samples: Any, *, steps: int) -> None:
    """Train with batch norms, and fold them in; the network is as before but for its weights."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    places = [i for i, layer in enumerate(net.features) if isinstance(layer, nn.Conv2d)]
    for place in places:
        conv = net.features[place]
        net.features[place] = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))
    net.to(memory_format=torch.channels_last).train()
    loader = torch.utils.data.DataLoader(samples, batch_size=BATCH, sampler=range(steps * BATCH))
    optimizer = torch.optim.SGD(
        net.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    mean, began = 0.0, time.monotonic()
    for step, (pictures, labels) in enumerate(loader, 1):
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.param_groups[0]["lr"] = RATE * min(1, step / WARMUP) * cosine
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(pictures.contiguous(memory_format=torch.channels_last))
        loss = cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        mean += (loss.item() - mean) / min(step, SAY_EVERY)
        if step % SAY_EVERY == 0:
            each = (time.monotonic() - began) / step
            print(f"step {step}/{steps}  loss {mean:.3f}  {each:.2f} s a step", flush=True)
    net.eval()
    for place in places:
        net.features[place] = fuse_conv_bn_eval(*net.features[place])


if __name__ == "__main__":
    sys.exit(main())
