#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the logits of fastai's ResNet-18 with its own classifier, in double precision.

    python Tools/parity_fastai.py

Parameters are procedural (`procedural` in parity_network.py) under fastai's own names, so the numbers
are all that `Tests/BackbonesTests/ConcatPoolTests.swift` has to know.

Needs torch, torchvision and fastai.
"""
import math

import torch
import torchvision
from fastai.vision.all import create_vision_model

from parity_network import procedural

SIZE = (64, 64)


def value(path, shape):
    leaf = path.rsplit(".", 1)[1]
    centre, spread = {
        "weight": (1.0, 0.3) if len(shape) == 1 else (0.0, math.sqrt(6 / math.prod(shape[1:]))),
        "bias": (0.0, 0.2), "running_mean": (0.0, 0.3), "running_var": (1.0, 0.5),
    }[leaf]
    factor = 0.2 if path.endswith("bn2.weight") else 1.0
    return procedural(path, tuple(shape), centre, spread) * factor


def main():
    model = create_vision_model(torchvision.models.resnet18, 3, pretrained=False).double().eval()
    with torch.no_grad():
        for path, tensor in model.state_dict().items():
            if not path.endswith("num_batches_tracked"):
                tensor.copy_(value(path, tensor.shape))
        print(model(procedural("input.64x64", (2, 3, *SIZE))).tolist())


if __name__ == "__main__":
    main()
