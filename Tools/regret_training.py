# SPDX-License-Identifier: Apache-2.0
"""Training loops of the zoo of Tools/diagnosis_regret.py: plain PyTorch, as people write it."""

import copy

import torch
from torch import nn
from torch.nn import functional

from regret_backbones import all_features, head, norms


def batches(count, size, generator):
    """Shuffled batches; the last one may be smaller, but is never a single photo."""
    order = torch.randperm(count, generator=generator)
    parts = list(order.split(size))
    return parts[:-1] if len(parts[-1]) < 2 else parts


def freeze(net):
    """Only the head learns; batch norms are left as they are."""
    for parameter in net.parameters():
        parameter.requires_grad = False
    for parameter in head(net).parameters():
        parameter.requires_grad = True


def unfreeze_affine(net):
    for norm in norms(net):
        norm.weight.requires_grad = norm.bias.requires_grad = True


def batch_norms_train(net, momentum):
    """Batch norms normalise by the batch; running statistics move by `momentum`, 0 for not."""
    for norm in norms(net):
        norm.train()
        norm.momentum = momentum


def learning(net, rate, below):
    """Adam's groups: the head at `rate`, whatever else learns at `below`."""
    own = list(head(net).parameters())
    rest = [p for p in net.parameters() if p.requires_grad and all(p is not q for q in own)]
    groups = [{"params": own, "lr": rate}]
    return torch.optim.Adam(groups + ([{"params": rest, "lr": below}] if rest else []))


class Average:
    """Exponential average of parameters or of buffers, as EMA helpers keep it."""

    def __init__(self, net, decay):
        self.state = {k: v.clone() for k, v in net.state_dict().items()}
        self.decay = decay

    def update(self, net):
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value.detach(), 1 - self.decay)


def train(net, data, contract, *, epochs, rate, below=None, batch=32, accumulate=1, average=None,
          seed=1):
    """Trains what requires gradients, in whatever mode the batch norms are in.

    - data: bytes [N, 3, S, S] and labels [N]
    - accumulate: batches whose gradients are added before a step
    """
    images, labels = data
    generator = torch.Generator().manual_seed(seed)
    optimizer = learning(net, rate, below)
    for _ in range(epochs):
        parts = batches(len(images), batch, generator)
        for number, part in enumerate(parts):
            loss = functional.cross_entropy(net(contract(images[part])), labels[part])
            (loss / accumulate).backward()
            if (number + 1) % accumulate == 0 or number + 1 == len(parts):
                optimizer.step()
                optimizer.zero_grad()
                if average:
                    average.update(net)
    return net.eval()


def train_head(net, data, contract, *, epochs=10, rate=1e-2, batch=32, seed=1, labels=None):
    """The same on features in inference, which do not change: they are computed once."""
    images, own = data
    labels = own if labels is None else labels
    inputs = all_features(net, contract, images)
    generator = torch.Generator().manual_seed(seed)
    layer = head(net)
    optimizer = torch.optim.Adam(layer.parameters(), lr=rate)
    for _ in range(epochs):
        for part in batches(len(inputs), batch, generator):
            loss = functional.cross_entropy(layer(inputs[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def solved_head(net, data, contract, decay=1e-3):
    """A copy of the network with a head solved on the features of inference: what is to be had."""
    net = copy.deepcopy(net).eval()
    inputs, labels = all_features(net, contract, data[0]), data[1]
    layer = solved_layer(inputs, labels, head(net).out_features, decay)
    with torch.no_grad():
        head(net).weight.copy_(layer.weight)
        head(net).bias.copy_(layer.bias)
    return net


def solved_layer(inputs, labels, classes, decay=1e-3):
    """A linear layer solved on features [N, D], which are standardised for it."""
    layer = nn.Linear(inputs.shape[1], classes)
    spread = inputs.std(0).clamp_min(1e-6 * inputs.std().item() + 1e-12)
    centre = inputs.mean(0)
    scaled = (inputs - centre) / spread
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(layer(scaled), labels)
        loss = loss + decay * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        layer.weight.div_(spread)
        layer.bias.sub_(layer.weight @ centre)
    return layer


@torch.no_grad()
def accuracy(net, data, contract):
    """Share of right answers in inference, to four places."""
    answers = head(net)(all_features(net, contract, data[0])).argmax(1)
    return round((answers == data[1]).float().mean().item(), 4)


@torch.no_grad()
def accuracy_on_batches(net, data, contract, batch=32, seed=3):
    """The same with batch norms on the statistics of shuffled batches; leaves the network alone."""
    net = copy.deepcopy(net).eval()
    batch_norms_train(net, 0.0)
    right = count = 0
    for part in batches(len(data[0]), batch, torch.Generator().manual_seed(seed)):
        right += (net(contract(data[0][part])).argmax(1) == data[1][part]).sum().item()
        count += len(part)
    return round(right / count, 4)


