#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the weight files that the tests of Checkpoints read, with the real PyTorch and safetensors.

Run from the repository's root in an environment that has torch and safetensors:

    python Tools/checkpoint_fixtures.py

Values are a formula of the tensor's number t and the element's index i: (7 * i + 3 * t) % 23 - 11,
a quarter of it for floating types, which all of them hold exactly. The tests know the formula.
"""
import argparse
import collections
import datetime
import functools
import pathlib
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy

import safetensors.torch
import torch

FOLDER = Path("Tests/CheckpointsTests/Fixtures")


def values(number: int, shape: tuple, dtype: torch.dtype) -> torch.Tensor:
    count = torch.Size(shape).numel()
    numbers = (7 * torch.arange(count) + 3 * number) % 23 - 11
    if dtype == torch.bool:
        return (numbers > 0).reshape(shape)
    if dtype == torch.uint8:
        return (numbers + 11).to(dtype).reshape(shape)
    if dtype.is_floating_point:
        return (numbers.double() / 4).to(dtype).reshape(shape)
    return numbers.to(dtype).reshape(shape)


def every_type() -> OrderedDict:
    types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
    types += [torch.int16, torch.int8, torch.uint8, torch.bool]
    tensors = OrderedDict()
    for number, dtype in enumerate(types):
        tensors[str(dtype).removeprefix("torch.")] = values(number, (2, 3), dtype)
    tensors["scalar"] = values(10, (), torch.float32)
    tensors["empty"] = values(11, (0, 3), torch.float32)
    return tensors


def views() -> OrderedDict:
    """Tensors that share a storage, are transposed, sliced, expanded or channels-last."""
    base = values(0, (4, 6), torch.float32)
    image = values(1, (2, 3, 2, 2), torch.float32)
    return OrderedDict(
        base=base,
        tied=base,
        row=base[2],
        transposed=base.t(),
        sliced=base[1:3, ::2],
        expanded=values(2, (3,), torch.float32).expand(4, 3),
        channels_last=image.contiguous(memory_format=torch.channels_last),
        half=values(3, (4, 6), torch.float16).t(),
    )


def network() -> torch.nn.Module:
    model = torch.nn.Sequential(
        OrderedDict(conv=torch.nn.Conv2d(2, 3, 3, bias=False), bn=torch.nn.BatchNorm2d(3))
    )
    with torch.no_grad():
        for number, tensor in enumerate(model.state_dict().values()):
            tensor.copy_(values(number, tuple(tensor.shape), tensor.dtype))
    return model


def training_run() -> dict:
    """A checkpoint as training scripts write it: weights nested, parallel, among other things."""
    model = torch.nn.DataParallel(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return {
        "epoch": 3,
        "arch": "tiny",
        "best": 0.5,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "shape": torch.Size([1, 2]),
        "seed": 2**70,
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


class Settings:
    """A class that only this script knows."""

    def __init__(self) -> None:
        self.width = 3


def strangers() -> dict:
    """A training script's checkpoint: the weights among everything that people pickle beside them."""
    optimizer = torch.optim.AdamW(network().parameters())
    return {
        "best_acc1": torch.tensor(77.1),
        "rng_state": torch.arange(16, dtype=torch.uint8),
        "class_weights": torch.ones(3),
        "args": argparse.Namespace(lr=0.1, path=pathlib.Path("somewhere"), arch="tiny"),
        "score": numpy.float64(0.9),
        "counts": collections.defaultdict(list, {"cat": [1]}),
        "seen": collections.Counter("aab"),
        "norm": functools.partial(torch.nn.LayerNorm, eps=1e-6),
        "kind": torch.nn.BatchNorm2d,
        "settings": Settings(),
        "when": datetime.datetime(2026, 1, 2),
        "tags": {"a", "b"},
        "class_to_idx": {"emu": 2, "cat": 0, "dog": 1},
        "optimizer": optimizer.state_dict(),
        "whole_optimizer": optimizer,
        "ema": {"module." + name: value * 2 if value.is_floating_point() else value
                for name, value in network().state_dict().items()},
        "state_dict": network().state_dict(),
    }


class Normalize:
    """As fastai's, which keeps tensors, and torchvision's, which keeps lists, are pickled."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std


def normalized() -> dict:
    """Weights beside the transforms that photos went through."""
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    return {
        "model": network().state_dict(),
        "transforms": [
            Normalize(mean, std),
            Normalize(torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)),
        ],
    }


def arrays() -> OrderedDict:
    """Weights as NumPy arrays in a plain pickle."""
    return OrderedDict((name, value.numpy()) for name, value in network().state_dict().items())


def save(name: str, value: object) -> None:
    torch.save(value, FOLDER / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(value, FOLDER / f"{name}.zip.pth")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    save("types", every_type())
    save("views", views())
    save("run", training_run())
    save("parameters", OrderedDict(network().named_parameters()))
    # The older layout would hold the source text of PyTorch's classes.
    torch.save(network(), FOLDER / "module.zip.pth")
    save("strangers", strangers())
    save("normalized", normalized())
    torch.save(strangers(), FOLDER / "strangers.protocol4.pth", pickle_protocol=4)
    with open(FOLDER / "arrays.pkl", "wb") as file:
        pickle.dump({"model": arrays(), "__author__": "nobody"}, file, protocol=4)
    safetensors.torch.save_file(
        dict(every_type()), FOLDER / "types.safetensors", metadata={"format": "pt"}
    )


if __name__ == "__main__":
    main()
