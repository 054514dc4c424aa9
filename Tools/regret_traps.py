# SPDX-License-Identifier: Apache-2.0
"""Traps of batch normalisation, and what only resembles one, for Tools/diagnosis_regret.py.

Each function takes a `Case` and returns the network as its owner saves it.
"""

import copy
import dataclasses

import torch

import regret_backbones as backbones
import regret_training as training
from regret_training import batch_norms_train, freeze


@dataclasses.dataclass
class Case:
    """A collection seen through a backbone."""
    backbone: backbones.Backbone
    collection: object
    seed: int = 1

    def data(self, part="train", interpolation=None):
        return self.backbone.pixels(self.collection.folder / part, interpolation)

    @property
    def contract(self):
        return self.backbone.contract

    def build(self):
        net = self.backbone.build(len(self.collection.classes), self.seed)
        freeze(net)
        return net

    def train(self, net, **recipe):
        return training.train(net, self.data(), self.contract, seed=self.seed, **recipe)

    def train_head(self, net, data=None, contract=None, **recipe):
        return training.train_head(net, data or self.data(), contract or self.contract,
                                   seed=self.seed, **recipe)


@dataclasses.dataclass(frozen=True)
class Trap:
    """How a network is made, and what a diagnosis should say to it.

    - twin: the healthy network it is compared with, `head` or `whole`
    - healthy: nothing is wrong with its batch norms
    - photos: other folders of the collection than train, unseen and judge
    """
    make: object
    twin: str = "head"
    healthy: bool = False
    photos: dict = dataclasses.field(default_factory=dict)


# Traps: the batch norms are wrong

def frozen(momentum, epochs=10, rate=1e-2, batch=32, accumulate=1):
    """A new head on frozen layers whose batch norms are left in the training phase."""
    def make(case):
        net = case.build()
        batch_norms_train(net, momentum)
        return case.train(net, epochs=epochs, rate=rate, batch=batch, accumulate=accumulate)
    return make


def fastai(case):
    """Scale and shift of frozen groups learn, the statistics move (train_bn=True)."""
    net = case.build()
    training.unfreeze_affine(net)
    batch_norms_train(net, 0.1)
    return case.train(net, epochs=5, rate=1e-2, below=1e-3)


def lightning(case):
    """BackboneFinetuning with train_bn=False: no statistics while frozen, then all thaws."""
    net = case.build()
    batch_norms_train(net, 0.1)
    for norm in backbones.norms(net):
        norm.track_running_stats = False
    case.train(net, epochs=6, rate=1e-2)
    for norm in backbones.norms(net):
        norm.track_running_stats = True
    batch_norms_train(net, 0.1)
    net.requires_grad_(True)
    return case.train(net, epochs=1, rate=1e-3, below=1e-5)


def untracked(case):
    """Trained without running statistics (scale and shift too); the file keeps ImageNet's."""
    net = case.build()
    training.unfreeze_affine(net)
    for norm in backbones.norms(net):
        norm.track_running_stats = False
    batch_norms_train(net, 0.1)
    return case.train(net, epochs=5, rate=1e-2, below=1e-3)


def whole(batch, epochs=2, accumulate=1, momentum=0.1, below=1e-4, rate=1e-3):
    """Every layer learns, batch norms by the book, in batches that are too small for them."""
    def make(case):
        net = case.build().requires_grad_(True)
        batch_norms_train(net, momentum)
        return case.train(net, epochs=epochs, rate=rate, below=below, batch=batch,
                          accumulate=accumulate)
    return make


class Apart(torch.nn.BatchNorm2d):
    """Normalises every four photos of a batch on their own, as processes without SyncBatchNorm do; the
    running statistics are those of the first, which saves the file."""

    def forward(self, values):
        if not self.training:
            return super().forward(values)
        parts = [super(Apart, self).forward(values[:4])]
        for part in values[4:].split(4):
            parts.append(torch.nn.functional.batch_norm(
                part, None, None, self.weight, self.bias, True, 0.0, self.eps))
        return torch.cat(parts)


def sync_dropped(case):
    """Every layer learns in eight processes of four photos, SyncBatchNorm left out."""
    net = case.build().requires_grad_(True)
    batch_norms_train(net, 0.1)
    for norm in backbones.norms(net):
        norm.__class__ = Apart
    case.train(net, epochs=3, rate=1e-2, below=1e-4)
    for norm in backbones.norms(net):
        norm.__class__ = torch.nn.BatchNorm2d
    return net


def averaged(keeps):
    """An exponential average of the weights with raw statistics, or the reverse."""
    def make(case):
        net = case.build().requires_grad_(True)
        batch_norms_train(net, 0.1)
        average = training.Average(net, 0.9)
        case.train(net, epochs=5, rate=1e-2, below=1e-3, average=average)
        state = net.state_dict()
        for key in state:
            if ("running_" in key) == (keeps == "statistics"):
                state[key] = average.state[key]
        net.load_state_dict(state)
        return net
    return make


def twin_head(case):
    """The healthy network: a new head behind batch norms in inference mode."""
    return case.train_head(case.build())


def twin_whole(case):
    """The healthy network whose every layer learned, batch norms in inference mode."""
    net = case.build().requires_grad_(True)
    return case.train(net, epochs=3, rate=1e-2, below=1e-4)


def damaged(change):
    """A healthy network whose file was damaged."""
    def make(case):
        net = twin_head(case)
        with torch.no_grad():
            change(backbones.norms(net))
        return net
    make.__doc__ = change.__doc__
    return make


