#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what Keras makes of a photo before a network sees it.

    python Tools/keras_preprocessing.py Tests/ImagesTests/Fixtures

The photo is the test pattern of make_image_fixtures.py, loaded with `keras.utils.load_img` at 9x9 and
prepared by `preprocess_input` of one network of each family:

    keras_preprocessing.json   {"caffe-nearest": [values, height, width, channel], ...}

Needs keras (with any backend), numpy and pillow.
"""

import io
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from PIL import Image

from make_image_fixtures import pattern

FAMILIES = {"caffe": keras.applications.vgg16, "torch": keras.applications.densenet,
            "tf": keras.applications.inception_v3}


def main():
    file = io.BytesIO()
    Image.fromarray(pattern(61, 47)).save(file, "PNG")
    record = {}
    for interpolation in ("nearest", "bilinear", "bicubic"):
        for name, family in FAMILIES.items():
            file.seek(0)
            image = keras.utils.load_img(file, target_size=(9, 9), interpolation=interpolation)
            values = family.preprocess_input(keras.utils.img_to_array(image))
            record[f"{name}-{interpolation}"] = [
                float(f"{value:.8g}") for value in values.flatten().tolist()]
    text = json.dumps(record, separators=(",", ":")).replace('],"', '],\n"')
    (Path(sys.argv[1]) / "keras_preprocessing.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
