#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixture that compares EfficientNet and ConvNeXt with torchvision's, timm's and Keras's.

    python Tools/parity_modern.py Tests/BackbonesTests/Fixtures

The real networks run in double precision. Parameters and inputs are procedural (`procedural` in
parity_network.py, `Parameters.procedural` in Sources/Network), under the names that Thaw gives them, so
only results are stored:

    modern.json   per network: the logits of two images at each of two sizes, and for some a projection
                  and the norm of every gradient: [sum of gradient * probe, norm of the gradient]

`names` says under which names the parameters were made: the network's own where Thaw follows it
(`native`), or Thaw's for a network that names them differently (`published`).

Needs torch, torchvision, timm and numpy; keras for the Keras networks.
"""

import json
import math
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import nn

from parity_architectures import gradient_summaries, rounded
from parity_network import procedural

CLASSES = 20
IMAGES = 2
ROLES = {"weight": "scale", "bias": "shift", "running_mean": "mean", "running_var": "variance"}
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)


def values(path, shape, role, scale):
    """The parameter at `path`; the roles are those of `ParameterRole`.

    The scales of normalisations take a factor: without it forty gates of about one half would leave
    nothing of the image, and the logits would be those of the biases."""
    centre, spread = {
        "weight": (0.0, math.sqrt(6 / max(math.prod(shape[1:]), 1))),
        "scale": (scale, 0.3 * scale),
        "shift": (0.0, 0.2),
        "mean": (0.0, 0.3),
        "variance": (1.0, 0.5),
    }[role]
    return procedural(path, tuple(shape), centre, spread)


def fill(model, rename, scale):
    """Gives every parameter and statistic of a PyTorch module its procedural value."""
    with torch.no_grad():
        for prefix, module in model.named_modules():
            tensors = dict(module.named_parameters(recurse=False))
            tensors |= dict(module.named_buffers(recurse=False))
            for name, tensor in tensors.items():
                if name == "num_batches_tracked":
                    continue
                if name in ("layer_scale", "gamma"):
                    role = "scale"
                elif isinstance(module, NORMS) or name == "bias":
                    role = ROLES[name]
                else:
                    role = "weight"
                tensor.copy_(values(rename(f"{prefix}.{name}"), tensor.shape, role, scale))


def efficientnet_name(path):
    """torchvision's name of what timm calls `path`."""
    top = {"conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.8.0",
           "bn2": "features.8.1", "classifier": "classifier.1"}
    layer, leaf = path.rsplit(".", 1)
    if layer in top:
        return f"{top[layer]}.{leaf}"
    _, stage, index, layer = layer.split(".", 3)
    if stage == "0":
        names = ["conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"]
        own = ["0.0", "0.1", "1.fc1", "1.fc2", "2.0", "2.1"]
    else:
        names = ["conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand",
                 "conv_pwl", "bn3"]
        own = ["0.0", "0.1", "1.0", "1.1", "2.fc1", "2.fc2", "3.0", "3.1"]
    return f"features.{int(stage) + 1}.{index}.block.{own[names.index(layer)]}.{leaf}"


def convnext_name(path):
    """torchvision's name of what timm calls `path`."""
    for theirs, ours in {"stem.0": "features.0.0", "stem.1": "features.0.1",
                         "head.norm": "classifier.0", "head.fc": "classifier.2"}.items():
        if path.startswith(theirs + "."):
            return ours + path[len(theirs):]
    match = re.fullmatch(r"stages\.(\d)\.downsample\.(.*)", path)
    if match:
        return f"features.{2 * int(match[1])}.{match[2]}"
    _, stage, _, index, rest = path.split(".", 4)
    block = f"features.{2 * int(stage) + 1}.{index}"
    if rest == "gamma":
        return f"{block}.layer_scale"
    layer, leaf = rest.rsplit(".", 1)
    number = {"conv_dw": 0, "norm": 2, "mlp.fc1": 3, "mlp.fc2": 5}[layer]
    return f"{block}.block.{number}.{leaf}"


def regnet_name(path):
    """torchvision's name of what timm calls `path`."""
    for theirs, ours in {"stem.conv": "stem.0", "stem.bn": "stem.1", "head.fc": "fc"}.items():
        if path.startswith(theirs + "."):
            return ours + path[len(theirs):]
    stage, block, layer, rest = path[1:].split(".", 3)
    number = int(block[1:]) - 1
    if layer == "se":
        own = f"f.se.{rest}"
    else:
        kind, leaf = rest.split(".")
        part = {"conv1": "f.a", "conv2": "f.b", "conv3": "f.c", "downsample": "proj"}[layer]
        own = f"{part}.{0 if kind == 'conv' else 1}.{leaf}"
    return f"trunk_output.block{stage}.block{stage}-{number}.{own}"


def keras_name(layer):
    """timm's name of a layer of Keras's EfficientNet."""
    top = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2",
           "predictions": "classifier"}
    if layer in top:
        return top[layer]
    stage, index, kind = re.fullmatch(r"block(\d)([a-z])_(.*)", layer).groups()
    first = stage == "1"
    name = {
        "expand_conv": "conv_pw", "expand_bn": "bn1", "dwconv": "conv_dw",
        "bn": "bn1" if first else "bn2", "se_reduce": "se.conv_reduce",
        "se_expand": "se.conv_expand", "project_conv": "conv_pw" if first else "conv_pwl",
        "project_bn": "bn2" if first else "bn3",
    }[kind]
    return f"blocks.{int(stage) - 1}.{ord(index) - ord('a')}.{name}"


def torchvision_model(name):
    import torchvision.models as models

    return models.get_model(name, weights=None, num_classes=CLASSES, stochastic_depth_prob=0.0)


