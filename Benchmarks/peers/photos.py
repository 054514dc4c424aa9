# SPDX-License-Identifier: Apache-2.0
"""Photos of a folder to what EfficientNet-Lite expects, with torchvision's own transforms."""

import os

import torchvision
from PIL import Image

EXTENSIONS = (".jpg", ".jpeg")

transform = torchvision.transforms.Compose([
    torchvision.transforms.Resize(256, torchvision.transforms.InterpolationMode.BICUBIC),
    torchvision.transforms.CenterCrop(224),
    torchvision.transforms.ToTensor(),
    # (x - 127) / 128 for x in 0-255.
    torchvision.transforms.Normalize([127 / 255] * 3, [128 / 255] * 3),
])


def listing(folder):
    """All JPEG files below `folder`, in byte order of their paths."""
    found = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names if name.lower().endswith(EXTENSIONS)]
    return sorted(found, key=os.fsencode)


def preprocess(path):
    """[3, 224, 224] of one photo."""
    with Image.open(path) as image:
        return transform(image.convert("RGB"))
