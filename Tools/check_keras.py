#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that files of the real Keras load, and predict what Keras predicts.

    python Tools/check_keras.py FOLDER [--networks vgg16,resnet50] [--layouts keras,weights] [--thaw PROGRAM]

For each network of keras.applications: made-up weights with calibrated, then disturbed batch-norm statistics;
a photo that `keras.utils.load_img` resizes and the network's own `preprocess_input` prepares; and the network
saved in each layout, which `thaw predict --logits` and `thaw pretrained inspect` then read without being told
anything. Layouts:

    keras     model.save("x.keras")
    weights   model.save_weights("x.weights.h5")
    bare      the same without the layers' names, as Keras 3.0 to 3.3 wrote it
    model     model.save("x.h5"), a whole model in the layout of Keras 2
    keras2    the weights of TensorFlow's Keras 2, as in the files of keras.applications
    notop     without the classifier, .weights.h5: must be recognised and refused for prediction
    flatten   VGG only: Flatten, Dense(16, relu), Dense(7) behind a nested base, .weights.h5
    nested    seven classes behind a nested base, .keras: what the transfer-learning guide makes

FOLDER takes one file at a time (up to 600 MB) and is left empty. Needs keras 3, torch, h5py, numpy, pillow.
Exit code 1 when a row is wrong: another top 5, a logit off by more than 1e-3 of the largest, a probability by
more than 1e-4, or another architecture.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
from PIL import Image

APPLICATIONS = keras.applications
# Ours, the class, the module with preprocess_input, the side of the input.
NETWORKS = {
    "vgg16": (APPLICATIONS.VGG16, APPLICATIONS.vgg16, 224),
    "vgg19": (APPLICATIONS.VGG19, APPLICATIONS.vgg19, 224),
    "resnet50_keras": (APPLICATIONS.ResNet50, APPLICATIONS.resnet, 224),
    "inception_v3_keras": (APPLICATIONS.InceptionV3, APPLICATIONS.inception_v3, 299),
    "mobilenet_v2_keras": (APPLICATIONS.MobileNetV2, APPLICATIONS.mobilenet_v2, 224),
    "efficientnet_b0_keras": (APPLICATIONS.EfficientNetB0, APPLICATIONS.efficientnet, 224),
    "densenet121_keras": (APPLICATIONS.DenseNet121, APPLICATIONS.densenet, 224),
    "convnext_tiny": (APPLICATIONS.ConvNeXtTiny, APPLICATIONS.convnext, 224),
}
LAYOUTS = ["keras", "weights", "bare", "model", "keras2", "notop", "flatten", "nested"]


