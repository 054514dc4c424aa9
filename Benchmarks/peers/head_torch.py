# SPDX-License-Identifier: Apache-2.0
"""Training a linear head on cached features: 1000 images, 10 classes, 100 epochs, SGD."""

import torch

import contender

options = contender.options()
torch.set_num_threads(options.threads)
EPOCHS, CLASSES, WIDTH = 100, 10, 1280
generator = torch.Generator().manual_seed(0)
features = torch.rand(options.images, WIDTH, generator=generator)
labels = torch.arange(options.images) % CLASSES


def run_round():
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, CLASSES)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_function = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(EPOCHS):
        for batch in torch.randperm(options.images).split(options.batch):
            optimizer.zero_grad()
            loss_function(head(features[batch]), labels[batch]).backward()
            optimizer.step()
    return options.images


contender.serve(f"PyTorch {torch.__version__} loop on cached features", run_round)
