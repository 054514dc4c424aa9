# SPDX-License-Identifier: Apache-2.0
"""Whole training steps (forward, loss, backward, SGD with momentum): PyTorch eager, channels_last.

Variants:
    frozen-bn     every convolution trains, batch norm stays in inference, its affine part is fixed
    training-bn   everything trains, batch norm uses batch statistics
    late          the last convolutional stages and the head train, the rest is frozen
    head          only the head trains
"""

import os

import numpy
import torch

import contender
import networks

# First child modules that belong to the last convolutional layer group.
LATE = {
    "efficientnet_lite0": ("network._blocks.11", "network._blocks.12", "network._blocks.13",
                           "network._blocks.14", "network._blocks.15", "network._conv_head",
                           "network._bn1"),
    "resnet50": ("network.layer4",),
    "vit_small_patch16_224": ("network.blocks.11", "network.norm"),
}

options = contender.options()
torch.set_num_threads(options.threads)
CLASSES = 10
trunk = networks.load(options.network, options.work)
head = torch.nn.Linear(networks.FEATURES[options.network], CLASSES)
pixels = torch.from_numpy(
    numpy.fromfile(os.path.join(options.work, "pixels.f32"), "<f4").reshape(-1, 3, 224, 224))
batches = [
    batch.contiguous(memory_format=torch.channels_last) for batch in pixels.split(options.batch)]
labels = torch.arange(options.batch) % CLASSES


def trains(name):
    """Whether the parameters of the module `name` have gradients."""
    if options.variant == "head":
        return False
    if options.variant == "late":
        return any(name == prefix or name.startswith(prefix + ".")
                   for prefix in LATE[options.network])
    return True


trunk.train()
for name, module in trunk.named_modules():
    is_norm = isinstance(module, torch.nn.BatchNorm2d)
    is_fixed = not trains(name) or (is_norm and options.variant != "training-bn")
    for parameter in module.parameters(recurse=False):
        parameter.requires_grad_(not is_fixed)
    if is_norm and options.variant != "training-bn":
        module.eval()
for name, parameter in trunk.named_parameters():
    # The published port keeps its own classifier; the features do not pass through it.
    if name.startswith("network._fc."):
        parameter.requires_grad_(False)

trainable = [p for p in [*trunk.parameters(), *head.parameters()] if p.requires_grad]
optimizer = torch.optim.SGD(trainable, lr=1e-4, momentum=0.9)
loss_function = torch.nn.CrossEntropyLoss()


def run_round():
    for index in range(options.images // options.batch):
        optimizer.zero_grad()
        loss_function(head(trunk(batches[index % len(batches)])), labels).backward()
        optimizer.step()
    return options.images // options.batch * options.batch


contender.serve(
    f"PyTorch {torch.__version__} eager, channels_last, {options.variant}", run_round)