def photo(path, width=317, height=251):
    """A picture of smooth colours, edges and some noise; PNG, so that every decoder agrees on it."""
    rows, columns = np.mgrid[:height, :width]
    generator = np.random.default_rng(5)
    channels = [
        128 + 90 * np.sin(columns / 23 + rows / 41), 40 + 180 * ((columns // 37 + rows // 29) % 2),
        255 * rows / height]
    pixels = np.stack(channels, -1) + generator.normal(0, 12, (height, width, 3))
    Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(path)


def normalizations(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from normalizations(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def disturb(model, pixels):
    """Weights that any mistake shows with: statistics of the data, then every vector moved at random."""
    generator = np.random.default_rng(1)
    momenta = [(layer, layer.momentum) for layer in normalizations(model)]
    for layer, _ in momenta:
        layer.momentum = 0.0
    noisy = np.concatenate([pixels + generator.normal(0, pixels.std() / 4, pixels.shape) for _ in range(4)])
    model(noisy.astype("float32"), training=True)
    for layer, momentum in momenta:
        layer.momentum = momentum
    for weight in model.weights:
        if len(weight.shape) != 1 or "seed" in weight.path or "normalization/" in weight.path and (
                weight.path.split("/")[-1] in ("mean", "variance")):
            continue
        values = keras.ops.convert_to_numpy(weight)
        spread = float(np.abs(values).mean()) or 0.1
        if weight.path.endswith("variance"):
            values = values * generator.uniform(0.7, 1.4, values.shape)
        elif spread < 1e-4:  # the layer scales of ConvNeXt begin at 1e-6
            values = generator.uniform(0.1, 0.5, values.shape)
        else:
            values = values + generator.normal(0, 0.2 * spread, values.shape)
        weight.assign(values.astype("float32"))


def spread_logits(model, pixels):
    """Makes the classifier's logits vary by about 2, so that probabilities are neither flat nor one."""
    kernel = [weight for weight in model.weights if weight.path.endswith("kernel")][-1]
    logits = keras.ops.convert_to_numpy(model(pixels, training=False))
    kernel.assign(kernel * float(2 / logits.std()))


def keras2(path, model):
    """As TensorFlow's Keras 2 wrote weights: groups by layer, `LAYER/kernel:0` in them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([layer.name.encode() for layer in model.layers])
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.4.0"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = []
            for weight in layer.weights:
                leaf = weight.path.split("/")[-1]
                if leaf == "seed_generator_state":
                    continue
                if isinstance(layer, keras.layers.DepthwiseConv2D) and leaf == "kernel":
                    leaf = "depthwise_kernel"
                inner = weight.path.split("/")[-2] if isinstance(layer, keras.Sequential) else layer.name
                name = f"{inner}/{leaf}:0"
                group[name] = keras.ops.convert_to_numpy(weight)
                names.append(name.encode())
            group.attrs["weight_names"] = np.array(names) if names else np.zeros(0, "S1")


def forget_names(path):
    def forget(_, item):
        if "name" in item.attrs:
            del item.attrs["name"]

    with h5py.File(path, "r+") as file:
        file.visititems(forget)


def save(folder, layout, model):
    ending = {"keras": ".keras", "nested": ".keras", "model": ".h5", "keras2": ".h5"}.get(layout, ".weights.h5")
    path = folder / (layout + ending)
    if layout in ("keras", "nested", "model"):
        model.save(path)
    elif layout == "keras2":
        keras2(path, model)
    else:
        model.save_weights(path)
        if layout == "bare":
            forget_names(path)
    return path


def thaw(program, *arguments):
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


def verdict(program, path, picture, expected, architecture):
    """One row: what inspect says, then how predict compares."""
    status, text, error = thaw(program, "pretrained", "inspect", path, "--json")
    if status != 0:
        return False, f"inspect ended with {status}: {error.strip()[:300]}"
    found = json.loads(text)
    says = f"{found.get('architecture')}, {found['certainty']}, {found.get('classes')} classes"
    good = found.get("architecture") == architecture and found["certainty"] == "sure"
    status, text, error = thaw(program, "predict", "--model", path, picture, "--logits", "--format", "json")
    if expected is None:
        return good and status == 65 and "no classifier" in error, f"{says}; predict: {error.strip()[:160]}"
    if status != 0:
        return False, f"{says}; predict ended with {status}: {error.strip()[:300]}"
    logits = np.array(json.loads(text)[0]["logits"])
    difference = np.abs(logits - expected).max()
    probabilities = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in (logits, expected)]
    shift = np.abs(probabilities[0] - probabilities[1]).max()
    same = list(np.argsort(-logits)[:5]) == list(np.argsort(-expected)[:5])
    good = good and same and difference <= 1e-3 * max(1, np.abs(expected).max()) and shift <= 1e-4
    return good, (
        f"{says}; logits differ by {difference:.1e} (of {np.abs(expected).max():.1f}), probabilities by"
        f" {shift:.1e}, top 5 {'the same' if same else 'DIFFERENT'}, top 1 {probabilities[1].max():.2f}")


def models(network, pixels, layouts, side):
    """The network with 1000 logits; without its top; nested with seven classes."""
    keras.utils.set_random_seed(3)
    if set(layouts) - {"notop", "flatten", "nested"}:
        model = network(weights=None, classifier_activation=None)
        disturb(model, pixels)
        spread_logits(model, pixels)
        expected = keras.ops.convert_to_numpy(model(pixels, training=False))[0].astype(float)
        for layout in layouts:
            if layout not in ("notop", "flatten", "nested"):
                yield layout, model, expected
    if "notop" in layouts:
        keras.backend.clear_session()
        yield "notop", network(weights=None, include_top=False), None
    if "flatten" in layouts and network in (APPLICATIONS.VGG16, APPLICATIONS.VGG19):
        keras.backend.clear_session()
        base = network(weights=None, include_top=False, input_shape=(side, side, 3))
        model = keras.Sequential(
            [keras.Input((side, side, 3)), base, keras.layers.Flatten(), keras.layers.Dense(16, "relu"),
             keras.layers.Dropout(0.5), keras.layers.Dense(7)])
        disturb(model, pixels)
        spread_logits(model, pixels)
        yield "flatten", model, keras.ops.convert_to_numpy(model(pixels, training=False))[0].astype(float)
    if "nested" in layouts:
        keras.backend.clear_session()
        base = network(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
        image = keras.Input((side, side, 3))
        hidden = keras.layers.Dropout(0.2)(base(image))
        model = keras.Model(image, keras.layers.Dense(7)(hidden))
        disturb(model, pixels)
        spread_logits(model, pixels)
        yield "nested", model, keras.ops.convert_to_numpy(model(pixels, training=False))[0].astype(float)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--layouts", default=",".join(LAYOUTS))
    parser.add_argument("--thaw", default=".build/release/thaw")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    picture = arguments.folder / "photo.png"
    photo(picture)
    wrong = 0
    for name in arguments.networks.split(","):
        network, module, side = NETWORKS[name]
        image = keras.utils.img_to_array(keras.utils.load_img(picture, target_size=(side, side)))
        pixels = np.asarray(module.preprocess_input(image[None].copy()))
        keras.backend.clear_session()
        for layout, model, expected in models(network, pixels, arguments.layouts.split(","), side):
            path = save(arguments.folder, layout, model)
            architecture = name + {"nested": "_pooled", "notop": "_flat", "flatten": "_flat"}.get(layout, "") * name.startswith("vgg")
            good, text = verdict(arguments.thaw, path, picture, expected, architecture)
            wrong += not good
            print(f"{'ok   ' if good else 'WRONG'} {name} {layout}: {text}", flush=True)
            path.unlink()
    picture.unlink()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
