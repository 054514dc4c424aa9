#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small Keras models with heads of their own, and what Keras answers, for the tests of Backbones.

Run from the repository's root in an environment that has keras 3, tf_keras (Keras 2) and tensorflow:

    python Tools/keras_graphs.py Tests/BackbonesTests/Fixtures/keras

The photo is that of `fixture_photo.py`.
"""
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras as keras3
import numpy as np
import tf_keras as keras2

from fixture_photo import SIDE, fixture_photo

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)


def body(L, image):
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(image)
    x = L.BatchNormalization(name="bn")(x)
    x = L.ReLU(6.0, name="relu")(x)
    x = L.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = L.BatchNormalization(scale=False, epsilon=1e-5, name="dw_bn")(x)
    x = L.Activation("swish", name="dw_swish")(x)
    s = L.GlobalAveragePooling2D(name="se_squeeze")(x)
    s = L.Reshape((1, 1, 8), name="se_reshape")(s)
    s = L.Conv2D(4, 1, activation="relu", name="se_reduce")(s)
    s = L.Conv2D(8, 1, activation="sigmoid", name="se_expand")(s)
    x = L.Multiply(name="se_excite")([x, s])
    y = L.ZeroPadding2D(((1, 1), (1, 1)), name="pad")(x)
    y = L.SeparableConv2D(8, 3, name="separable")(y)
    x = L.Add(name="add")([x, y])
    left = L.MaxPooling2D(3, strides=2, padding="same", name="max")(x)
    right = L.AveragePooling2D(3, strides=2, padding="same", name="mean")(x)
    return L.Concatenate(name="join")([left, right])


def nested(keras, activation="softmax", classes=3):
    """As the guide to transfer learning builds it, with a head of one's own."""
    L = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="base_image")
    base = keras.Model(image, body(L, image), name="base")
    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    x = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.1)], name="augment")(photo)
    x = L.Rescaling(1 / 127.5, offset=-1, name="rescale")(x)
    x = base(x, training=False)
    x = L.GlobalAveragePooling2D(name="pool")(x)
    x = L.BatchNormalization(name="head_bn")(x)
    x = L.Dense(12, activation="relu", name="hidden")(x)
    x = L.Dropout(0.5, name="drop")(x)
    return keras.Model(photo, L.Dense(classes, activation=activation, name="answer")(x), name="nested")


def flipped(keras):
    """Arithmetic written out, a flattened image, independent sigmoids."""
    L = keras.layers
    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    x = (photo[..., ::-1] - 100.0) / 60.0
    x = L.Conv2D(6, 3, activation="relu", name="first")(x)
    x = L.MaxPooling2D(name="pool")(x)
    x = L.Flatten(name="flatten")(x)
    x = L.Dense(8, activation="relu", name="hidden")(x)
    x = L.BatchNormalization(name="head_bn")(x)
    return keras.Model(photo, L.Dense(3, activation="sigmoid", name="answer")(x), name="flipped")


def inverted(keras):
    """Negatives, which no contract says, and a residual without a layer for it."""
    L = keras.layers
    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    x = 1.0 - photo / 255.0
    x = L.Conv2D(6, 3, padding="same", activation="relu", name="first")(x)
    x = x + L.Conv2D(6, 3, padding="same", activation="relu", name="second")(x)
    x = L.GlobalMaxPooling2D(name="pool")(x)
    return keras.Model(photo, L.Dense(3, activation="softmax", name="answer")(x), name="inverted")


def trainer(keras):
    """The shape of a drag-and-drop trainer's export: models in models, a head without a bias."""
    L = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = L.GlobalAveragePooling2D(name="pool")(body(L, image))
    features = keras.Sequential([keras.Model(image, x, name="features")], name="sequential_1")
    head = keras.Sequential(
        [L.Dense(10, activation="relu", name="dense_Dense1"),
         L.Dense(2, activation="softmax", use_bias=False, name="dense_Dense2")], name="sequential_3")
    model = keras.Sequential([features, head], name="sequential_4")
    model.build((None, SIDE, SIDE, 3))
    return model


