#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Feature extraction in PyTorch and ONNX Runtime, for comparison: images per second as JSON.

    python3 Benchmarks/peers/features.py --network lite0 --threads 2 --rounds 9 [--with COMMAND]

Pixels are in memory, float32, batch 32 at 224 x 224; networks end with their global pooling and have
random weights. PyTorch runs eagerly, channels_last, in inference mode; ONNX Runtime runs the graph
exported by PyTorch with all optimisations. The runners take turns within each round, so that a slow
moment of the machine hits all of them; medians are printed, and ratios of the medians.

COMMAND joins the turns: a program that, for each line it reads, extracts the features of 32 images
once and prints images per second on a line.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time

import torch
from torch import nn


class Same(nn.Module):
    """TensorFlow's "same" padding for a fixed input size: the odd pixel goes below and right."""

    def __init__(self, kernel, stride, size):
        super().__init__()
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + kernel - size, 0)
        before = total // 2
        self.amounts = (before, total - before, before, total - before)

    def forward(self, x):
        return nn.functional.pad(x, self.amounts)


def conv_same(inputs, outputs, kernel, stride, size, groups=1):
    if stride == 1 or kernel == 1:
        return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)]
    return [
        Same(kernel, stride, size),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False),
    ]


def bn(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion, size):
        super().__init__()
        width = inputs * expansion
        layers = []
        if expansion > 1:
            layers += [nn.Conv2d(inputs, width, 1, bias=False), bn(width), nn.ReLU6(inplace=True)]
        layers += conv_same(width, width, kernel, stride, size, groups=width)
        layers += [bn(width), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(width, outputs, 1, bias=False), bn(outputs)]
        self.body = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


def lite0(size=224):
    layers = conv_same(3, 32, 3, 2, size) + [bn(32), nn.ReLU6(inplace=True)]
    size = -(-size // 2)
    for repeats, kernel, stride, expansion, inputs, outputs in [
        (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
        (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
    ]:
        for block in range(repeats):
            step = stride if block == 0 else 1
            source = inputs if block == 0 else outputs
            layers.append(InvertedResidual(source, outputs, kernel, step, expansion, size))
            size = -(-size // step)
    layers += [nn.Conv2d(320, 1280, 1, bias=False), bn(1280), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        norm = nn.BatchNorm2d
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), norm(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), norm(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width * 4, 1, bias=False), norm(width * 4))
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != width * 4:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, width * 4, 1, stride, bias=False), norm(width * 4))

    def forward(self, x):
        return torch.relu_(self.body(x) + self.shortcut(x))


def resnet50():
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for index, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if block == 0 and index > 0 else 1))
            inputs = width * 4
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))


def torch_runner(network, pixels):
    network = network.to(memory_format=torch.channels_last)
    pixels = pixels.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            network(pixels)

    return run


def onnx_runner(network, pixels, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        torch.onnx.export(network, (pixels,), path, dynamo=False)
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"])
    values = pixels.numpy()
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: values})


def command_runner(command):
    process = subprocess.Popen(
        shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def speed():
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return speed


def timed(run, images):
    def speed():
        start = time.perf_counter()
        run()
        return images / (time.perf_counter() - start)

    return speed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["lite0", "resnet50"], default="lite0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--with", dest="command", help="a program that joins the turns")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    network = (lite0() if options.network == "lite0" else resnet50()).eval()
    pixels = torch.rand(options.batch, 3, 224, 224) * 2 - 1
    runners = {"onnxruntime": timed(onnx_runner(network, pixels, options.threads), options.batch)}
    runners["torch"] = timed(torch_runner(network, pixels), options.batch)
    if options.command:
        runners["command"] = command_runner(options.command)
    speeds = {name: [] for name in runners}
    for turn in range(options.rounds + 1):
        for name, speed in runners.items():
            value = speed()
            if turn > 0:  # the first turn warms up
                speeds[name].append(value)
    medians = {name: round(statistics.median(values), 2) for name, values in speeds.items()}
    result = {"network": options.network, "threads": options.threads, "batch": options.batch,
              "rounds": options.rounds, "images_per_second": medians}
    if options.command:
        result["ratio"] = {name: round(medians["command"] / medians[name], 3)
                           for name in medians if name != "command"}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
