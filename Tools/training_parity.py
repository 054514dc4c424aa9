#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixture that compares the training of whole architectures with PyTorch's.

    python Tools/training_parity.py Tests/BackbonesTests/Fixtures

ResNet-18 and -50 (torchvision) train ten steps of SGD with momentum in
PyTorch, in double precision, on small images, their first layer groups frozen, in every batch-norm
mode. Parameters and images are procedural (see parity_network.py), with the last scale before each
residual addition made smaller, so that activations neither grow nor vanish. Stored are, per architecture
and mode: the losses, and of every gradient of the first step its norm and its projections onto four
vectors that a formula gives. A wrong gradient cannot have the right projections; no gradient need be
stored.

Needs torch, torchvision, timm and numpy.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from parity_network import MODES, procedural

STEPS = 10
BATCH = 4
MOMENTUM = 0.9
CLASSES = 5
# Irrational steps of the projections' vectors: v[i] = 2 * frac((i + 1) * step) - 1.
PROJECTIONS = [math.sqrt(2), math.sqrt(3), math.sqrt(5), math.sqrt(7)]


def resnet(name):
    import torchvision

    return getattr(torchvision.models, name)(num_classes=CLASSES)


# name: maker, side of the images, prefixes of the frozen parameters, suffix of the scales before
# additions and what they are multiplied by, learning rate.
ARCHITECTURES = {
    "resnet18": (
        lambda: resnet("resnet18"), 48, ("conv1.", "bn1.", "layer1.", "layer2."),
        ".bn2.weight", 0.2, 2e-4),
    "resnet50": (
        lambda: resnet("resnet50"), 40, ("conv1.", "bn1.", "layer1.", "layer2."),
        ".bn3.weight", 0.2, 2e-4),
}


def initialise(model, suffix, factor):
    """Procedural parameters, as Parameters.procedural(for:) in Sources/Network makes them."""
    norms = {n for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    with torch.no_grad():
        for path, tensor in model.state_dict().items():
            layer, kind = path.rsplit(".", 1)
            if kind == "num_batches_tracked":
                continue
            shape = tuple(tensor.shape)
            if kind == "running_mean":
                value = procedural(path, shape, 0.0, 0.3)
            elif kind == "running_var":
                value = procedural(path, shape, 1.0, 0.5)
            elif layer in norms:
                value = procedural(path, shape, *((1.0, 0.3) if kind == "weight" else (0.0, 0.2)))
            elif kind == "weight":
                value = procedural(path, shape, 0.0, math.sqrt(6 / math.prod(shape[1:])))
            else:
                value = procedural(path, shape, 0.0, 0.2)
            if layer in norms and path.endswith(suffix) and path.count(".") > 1:
                value = (value.float() * factor).double()
            tensor.copy_(value)


def freeze(model, frozen, mode):
    """Freezes parameters by prefix and sets every batch norm to `mode`; see BatchNormMode."""
    for path, tensor in model.named_parameters():
        tensor.requires_grad_(not path.startswith(frozen))
    model.train()
    for path, module in model.named_modules():
        if not isinstance(module, torch.nn.BatchNorm2d):
            continue
        affine = mode == "training"
        module.weight.requires_grad_(affine)
        module.bias.requires_grad_(affine)
        if mode == "inference":
            module.eval()
        elif mode == "batchStatistics":
            module.momentum = 0.0


def summary(gradient):
    flat = gradient.detach().numpy().reshape(-1)
    index = np.arange(1, flat.size + 1, dtype=np.float64)
    parts = [index * step for step in PROJECTIONS]
    vectors = [2 * (part - np.floor(part)) - 1 for part in parts]
    return [float(f"{v:.9g}") for v in [np.linalg.norm(flat)] + [flat @ v for v in vectors]]


def run(name, mode):
    make, side, frozen, suffix, factor, rate = ARCHITECTURES[name]
    model = make().double()
    initialise(model, suffix, factor)
    freeze(model, frozen, mode)
    trained = {p: t for p, t in model.named_parameters() if t.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=rate, momentum=MOMENTUM)
    losses, gradients = [], {}
    for step in range(STEPS):
        x = procedural(f"input.{step}", (BATCH, 3, side, side), 0.0, 1.5)
        labels = torch.tensor([(step + row) % CLASSES for row in range(BATCH)])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = {path: summary(tensor.grad) for path, tensor in trained.items()}
        optimizer.step()
    return {"losses": losses, "gradients": gradients}


def main():
    folder = Path(sys.argv[1])
    record = {
        "batch": BATCH, "momentum": MOMENTUM, "networks": {}}
    for name, (_, side, _, suffix, factor, rate) in ARCHITECTURES.items():
        modes = {}
        for mode in MODES:
            modes[mode] = run(name, mode)
            losses = [round(loss, 4) for loss in modes[mode]["losses"]]
            print(name, mode, losses, len(modes[mode]["gradients"]), flush=True)
        record["networks"][name] = {"size": side, "suffix": suffix, "factor": factor, "learningRate": rate,
            "modes": modes}
    path = folder / "training_parity.json"
    path.write_text(json.dumps(record, separators=(",", ":")))


if __name__ == "__main__":
    main()