def fill(model, seed: int, deviation: float) -> None:
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" in str(weight.dtype):
            continue
        values = rng.normal(0, deviation, weight.shape)
        if "variance" in weight.name:
            values = np.abs(values) + 0.5
        if "gamma" in weight.name:
            values = values + 1
        weight.assign(values.astype("float32"))


answers = {}


def save(model, file: str, scale=lambda x: x, seed: int = 1, deviation: float = 0.3) -> None:
    fill(model, seed, deviation)
    model.save(folder / file)
    answers[file] = [float(p) for p in np.asarray(model(scale(fixture_photo()), training=False))[0]]


save(nested(keras3), "nested.keras")
save(nested(keras3), "nested3.h5")
save(nested(keras2), "nested2.h5")
save(nested(keras3, activation="sigmoid", classes=1), "single.keras", seed=2)
save(flipped(keras3), "flipped.keras", deviation=0.1)
save(flipped(keras3), "flipped3.h5", deviation=0.1)
save(flipped(keras2), "flipped2.h5", deviation=0.1)
save(inverted(keras3), "inverted.h5", seed=4)
save(trainer(keras2), "trainer.h5", scale=lambda x: x / 127.5 - 1)
with open(folder / "answers.json", "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")


def photos_and_a_broken_layer() -> None:
    """Photos that a model tells apart, and the model with the statistics of one batch norm spoiled."""
    from PIL import Image

    rng = np.random.default_rng(5)
    coarse = rng.random((48, 4, 4, 3)) * 200 + rng.random((48, 1, 1, 3)) * 55
    photos = np.kron(coarse, np.ones((1, 4, 4, 1))) + rng.normal(0, 12, (48, SIDE, SIDE, 3))
    photos = photos.clip(0, 255).astype("uint8")
    model = nested(keras3)
    fill(model, 7, 0.5)
    inner = model.get_layer("base")
    norms = [inner.get_layer("bn"), inner.get_layer("dw_bn"), model.get_layer("head_bn")]
    # One after the other, so that each is given what those before it make in inference.
    for norm in norms:
        layers = model if norm.name == "head_bn" else inner
        before = keras3.Model(layers.inputs, layers.get_layer(norm.name).input)
        x = photos.astype("float32")
        if layers is model:
            values = np.asarray(before(x, training=False))
        else:
            values = np.asarray(before(x / 127.5 - 1, training=False))
        axes = tuple(range(values.ndim - 1))
        norm.moving_mean.assign(values.mean(axes))
        norm.moving_variance.assign(values.var(axes))
    answer = model.get_layer("answer")
    logits = keras3.Model(model.inputs, answer.input)(photos.astype("float32"), training=False)
    raw = np.asarray(logits) @ np.asarray(answer.kernel)
    answer.kernel.assign(np.asarray(answer.kernel) * 4 / raw.std())
    answer.bias.assign(-(raw * 4 / raw.std()).mean(0))
    labels = np.asarray(model(photos.astype("float32"), training=False)).argmax(1)
    for index, (photo, label) in enumerate(zip(photos, labels)):
        place = folder / "photos" / "abc"[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(place / f"{index:02}.png", optimize=True)
    print("photos by class", np.bincount(labels))
    model.save(folder / "whole.h5")
    spoiled = inner.get_layer("dw_bn")
    spoiled.moving_mean.assign(np.asarray(spoiled.moving_mean) + 2)
    spoiled.moving_variance.assign(np.asarray(spoiled.moving_variance) * 25)
    found = np.asarray(model(photos.astype("float32"), training=False)).argmax(1)
    print("accuracy with the spoiled layer", (found == labels).mean())
    model.save(folder / "broken.h5")


photos_and_a_broken_layer()
