#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixture that compares the training of whole architectures with PyTorch's.

    python Tools/parity_training.py Tests/BackbonesTests/Fixtures

EfficientNet-Lite0 (timm), ResNet-18 and -50 (torchvision) train ten steps of SGD with momentum in
PyTorch, in double precision, on small images, their first layer groups frozen, in every batch-norm
mode. Parameters and images are procedural (see parity_network.py), with the last scale before each
residual addition made smaller, so that activations neither grow nor vanish. Stored are, per
architecture and mode: the losses, of every gradient of the first step its norm and its projections
onto four vectors that a formula gives, and the same of every running statistic after the last step.
A wrong gradient cannot have the right projections; no gradient need be stored.

Single precision cannot always follow: a number that rounding moves to the other side of a
rectifier's zero changes the gradients behind it, and batch statistics of few pixels multiply such
differences from step to step. With running statistics that is avoided: small scales and large
shifts keep every channel on one side (one in eight below zero). With the statistics of the batch it
cannot be: channels that are linear cancel in the next one. How far PyTorch's own single precision, in its two memory layouts, is
from its double precision is therefore stored too: nobody can be asked for less.

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


def lite0():
    import timm

    model = timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES, drop_rate=0.0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.01  # TensorFlow's 0.99; timm leaves PyTorch's default
    return model


# name: maker, side of the images, prefixes of the frozen parameters, suffix of the scales before
# additions and what they are multiplied by, learning rate.
ARCHITECTURES = {
    "efficientnet_lite0": (
        lite0, 64, ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.", "blocks.2."), ".bn3.weight",
        0.5, 2e-3),
    "resnet18": (
        lambda: resnet("resnet18"), 48, ("conv1.", "bn1.", "layer1.", "layer2."),
        ".bn2.weight", 0.2, 2e-4),
    "resnet50": (
        lambda: resnet("resnet50"), 40, ("conv1.", "bn1.", "layer1.", "layer2."),
        ".bn3.weight", 0.2, 2e-4),
}


# Of each mode: what scales are multiplied by, what is added to shifts, and the factor of the rate.
CALM = {"inference": (0.05, 3.0, 0.1)}
WILD = (1.0, 0.0, 1.0)


def initialise(model, suffix, factor, scale, shift):
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
            if layer in norms and kind == "weight":
                value = (value.float() * scale).double()
            if layer in norms and kind == "bias":
                signs = torch.where(torch.arange(shape[0]) % 8 == 0, -1.0, 1.0)
                value = (value.float() + signs * shift).double()
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


def summary(tensor):
    flat = tensor.detach().double().numpy().reshape(-1)
    index = np.arange(1, flat.size + 1, dtype=np.float64)
    parts = [index * step for step in PROJECTIONS]
    vectors = [2 * (part - np.floor(part)) - 1 for part in parts]
    return [float(np.linalg.norm(flat))] + [float(flat @ v) for v in vectors]


def run(name, mode, dtype=torch.float64, layout=torch.contiguous_format):
    """Losses, gradients of the first step, running statistics after the last."""
    make, side, frozen, suffix, factor, rate = ARCHITECTURES[name]
    scale, shift, slower = CALM.get(mode, WILD)
    model = make().double()
    initialise(model, suffix, factor, scale, shift)
    freeze(model, frozen, mode)
    model = model.to(dtype).to(memory_format=layout)
    trained = {p: t for p, t in model.named_parameters() if t.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=rate * slower, momentum=MOMENTUM)
    losses, gradients = [], {}
    for step in range(STEPS):
        x = procedural(f"input.{step}", (BATCH, 3, side, side), 0.0, 1.5).to(dtype)
        labels = torch.tensor([(step + row) % CLASSES for row in range(BATCH)])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = {path: tensor.grad.double().clone() for path, tensor in trained.items()}
        optimizer.step()
    statistics = {p: t.clone() for p, t in model.named_buffers() if "running" in p}
    return losses, gradients, statistics


def single_precision(name, mode, losses, gradients):
    """How far Float32 is from double: the largest error of a loss, of a gradient over its norm."""
    floor = 1e-3 * max(gradient.norm().item() for gradient in gradients.values())
    worst = [0.0, 0.0]
    for layout in (torch.contiguous_format, torch.channels_last):
        own_losses, own, _ = run(name, mode, torch.float32, layout)
        worst[0] = max([worst[0]] + [abs(a - b) for a, b in zip(own_losses, losses)])
        worst[1] = max([worst[1]] + [
            ((own[path] - gradient).norm() / gradient.norm().clamp_min(floor)).item()
            for path, gradient in gradients.items()])
    return worst


def record(name, mode):
    losses, gradients, statistics = run(name, mode)
    own = single_precision(name, mode, losses, gradients)

    def rounded(values):
        return [float(f"{value:.10g}") for value in values]

    scale, shift, slower = CALM.get(mode, WILD)
    return {
        "scale": scale, "shift": shift, "learningRate": ARCHITECTURES[name][5] * slower,
        "losses": losses, "singlePrecision": {"losses": own[0], "gradients": own[1]},
        "gradients": {path: rounded(summary(tensor)) for path, tensor in gradients.items()},
        "statistics": {path: rounded(summary(tensor)) for path, tensor in statistics.items()}}


def main():
    folder = Path(sys.argv[1])
    networks = {}
    for name, (_, side, _, suffix, factor, _) in ARCHITECTURES.items():
        modes = {}
        for mode in MODES:
            modes[mode] = record(name, mode)
            losses = [round(loss, 4) for loss in modes[mode]["losses"]]
            print(name, mode, losses, modes[mode]["singlePrecision"], flush=True)
        networks[name] = {
            "size": side, "suffix": suffix, "factor": factor, "modes": modes}
    path = folder / "training_parity.json"
    path.write_text(json.dumps(
        {"batch": BATCH, "momentum": MOMENTUM, "networks": networks}, separators=(",", ":")))


if __name__ == "__main__":
    main()
