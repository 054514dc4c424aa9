# SPDX-License-Identifier: Apache-2.0
"""Pixels in memory to features: PyTorch eager, channels_last, batch norm in inference; with PRECISION=bf16
under autocast to bfloat16."""

import os

import numpy
import torch

import contender
import networks

options = contender.options()
torch.set_num_threads(options.threads)
model = networks.load(options.network, options.work)
halved = os.environ.get("PRECISION") == "bf16"
pixels = torch.from_numpy(
    numpy.fromfile(os.path.join(options.work, "pixels.f32"), "<f4").reshape(-1, 3, 224, 224))
batches = [
    batch.contiguous(memory_format=torch.channels_last) for batch in pixels.split(options.batch)]


def run_round():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
        for index in range(options.images // options.batch):
            model(batches[index % len(batches)])
    return options.images // options.batch * options.batch


def output():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
        return torch.cat([model(batch) for batch in batches]).float().numpy()


contender.serve(f"PyTorch {torch.__version__} eager, channels_last" + (", bfloat16" if halved else ""), run_round, output)
