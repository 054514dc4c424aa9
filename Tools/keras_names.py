#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the weights of Keras's, torchvision's and timm's networks, for the tests of name mapping.

Run from the repository's root in an environment that has keras 3, torch, torchvision and timm:

    python Tools/keras_names.py

One line a weight, in the order of the model: its name as our readers give it, then its shape.
"""
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from pathlib import Path

import keras
import timm
import torchvision

FOLDER = Path("Tests/BackbonesTests/Fixtures/names")


def save(name: str, rows: list) -> None:
    text = "\n".join(" ".join([weight, *map(str, shape)]) for weight, shape in rows)
    (FOLDER / f"{name}.txt").write_text(text + "\n")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    applications = keras.applications
    networks = {
        "keras_resnet50": applications.ResNet50,
        "keras_inception_v3": applications.InceptionV3,
        "keras_mobilenet_v2": applications.MobileNetV2,
        "keras_densenet121": applications.DenseNet121,
        "keras_vgg16": applications.VGG16,
        "keras_efficientnet_b0": applications.EfficientNetB0,
        "keras_convnext_tiny": applications.ConvNeXtTiny,
    }
    for name, network in networks.items():
        keras.backend.clear_session()
        model = network(weights=None)
        rows = []
        for layer in model.layers:
            for weight in layer.weights:
                leaf = weight.path.split("/")[-1]
                # Models within the model (ConvNeXt's stem) count by their layers.
                inner = weight.path.split("/")[-2] if isinstance(layer, keras.Sequential) else layer.name
                rows.append((f"{inner}/{leaf}", tuple(weight.shape)))
        save(name, rows)
    for name, model in {
        "timm_mobilenet_v2": timm.create_model("mobilenetv2_100", pretrained=False),
        "timm_vgg16": timm.create_model("vgg16", pretrained=False),
        "timm_efficientnet_b0": timm.create_model("efficientnet_b0", pretrained=False),
        "timm_convnext_tiny": timm.create_model("convnext_tiny", pretrained=False),
        "timm_tf_efficientnet_lite0": timm.create_model("tf_efficientnet_lite0", pretrained=False),
        "torchvision_resnet18": torchvision.models.resnet18(num_classes=10),
    }.items():
        save(name, [(key, tuple(value.shape)) for key, value in model.state_dict().items()])


if __name__ == "__main__":
    main()