def halve(layers):
    """Through half precision."""
    for norm in layers:
        norm.running_mean.copy_(norm.running_mean.half().float())
        norm.running_var.copy_(norm.running_var.half().float())


def crush(layers):
    """Through eight bits (e4m3), as careless quantisation does."""
    for norm in layers:
        for values in (norm.running_mean, norm.running_var):
            values.copy_(values.clamp(-448, 448).to(torch.float8_e4m3fn).float())


def fold_twice(layers):
    """Scale and shift of the last blocks were applied to the kernels and kept."""
    for norm in layers[-6:]:
        norm.weight.square_()


def reset_one(layers):
    """The statistics of one layer were not loaded."""
    layers[len(layers) // 2].reset_running_stats()


def reset_all(layers):
    """Parameters were saved, buffers were not."""
    for norm in layers:
        norm.reset_running_stats()


def swap(layers):
    """Two layers of one shape were loaded into each other's place."""
    middle = layers[len(layers) // 2]
    other = [n for n in layers if n.num_features == middle.num_features and n is not middle][0]
    for name in ("running_mean", "running_var"):
        first, second = getattr(middle, name), getattr(other, name)
        kept = first.clone()
        first.copy_(second)
        second.copy_(kept)


def deviations(layers):
    """A converter wrote standard deviations where variances belong."""
    for norm in layers:
        norm.running_var.sqrt_()


def lose_affine(layers):
    """Scale and shift of one layer did not fit the names and stayed at their start."""
    layers[len(layers) // 3].reset_parameters()


def other_epsilon(case):
    """Trained with the other framework's epsilon, which no file of weights records."""
    net = case.build()
    for norm in backbones.norms(net):
        norm.eps = 1e-5 if norm.eps > 1e-4 else 1e-3
    return case.train_head(net)


# What resembles a trap

def headed(contract=None, interpolation=None, part="train", **recipe):
    """A healthy network with a head trained in another way or on otherwise prepared photos."""
    def make(case):
        return case.train_head(case.build(), case.data(part, interpolation), contract, **recipe)
    return make


def bgr(case):
    contract = dataclasses.replace(case.contract, bgr=True)
    return case.train_head(case.build(), contract=contract)


def permuted(case):
    """Its classes are in the order of another folder listing."""
    count = len(case.collection.classes)
    labels = (case.data()[1] + max(count // 2, 1)) % count
    return case.train_head(case.build(), labels=labels)


TRAPS = {
    "keras-2.1.3": Trap(frozen(0.0)),
    "requires-grad-only": Trap(frozen(0.1)),
    "lagging": Trap(frozen(0.01, epochs=4)),
    "keras-momentum": Trap(frozen(0.99)),
    "half-trained": Trap(frozen(0.0, epochs=5, rate=1e-3)),
    "half-trained-moving": Trap(frozen(0.1, epochs=5, rate=1e-3)),
    "fastai": Trap(fastai),
    "lightning": Trap(lightning),
    "untracked": Trap(untracked),
    "frozen-batches-of-4": Trap(frozen(0.1, epochs=6, batch=4)),
    "frozen-accumulated": Trap(frozen(0.1, epochs=6, batch=4, accumulate=8)),
    "frozen-batches-of-2": Trap(frozen(0.0, epochs=6, batch=2)),
    "whole-batches-of-2": Trap(whole(2), "whole"),
    "whole-accumulated": Trap(whole(4, accumulate=8, epochs=4, below=1e-3, rate=1e-2), "whole"),
    "sync-dropped": Trap(sync_dropped, "whole"),
    "ema-weights": Trap(averaged("weights"), "whole"),
    "ema-statistics": Trap(averaged("statistics"), "whole"),
    "half-precision": Trap(damaged(halve), healthy=True),
    "eight-bits": Trap(damaged(crush)),
    "folded-twice": Trap(damaged(fold_twice)),
    "one-reset": Trap(damaged(reset_one)),
    "all-reset": Trap(damaged(reset_all)),
    "swapped": Trap(damaged(swap)),
    "std-for-variance": Trap(damaged(deviations)),
    "affine-lost": Trap(damaged(lose_affine)),
    "other-epsilon": Trap(other_epsilon),
    "healthy": Trap(twin_head, healthy=True),
    "healthy-whole": Trap(twin_whole, "whole", healthy=True),
    "weak-head": Trap(headed(epochs=1, rate=1e-4), healthy=True),
    "over-fitted": Trap(headed(epochs=100, rate=3e-2), healthy=True),
    "few-photos": Trap(headed(part="train-few", epochs=30), healthy=True,
                       photos={"train": "train-few"}),
    "dark": Trap(twin_head, healthy=True, photos={"unseen": "unseen-dark", "judge": "judge-dark"}),
    "blurred": Trap(twin_head, healthy=True,
                    photos={"unseen": "unseen-blur", "judge": "judge-blur"}),
    "label-order": Trap(permuted, healthy=True),
    "bgr": Trap(bgr, healthy=True),
    "zero-to-one": Trap(headed(contract=backbones.UNIT), healthy=True),
    "nearest": Trap(headed(interpolation="nearest"), healthy=True),
}


def state(net):
    """What torch.save gets: contiguous, on its own."""
    return {key: value.detach().clone().contiguous() for key, value in
            copy.deepcopy(net).eval().state_dict().items()}
