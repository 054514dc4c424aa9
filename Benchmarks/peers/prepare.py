# SPDX-License-Identifier: Apache-2.0
"""Writes what all contenders read: weights, ONNX models and a batch of preprocessed photos.

    prepare.py WORK PHOTOS NETWORK=BATCH...

WORK/NETWORK.safetensors   names as published
WORK/NETWORK-BATCH.onnx    the same network for batches of that size
WORK/pixels.f32            [32, 3, 224, 224] Float32
WORK/decoding/N.EXT        photos as JPEG, WebP, HEIC and AVIF
"""

import json
import os
import sys

import numpy
import pillow_heif
import torch
from PIL import Image

import networks
import photos
import safetensors_file


def decoding_files(work, folder):
    """The first photos in every format, at the encoders' own settings but for JPEG's quality of 90."""
    pillow_heif.register_heif_opener()
    target = os.path.join(work, "decoding")
    os.makedirs(target, exist_ok=True)
    for index, path in enumerate(photos.listing(folder)[:16]):
        image = Image.open(path).convert("RGB")
        for extension, options in {"jpg": {"quality": 90}, "webp": {}, "heic": {}, "avif": {}}.items():
            file = os.path.join(target, f"{index:02}.{extension}")
            if not os.path.exists(file):
                image.save(file, **options)


def main(work, folder, batches):
    os.makedirs(work, exist_ok=True)
    pixels = torch.stack([photos.preprocess(path) for path in photos.listing(folder)[:32]])
    if len(pixels) < 32:
        pixels = pixels.repeat(32 // len(pixels) + 1, 1, 1, 1)[:32]
    pixels.numpy().astype("<f4").tofile(os.path.join(work, "pixels.f32"))
    decoding_files(work, folder)
    weights = {}
    for name, batch in batches:
        model = networks.trunk(name)
        weights[name] = "random"
        published = networks.pretrained_file() if name == "efficientnet_lite0" else None
        if published:
            state = torch.load(published, map_location="cpu", weights_only=True)
            model.network.load_state_dict(state)
            weights[name] = "ImageNet"
        arrays = {
            key: value.numpy() for key, value in model.network.state_dict().items()
            if not key.endswith("num_batches_tracked") and not key.startswith("_fc.")}
        safetensors_file.write(os.path.join(work, name + ".safetensors"), arrays)
        torch.onnx.export(
            model.eval(), (pixels[:batch],), os.path.join(work, f"{name}-{batch}.onnx"), dynamo=False,
            input_names=["pixels"], output_names=["features"])
    versions = {
        "torch": torch.__version__, "numpy": numpy.__version__, "python": sys.version.split()[0]}
    for package in ("torchvision", "onnxruntime", "PIL"):
        versions[package] = __import__(package).__version__
    print(json.dumps({"versions": versions, "weights": weights}))


if __name__ == "__main__":
    replies = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(replies, "w")
    pairs = (argument.split("=") for argument in sys.argv[3:])
    main(sys.argv[1], sys.argv[2], [(name, int(batch)) for name, batch in pairs])
