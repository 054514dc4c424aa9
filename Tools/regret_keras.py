#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks for the zoo of Tools/diagnosis_regret.py that fell into a trap in Keras.

    KERAS_BACKEND=torch Tools/regret_keras.py WORK --pretrained DIR --collection NAME [--size 128]
                                              [--only TRAP,...]

EfficientNet-Lite0 as Keras layers with the published weights of DIR, a new head trained by `model.fit`,
the file written by `model.save`. Keras 2.1.2 and 2.1.3 no longer run; here they are Keras 3 with their
rule for a batch norm that is not trainable: it normalises by the batch in `fit` all the same, and in 2.1.2
its moving statistics move as well. NAME is a collection that `diagnosis_regret.py make` has arranged.
Ends with WORK/zoo.jsonl, which `diagnosis_regret.py judge` reads.

Needs keras 3, torch, torchvision and pillow.
"""

import argparse
import json
import pathlib
import re
import time

import keras
import numpy as np
import torch
from keras import layers, ops

import regret_photos
import regret_training

RULES = {"keras-2.1.2-real": "moves", "keras-2.1.3-real": "stays", "keras-3-real": "inference",
           "keras-thawed-real": "inference"}
HEALTHY = {"keras-3-real"}
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
          (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))


class OldBatchNormalization(layers.BatchNormalization):
    """A batch norm as Keras 2.1 knew it: `trainable = False` stops scale and shift, nothing else.

    - moves: whether the moving statistics move as well (2.1.2 and before).
    """

    def __init__(self, *, moves, **options):
        super().__init__(**options)
        self.moves = moves

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=False)
        mean, variance = ops.moments(inputs, axes=[0, 1, 2])
        if self.moves:
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return ops.batch_normalization(
            inputs, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon)


def network(size, classes, rule):
    """EfficientNet-Lite0 up to the softmax; layers are called as in the published file."""
    def norm(values, name):
        options = {"name": name, "epsilon": 1e-3, "momentum": 0.99}
        layer = (layers.BatchNormalization(**options) if rule == "inference"
                 else OldBatchNormalization(moves=rule == "moves", **options))
        return layer(values)

    def convolution(values, name, filters, kernel=1, stride=1):
        return layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(values)

    inputs = keras.Input((size, size, 3))
    values = layers.ReLU(6)(norm(convolution(inputs, "_conv_stem", 32, 3, 2), "_bn0"))
    number = 0
    for expand, filters, repeats, stride, kernel in STAGES:
        for repeat in range(repeats):
            name, start = f"_blocks_{number}_", values
            step = stride if repeat == 0 else 1
            if expand != 1:
                values = convolution(values, f"{name}_expand_conv", values.shape[-1] * expand)
                values = layers.ReLU(6)(norm(values, f"{name}_bn0"))
            values = layers.DepthwiseConv2D(
                kernel, step, "same", use_bias=False, name=f"{name}_depthwise_conv")(values)
            values = layers.ReLU(6)(norm(values, f"{name}_bn1"))
            values = norm(convolution(values, f"{name}_project_conv", filters), f"{name}_bn2")
            if start.shape[-1] == filters and step == 1:
                values = layers.Add()([values, start])
            number += 1
    values = layers.ReLU(6)(norm(convolution(values, "_conv_head", 1280), "_bn1"))
    values = layers.GlobalAveragePooling2D()(values)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="_fc")(values))


def load(model, path):
    """Puts the published weights under all layers but the head."""
    state = torch.load(path, weights_only=True)
    for layer in model.layers:
        if not layer.weights or layer.name == "_fc":
            continue
        # `_blocks_3__bn1` is `_blocks.3._bn1`.
        name = re.sub(r"^_blocks_(\d+)_", r"_blocks.\1.", layer.name)
        if f"{name}.running_mean" in state:
            parts = [state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
            layer.set_weights([part.numpy() for part in parts])
        else:
            kernel = state[f"{name}.weight"].numpy()
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            layer.set_weights([kernel.transpose(2, 3, 0, 1) if depthwise
                               else kernel.transpose(2, 3, 1, 0)])
    return model


def prepared(folder, size):
    """Photos as the card declares them, [N, size, size, 3], and their classes."""
    images, labels = regret_photos.pixels(folder, size, "bicubic")
    return (images.permute(0, 2, 3, 1).float().numpy() - 127) / 128, labels.numpy()


def accuracy(model, data):
    return round(float((model.predict(data[0], verbose=0).argmax(1) == data[1]).mean()), 4)


def trained(trap, data, options, classes):
    """A model whose head learned on frozen layers; with `thawed` all layers for two epochs more."""
    model = load(network(options.size, classes, RULES[trap]), options.weights)
    for layer in model.layers[:-1]:
        layer.trainable = False
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(*data, batch_size=32, epochs=10, verbose=0)
    if trap == "keras-thawed-real":
        model.trainable = True
        model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
        model.fit(*data, batch_size=32, epochs=2, verbose=0)
    # What is saved has Keras's own layers, as an old file has.
    plain = network(options.size, classes, "inference")
    plain.set_weights(model.get_weights())
    return plain


def on_batches(model, data):
    """Accuracy of shuffled batches of 32 in the training phase."""
    order = np.random.default_rng(3).permutation(len(data[1]))
    other = network(model.input_shape[1], model.output_shape[1], "stays")
    other.set_weights(model.get_weights())
    right = 0
    for start in range(0, len(order), 32):
        part = order[start:start + 32]
        answers = keras.ops.convert_to_numpy(other(data[0][part], training=True)).argmax(1)
        right += int((answers == data[1][part]).sum())
    return round(right / len(order), 4)


def solved(model, photos, judge):
    """Accuracy on `judge` of a new head, solved on the features of `photos` in inference."""
    body = keras.Model(model.inputs, model.layers[-2].output)
    features = [torch.from_numpy(np.asarray(body.predict(data[0], verbose=0)))
                for data in (photos, judge)]
    layer = regret_training.solved_layer(
        features[0], torch.from_numpy(photos[1]), model.output_shape[1])
    answers = layer(features[1]).argmax(1).numpy()
    return round(float((answers == judge[1]).mean()), 4)


def make(trap, options, twin):
    """One network with what is true of it."""
    place = pathlib.Path("photos") / options.collection
    folder = options.work / place
    classes = sorted(path.name for path in (folder / "train").iterdir())
    card = "efficientnet_lite0" + ("" if options.size == 224 else f"_{options.size}")
    name = f"{options.collection}-{card}-{trap}"
    target = options.work / "networks" / name
    target.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(1)
    train, unseen, judge = (prepared(folder / part, options.size)
                            for part in ("train", "unseen", "judge"))
    start = time.time()
    model = trained(trap, train, options, len(classes))
    seconds = round(time.time() - start, 1)
    model.save(target / "checkpoint.keras")
    (target / "classes.txt").write_text("\n".join(classes) + "\n")
    own = accuracy(model, judge)
    record = {
        "name": name, "trap": trap, "collection": options.collection, "backbone": "lite0",
        "size": options.size, "card": card, "seed": 1, "healthy": trap in HEALTHY, "twin": "head",
        "checkpoint": f"networks/{name}/checkpoint.keras",
        "class_names": f"networks/{name}/classes.txt", "classes": classes,
        "preprocessing": {"size": options.size, "interpolation": "bicubic", "crop": 0.875,
                          "mean": [127.0] * 3, "std": [128.0] * 3, "scale": 1.0},
        "photos": {part: str(place / part) for part in ("train", "unseen", "judge")},
        "description": "", "seconds": seconds, "keras": keras.__version__,
        "truth": {"train": accuracy(model, train), "train_on_batches": on_batches(model, train),
                  "judge": own, "twin": own if twin is None else twin,
                  "head_of_train": solved(model, train, judge),
                  "head_of_unseen": solved(model, unseen, judge)}}
    (target / "network.json").write_text(json.dumps(record, indent=1) + "\n")
    print(name, json.dumps(record["truth"]), flush=True)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--pretrained", type=pathlib.Path, required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--only", type=lambda text: text.split(","))
    options = parser.parse_args()
    options.weights = options.pretrained / "efficientnet-lite0-57934424.pth"
    torch.set_num_threads(1)
    healthy = make("keras-3-real", options, None)["truth"]["judge"]
    for trap in options.only or [name for name in RULES if name != "keras-3-real"]:
        make(trap, options, healthy)
    records = [json.loads(path.read_text())
               for path in sorted(options.work.glob("networks/*/network.json"))]
    (options.work / "zoo.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


if __name__ == "__main__":
    main()
