# SPDX-License-Identifier: Apache-2.0
"""One rank of data-parallel fine-tuning of EfficientNet-Lite0 by PyTorch's DDP on gloo.

    ddp_gloo.py --rank 0 --ranks 2 --master 10.77.0.1 --interface wire [--batch 32] [--steps 6] [--threads 1]

As Thaw does it: all layers train, batch norms are frozen, SGD with momentum. The images are random and lie in memory
before anything is timed: reading photos costs PyTorch nothing here. Rank 0 prints JSON: images a second of all ranks
together, the best of the timed steps.
"""

import argparse
import json
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--rank", type=int, required=True)
parser.add_argument("--ranks", type=int, required=True)
parser.add_argument("--master", default="127.0.0.1")
parser.add_argument("--port", default="29517")
parser.add_argument("--interface", default="lo")
parser.add_argument("--batch", type=int, default=32, help="images of a step, of all ranks together")
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

os.environ["GLOO_SOCKET_IFNAME"] = options.interface
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import timm
import torch
import torch.distributed

torch.set_num_threads(options.threads)
torch.manual_seed(1)
if options.ranks > 1:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://{options.master}:{options.port}", rank=options.rank,
        world_size=options.ranks)
model = timm.create_model("efficientnet_lite0", num_classes=2).to(memory_format=torch.channels_last)
model.train()
for module in model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad = False
network = torch.nn.parallel.DistributedDataParallel(model) if options.ranks > 1 else model
optimizer = torch.optim.SGD(
    [parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-3, momentum=0.9)
share = options.batch // options.ranks
images = torch.randn(share, 3, 224, 224).to(memory_format=torch.channels_last)
labels = torch.arange(share) % 2
times = []
for step in range(options.steps + 2):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    optimizer.step()
    times.append(time.perf_counter() - start)
if options.rank == 0:
    best = min(times[2:])
    print(json.dumps({
        "torch": torch.__version__, "ranks": options.ranks, "batch": options.batch,
        "step_seconds": best, "images_per_second": options.batch / best}))
if options.ranks > 1:
    torch.distributed.destroy_process_group()
