#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the weight files that the tests of Checkpoints read, with the real Keras, h5py and NumPy.

Run from the repository's root in an environment that has keras 3, torch, h5py and numpy:

    python Tools/keras_fixtures.py

The value of weight t, in the order of the model, at index i is ((7 * i + 3 * t) % 23 - 11) / 4; the
tests know the formula.
"""
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

FOLDER = Path("Tests/CheckpointsTests/Fixtures")


def values(number: int, shape: tuple) -> np.ndarray:
    count = int(np.prod(shape))
    return (((7 * np.arange(count) + 3 * number) % 23 - 11) / 4).astype("float32").reshape(shape)


def network(name: str) -> keras.Model:
    image = layers.Input((4, 4, 3))
    x = layers.Conv2D(4, 3, name="block1_conv1")(image)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.DepthwiseConv2D(2, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(5, name="predictions")(x), name=name)


def fill(model: keras.Model) -> keras.Model:
    for number, weight in enumerate(model.weights):
        if "seed_generator" not in weight.path:
            weight.assign(values(number, tuple(weight.shape)))
    return model


def legacy_by_hand(path: Path, model: keras.Model, style: str) -> None:
    """The layout of TensorFlow's Keras 2 (`name/kernel:0`) or of Keras 1 (`name_W_1:0`)."""
    with h5py.File(path, "w") as file:
        named = [layer for layer in model.layers if layer.weights]
        # Texts of fixed length, and a list that is split into two attributes, as for long lists.
        names = np.array([layer.name.encode() for layer in named])
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]
        for layer in named:
            group = file.create_group(layer.name)
            weights = []
            for weight in layer.weights:
                leaf = weight.path.split("/")[-1]
                if leaf == "seed_generator_state":
                    continue
                if style == "keras2":
                    if isinstance(layer, layers.DepthwiseConv2D):
                        leaf = "depthwise_kernel"
                    name = f"{layer.name}/{leaf}:0"
                else:
                    leaf = {"kernel": "W", "bias": "b", "moving_mean": "running_mean"}.get(leaf, leaf)
                    name = f"{layer.name}_{leaf.replace('moving_variance', 'running_std')}_1:0"
                group[name] = keras.ops.convert_to_numpy(weight)
                weights.append(name.encode())
            group.attrs["weight_names"] = np.array(weights)


def forget_names(path: Path) -> None:
    """What early versions of Keras 3 wrote: layers have numbers only."""

    def forget(_, item):
        if "name" in item.attrs:
            del item.attrs["name"]

    with h5py.File(path, "r+") as file:
        file.visititems(forget)


def save_pixels() -> None:
    """A model that prepares its pixels itself, and one that normalises before it pools."""
    keras.backend.clear_session()
    image = layers.Input((6, 6, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Normalization(name="spread")(x)
    x = layers.Conv2D(2, 3)(x)
    x = layers.LayerNormalization()(x)
    x = layers.Rescaling(5.0)(x)
    x = layers.GlobalAveragePooling2D()(x)
    fill(keras.Model(image, layers.Dense(2)(x), name="pixels")).save(FOLDER / "pixels.keras")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    keras.backend.clear_session()
    model = fill(network("tiny"))
    model.save(FOLDER / "tiny.keras")
    model.save_weights(FOLDER / "tiny.weights.h5")
    model.save(FOLDER / "tiny.model.h5")
    model.save_weights(FOLDER / "unnamed.weights.h5")
    forget_names(FOLDER / "unnamed.weights.h5")
    legacy_by_hand(FOLDER / "tiny.keras2.h5", model, "keras2")
    legacy_by_hand(FOLDER / "tiny.keras1.h5", model, "keras1")
    save_pixels()
    keras.backend.clear_session()
    inner = network("inner")
    image = layers.Input((4, 4, 3))
    outer = fill(keras.Model(image, layers.Dense(2, name="head")(inner(image)), name="outer"))
    outer.save(FOLDER / "nested.keras")
    with h5py.File(FOLDER / "nested.legacy.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, outer)

    with h5py.File(FOLDER / "packed.h5", "w") as file:
        file.create_dataset("gzip", data=values(0, (10, 7)), chunks=(4, 3), compression="gzip")
        file.create_dataset(
            "shuffle", data=values(1, (5, 6)), chunks=(2, 6), compression="gzip", shuffle=True
        )
        file.create_dataset("chunks", data=values(2, (9,)), chunks=(4,))
        file.create_dataset("half", data=values(3, (3, 2)).astype("float16"))
    with h5py.File(FOLDER / "latest.h5", "w", libver="latest") as file:
        file.create_group("layer").create_dataset("kernel", data=values(0, (2, 3)))
        file["layer"].attrs["note"] = "text"

    # What a weight file has no business with.
    with h5py.File(FOLDER / "soft.h5", "w") as file:
        file["a"] = values(0, (2,))
        file["b"] = h5py.SoftLink("/a")
    with h5py.File(FOLDER / "elsewhere.h5", "w") as file:
        file["a"] = values(0, (2,))
        file["b"] = h5py.ExternalLink("other.h5", "/a")
    with h5py.File(FOLDER / "outside.h5", "w") as file:
        file.create_dataset("a", (2,), "f4", external=[("/etc/passwd", 0, 8)])
    with h5py.File(FOLDER / "virtual.h5", "w", libver="latest") as file:
        layout = h5py.VirtualLayout((2,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "a", (2,))
        file.create_virtual_dataset("a", layout)
    with h5py.File(FOLDER / "types.h5", "w") as file:
        file["a"] = values(0, (2,)).astype(">f4")

    arrays = {
        "float32": values(0, (2, 3)),
        "float64": values(1, (2, 3)).astype("float64"),
        "float16": values(2, (2, 3)).astype("float16"),
        "fortran": np.asfortranarray(values(3, (2, 3, 4))),
        "int64": np.arange(6).reshape(2, 3),
        "bool": np.array([True, False]),
        "scalar": np.float32(2.5),
        "layer.weight": values(4, (3,)),
    }
    np.savez(FOLDER / "arrays.npz", **arrays)
    np.savez_compressed(FOLDER / "packed.npz", **arrays)
    np.save(FOLDER / "fortran.npy", arrays["fortran"])
    np.save(FOLDER / "objects.npy", np.array([{}], dtype=object))
    np.save(FOLDER / "bigendian.npy", np.zeros(2, ">f4"))


if __name__ == "__main__":
    main()