def timm_model(name):
    import timm

    return timm.create_model(name, num_classes=CLASSES)


def same(path):
    return path


# Thaw's name -> (who makes it, its name there, how its parameters are called by Thaw, scale factor).
NETWORKS = {
    "efficientnet_b0": (torchvision_model, "efficientnet_b0", same, 1.1),
    "efficientnet_b1": (torchvision_model, "efficientnet_b1", same, 1.05),
    "efficientnet_b2": (torchvision_model, "efficientnet_b2", same, 1.05),
    "convnext_tiny": (torchvision_model, "convnext_tiny", same, 1.0),
    "tf_efficientnet_b0": (timm_model, "tf_efficientnet_b0", same, 1.1),
    "tf_efficientnet_b2": (timm_model, "tf_efficientnet_b2", same, 1.05),
    "tf_efficientnetv2_b0": (timm_model, "tf_efficientnetv2_b0", same, 0.93),
    "tf_efficientnetv2_b2": (timm_model, "tf_efficientnetv2_b2", same, 0.85),
    "tf_efficientnetv2_s": (timm_model, "tf_efficientnetv2_s", same, 0.83),
    "efficientnet_lite0_timm": (timm_model, "efficientnet_lite0", same, 1.1),
    "efficientnetv2_rw_t": (timm_model, "efficientnetv2_rw_t", same, 0.83),
    "efficientnetv2_rw_s": (timm_model, "efficientnetv2_rw_s", same, 0.83),
    "regnetx_004": (timm_model, "regnetx_004", regnet_name, 0.75),
    "regnety_008": (timm_model, "regnety_008", regnet_name, 1.0),
    "efficientnet_b0 by timm": (timm_model, "efficientnet_b0", efficientnet_name, 1.1),
    "convnext_tiny by timm": (timm_model, "convnext_tiny", convnext_name, 1.0),
}
KERAS = {
    "efficientnet_b0_keras": ("EfficientNetB0", 1.1),
    "efficientnet_b1_keras": ("EfficientNetB1", 1.05),
}
SIZES = [(64, 64), (75, 67)]
GRADIENTS = ["efficientnet_b0", "convnext_tiny", "tf_efficientnet_b0", "tf_efficientnetv2_b0"]


def images(size):
    return procedural(f"input.{size[0]}x{size[1]}", (IMAGES, 3, *size))


def run_torch(name, make, own, rename, scale):
    model = make(own).double().eval()
    fill(model, rename, scale)
    with torch.no_grad():
        logits = [model(images(size)) for size in SIZES]
    gradients = {}
    if name in GRADIENTS:
        loss = (model(images(SIZES[0])) * procedural("loss", (IMAGES, CLASSES))).sum()
        gradients = gradient_summaries(model, loss, rename)
    tensors = sorted(path for path in model.state_dict() if "num_batches" not in path)
    return logits, gradients, tensors if rename is not same else []


def run_keras(own, scale):
    import keras

    keras.config.set_floatx("float64")
    logits = []
    for size in SIZES:
        keras.utils.clear_session()
        model = getattr(keras.applications, own)(
            weights=None, classes=CLASSES, input_shape=(*size, 3), classifier_activation=None)
        for layer in model.layers:
            # Its own preprocessing is part of Thaw's card, so here it does nothing.
            if type(layer).__name__ == "Rescaling":
                layer.scale, layer.offset = 1.0, 0.0
            elif type(layer).__name__ == "Normalization":
                layer.mean, layer.variance = 0.0 * layer.mean, 0.0 * layer.variance + 1
            elif layer.weights:
                layer.set_weights([keras_value(layer, v, scale) for v in layer.weights])
        output = model(images(size).permute(0, 2, 3, 1).contiguous(), training=False)
        logits.append(output.detach())
    return logits, {}, []


def keras_value(layer, variable, scale):
    """A variable of a Keras layer, in its layout, made from our parameter."""
    path, shape, kind = keras_name(layer.name), tuple(variable.shape), variable.name
    if kind == "kernel" and len(shape) == 4:
        depthwise = "Depthwise" in type(layer).__name__
        ours = (shape[2], 1, *shape[:2]) if depthwise else (shape[3], shape[2], *shape[:2])
        value = values(f"{path}.weight", ours, "weight", scale)
        return value.permute(2, 3, 0, 1) if depthwise else value.permute(2, 3, 1, 0)
    if kind == "kernel":
        return values(f"{path}.weight", (shape[1], shape[0]), "weight", scale).T
    name, role = {"bias": ("bias", "shift"), "gamma": ("weight", "scale"), "beta": ("bias", "shift"),
                  "moving_mean": ("running_mean", "mean"),
                  "moving_variance": ("running_var", "variance")}[kind]
    return values(f"{path}.{name}", shape, role, scale)


def main():
    file = Path(sys.argv[1]) / "modern.json"
    records = {}
    for name in [*NETWORKS, *KERAS]:
        if name in KERAS:
            logits, gradients, tensors = run_keras(*KERAS[name])
        else:
            logits, gradients, tensors = run_torch(name, *NETWORKS[name])
        records[name] = {
            "sizes": SIZES, "scale": (KERAS.get(name) or NETWORKS[name])[-1],
            "logits": [rounded(value.flatten().tolist()) for value in logits],
            "gradients": gradients, "tensors": tensors,
        }
        print(name, [f"{value.std():.3g}" for value in logits],
              [f"{(value[0] - value[1]).abs().mean():.3g}" for value in logits], flush=True)
    lines = [f"{json.dumps(name)}:{json.dumps(record, separators=(',', ':'))}"
             for name, record in records.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
