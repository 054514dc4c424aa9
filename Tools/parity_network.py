#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixtures that compare Thaw's training with PyTorch's.

    python Tools/parity_network.py Tests/ExecutionTests/Fixtures

Two small networks run in PyTorch, in double precision, in every batch-norm mode. Their parameters
and inputs are procedural (a formula of path and index: `procedural` here, `Tensor.procedural` in
Sources/Network), so only results are stored:

    parity_NETWORK.json   per mode: losses of ten SGD steps, and where each array lies in the .f32
    parity_NETWORK.f32    little-endian Float32: logits, gradients, statistics after the ten steps

Needs torch and numpy.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

PROCEDURAL = 6  # RandomPurpose.procedural
LEARNING_RATE = 0.05
STEPS = 10
MODES = ["inference", "training", "batchStatistics", "staleUpdate"]


def philox(counter, key):
    """Philox-4x32-10 (Salmon et al. 2011) for arrays of counters: uint64 arrays holding 32 bits."""
    mask = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        low = np.uint64(0xD2511F53) * c0
        high = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (high >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            high & mask,
            (low >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            low & mask,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def procedural(path, shape, centre=0.0, spread=1.0):
    """centre + spread * v, v uniform in [-1, 1), rounded to Float32, as a double tensor."""
    seed = 0xCBF29CE484222325
    for byte in path.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    count = math.prod(shape)
    unit = np.empty((count + 1) // 2 * 2)
    for start in range(0, len(unit) // 2, 1 << 18):  # in pieces that stay in the cache
        blocks = np.arange(start, min(start + (1 << 18), len(unit) // 2), dtype=np.uint64)
        zero = np.zeros_like(blocks)
        words = philox(
            (blocks, zero, zero + np.uint64(PROCEDURAL << 24), zero),
            (seed & 0xFFFFFFFF, seed >> 32),
        )
        # The upper 24 of each 64 bits.
        bits = np.stack([words[1], words[3]], axis=1).reshape(-1) >> np.uint64(8)
        unit[2 * start : 2 * start + len(bits)] = bits.astype(np.float64) * 2.0**-24
    unit = unit[:count]
    values = (centre + spread * (2 * unit - 1)).astype(np.float32).astype(np.float64)
    return torch.from_numpy(values.reshape(shape))


class Network:
    """A functional network that makes its parameters when a layer is first used."""

    def __init__(self, mode):
        self.mode = mode
        self.parameters = {}  # path -> tensor, in order of first use
        self.statistics = {}

    def parameter(self, path, shape, role):
        fan_in = math.prod(shape[1:])
        centre, spread = {
            "weight": (0.0, math.sqrt(6 / fan_in)),
            "scale": (1.0, 0.3),
            "shift": (0.0, 0.2),
            "mean": (0.0, 0.3),
            "variance": (1.0, 0.5),
        }[role]
        store = self.statistics if role in ("mean", "variance") else self.parameters
        if path not in store:
            tensor = procedural(path, shape, centre, spread)
            # A batch norm sets this to what its mode says for its own two.
            tensor.requires_grad_(store is self.parameters)
            store[path] = tensor
        return store[path]

    def conv(self, path, x, outputs, kernel, bias=False, groups=1, same=False, **options):
        weight = self.parameter(f"{path}.weight", (outputs, x.shape[1] // groups, kernel, kernel), "weight")
        shift = self.parameter(f"{path}.bias", (outputs,), "shift") if bias else None
        pad = options.pop("pad", None)  # left, right, top, bottom
        if same:
            pad = same_padding(x, kernel, options.get("stride", 1))
        if pad is not None:
            x = F.pad(x, pad)
        return F.conv2d(x, weight, shift, groups=groups, **options)

    def norm(self, path, x):
        channels = (x.shape[1],)
        scale = self.parameter(f"{path}.weight", channels, "scale")
        shift = self.parameter(f"{path}.bias", channels, "shift")
        mean = self.parameter(f"{path}.running_mean", channels, "mean")
        variance = self.parameter(f"{path}.running_var", channels, "variance")
        affine = self.mode == "training"
        scale.requires_grad_(affine)
        shift.requires_grad_(affine)
        moves = self.mode in ("training", "staleUpdate")
        return F.batch_norm(
            x, mean, variance, scale, shift, training=self.mode != "inference",
            momentum=0.2 if moves else 0.0, eps=1e-3)

    def dense(self, path, x, outputs, bias=True):
        weight = self.parameter(f"{path}.weight", (outputs, x.shape[1]), "weight")
        shift = self.parameter(f"{path}.bias", (outputs,), "shift") if bias else None
        return F.linear(x, weight, shift)


def same_padding(x, kernel, stride):
    """TensorFlow's "same" as (left, right, top, bottom)."""
    amounts = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        amounts += [total // 2, total - total // 2]
    return amounts


def residual(net, x):
    x = net.conv("stem.conv", x, 8, 3, stride=2, same=True)
    stem = F.relu6(net.norm("stem.bn", x))
    x = net.conv("block1.dw", stem, 8, 3, groups=8, same=True)
    x = F.relu6(net.norm("block1.bn1", x))
    x = net.conv("block1.pw", x, 8, 1)
    first = stem + net.norm("block1.bn2", x)
    x = net.conv("block2.conv", first, 12, 3, stride=2, padding=1, groups=4, bias=True)
    x = F.silu(net.norm("block2.bn", x))
    projected = net.norm("block2.down_bn", net.conv("block2.down", first, 12, 1, stride=2))
    x = F.relu(x + projected)
    x = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
    x = x.mean((2, 3))
    x = F.relu(net.norm("bn", net.dense("fc1", x, 10)))
    return net.dense("fc", x, 5)


def inception(net, x):
    x = net.conv("conv", x, 6, 3, bias=True, pad=(2, 0, 1, 3), dilation=2, stride=(1, 2))
    stem = F.relu(net.norm("bn", x))
    a = torch.sigmoid(net.conv("a.conv", stem, 4, 1, bias=True))
    b = net.conv("b.conv", F.avg_pool2d(stem, 3, 1, 1, count_include_pad=False), 4, 1)
    c = net.conv("c.conv", F.avg_pool2d(stem, 3, 1, 1), 3, 3, same=True)
    x = net.norm("join_bn", torch.cat([a, b, c], 1))
    x = torch.cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], 1).flatten(1)
    return net.dense("fc", net.norm("head_bn", x), 4, bias=False)


NETWORKS = {
    "residual": (residual, (6, 3, 15, 17), 5),
    "inception": (inception, (5, 3, 11, 12), 4),
}


def run(forward, shape, classes, mode, keep):
    """One mode: logits and gradients of step 0, losses of all steps, statistics at the end."""
    net = Network(mode)
    losses = []
    for step in range(STEPS):
        x = procedural(f"input.{step}", shape)
        labels = torch.tensor([(step + row) % classes for row in range(shape[0])])
        logits = forward(net, x)
        loss = F.cross_entropy(logits, labels)
        losses.append(loss.item())
        loss.backward()
        if step == 0:
            keep("logits", logits)
            for path, tensor in net.parameters.items():
                if tensor.grad is not None:
                    keep(f"gradient {path}", tensor.grad)
        with torch.no_grad():
            for tensor in net.parameters.values():
                if tensor.grad is not None:
                    tensor -= LEARNING_RATE * tensor.grad
                    tensor.grad = None
    for path, tensor in net.statistics.items():
        keep(f"after {path}", tensor)
    return losses


def main():
    folder = Path(sys.argv[1])
    for name, (forward, shape, classes) in NETWORKS.items():
        values, record = [], {"input": shape, "learningRate": LEARNING_RATE, "modes": {}}
        for mode in MODES:
            arrays = {}

            def keep(key, tensor):
                flat = tensor.detach().numpy().astype("<f4").reshape(-1)
                arrays[key] = [sum(len(v) for v in values), len(flat)]
                values.append(flat)

            losses = run(forward, shape, classes, mode, keep)
            record["modes"][mode] = {"losses": losses, "arrays": arrays}
            print(name, mode, [round(loss, 5) for loss in losses])
        (folder / f"parity_{name}.f32").write_bytes(np.concatenate(values).tobytes())
        (folder / f"parity_{name}.json").write_text(json.dumps(record, separators=(",", ":")))


if __name__ == "__main__":
    main()
