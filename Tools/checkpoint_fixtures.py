#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the weight files that the tests of Checkpoints read, with the real PyTorch and safetensors.

Run from the repository's root in an environment that has torch and safetensors:

    python Tools/checkpoint_fixtures.py

Values are a formula of the tensor's number t and the element's index i: (7 * i + 3 * t) % 23 - 11,
a quarter of it for floating types, which all of them hold exactly. The tests know the formula.
"""
from collections import OrderedDict
from pathlib import Path

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


def save(name: str, value: object) -> None:
    torch.save(value, FOLDER / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(value, FOLDER / f"{name}.zip.pth")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    save("types", every_type())
    save("views", views())
    save("run", training_run())
    save("parameters", OrderedDict(network().named_parameters()))
    torch.save(network(), FOLDER / "module.zip.pth")
    safetensors.torch.save_file(
        dict(every_type()), FOLDER / "types.safetensors", metadata={"format": "pt"}
    )


if __name__ == "__main__":
    main()
