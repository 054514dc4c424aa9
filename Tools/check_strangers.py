#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks networks that people bring: files of the real libraries, with random weights and heads of their own.

    python Tools/check_strangers.py FOLDER [--only pt2,keras] [--thaw PROGRAM] [--damage]

Each kind is one file or folder as its library writes it: programs of torch.export, both ONNX exporters of
PyTorch, Keras 3, Keras 2's layout, tf2onnx, folders of transformers and timm, fastai's learn.save,
checkpoints of MoCo, SimCLR and DINO, pickles with argparse and NumPy inside, averages and wrappers. None of
them is a fixture of the tests. `thaw predict --logits` must give the library's logits for one photo, with both
engines, within 1e-3 (of the largest, where that is more than 1), and the same best five; of weights that end with
the features `thaw embed` must give the library's. Networks that Thaw does not have must be refused by what is
missing. With --damage one batch norm of a program and of a Keras model is given wrong statistics, and `thaw
diagnose batchnorm` must name that layer first.

Kinds whose library is not installed are counted and named, never called right. All need torch, torchvision,
timm, safetensors, numpy, pillow; the others onnx, onnxscript, onnxruntime, transformers, keras 3 with
tensorflow, tf_keras, tf2onnx, fastai. FOLDER is filled with one kind at a time. Exit code 1 when a row is wrong.
"""
import argparse
import importlib.util
import json
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

from check_torch import away, contract_of, thaw

KINDS = {}


class Kind:
    """A file, and what its library says of a photo.

    answer: of samples [3, side, side] under the contract (or of the photo's own 0 to 255, channels last, with
    `raw`) the logits or probabilities.
    """

    def __init__(self, path, answer, side, *more, raw=False, probabilities=False, headless=False,
                 contract=None):
        self.path, self.answer, self.side, self.more = path, answer, side, list(more)
        self.raw, self.probabilities, self.headless = raw, probabilities, headless
        # How photos are prepared, for weights that end with the features: these cannot be exported.
        self.contract = contract
        # What has to be said of a network that Thaw does not have.
        self.refusal = None


def kind(function):
    KINDS[function.__name__] = function
    return function


def needs(*libraries):
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            raise ModuleNotFoundError(library)


def photo(side):
    rows, columns = np.mgrid[:side, :side]
    return np.stack(
        [128 + 90 * np.sin(columns / 11 + rows / 23), 40 + 180 * ((columns // 7 + rows // 9) % 2),
         255 * rows / side], -1).astype("uint8")


def shaken(model, side, samples=4):
    """Random scales and shifts, and running statistics of made-up photos, so that every number counts."""
    torch.manual_seed(11)
    norms = [part for part in model.modules() if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm1d))]
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(("gamma", "layer_scale", "lambda1")):
                value.uniform_(0.2, 0.6)
            elif "grn" in name:
                value.normal_(0, 0.3)
            elif value.ndim == 1 and "norm" in name.lower() and name.endswith("weight"):
                value.uniform_(0.7, 1.3)
            elif value.ndim == 1 and name.endswith("bias"):
                value.normal_(0, 0.1)
        for norm in norms:
            norm.momentum = 1.0
            if norm.affine:
                norm.weight.uniform_(0.7, 1.3)
                norm.bias.normal_(0, 0.2)
        if norms:
            model.train()
            pixels = pixels_of(photo(side))[None]
            noise = torch.randn(samples, 3, side, side) * 0.5
            model(pixels + noise)
        for norm in norms:
            norm.momentum = 0.1
    return model.eval()


def pixels_of(square):
    values = (square / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(values.transpose(2, 0, 1).astype("float32"))


def answers(model):
    def answer(pixels):
        with torch.inference_mode():
            result = model(pixels[None])
            return getattr(result, "logits", result)[0].double().numpy()
    return answer


TORCH = ["--preprocessing", "torch"]


def program(folder, model, side, name="mine.pt2"):
    example = (torch.randn(2, 3, side, side),)
    exported = torch.export.export(model, example, dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(exported, folder / name)
    return Kind(folder / name, answers(model), side, *TORCH)


def onnx_file(folder, model, side, **options):
    needs("onnx", "onnxscript")
    path = folder / "mine.onnx"
    if not options.get("dynamo"):
        options = dict(dynamo=False, **options)
    else:
        options["external_data"] = False
    torch.onnx.export(model, (torch.randn(1, 3, side, side),), path, **options)
    return Kind(path, answers(model), side, *TORCH)


KEPT = dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)


def tail(features, classes, *, hidden=24):
    """A head as people write it: norms and dense layers in turn."""
    return nn.Sequential(
        nn.BatchNorm1d(features), nn.Dropout(0.25), nn.Linear(features, hidden, bias=False), nn.ReLU(),
        nn.BatchNorm1d(hidden), nn.Dropout(0.5), nn.Linear(hidden, classes))


class Own(nn.Module):
    """A network of nobody's, with a choice of endings."""

    def __init__(self, end="logits", classes=4, width=12):
        super().__init__()
        self.end = end
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2, groups=width // 4, bias=False),
            nn.BatchNorm2d(width), nn.SiLU(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(width, 2 * width, 1), nn.BatchNorm2d(2 * width), nn.Hardswish(), nn.AdaptiveAvgPool2d(1))
        self.one, self.norm, self.two = nn.Linear(2 * width, 16), nn.BatchNorm1d(16), nn.Linear(16, classes)

    def forward(self, x):
        x = torch.flatten(self.body(x), 1)
        x = self.two(nn.functional.dropout(torch.relu(self.norm(self.one(x))), 0.2, self.training))
        if self.end == "log_softmax":
            return nn.functional.log_softmax(x, dim=1)
        if self.end == "softmax":
            return x.softmax(1)
        return torch.sigmoid(x) if self.end == "sigmoid" else x


# Programs of torch.export


@kind
def pt2_resnet_with_normed_head(folder):
    model = torchvision.models.resnet18()
    model.fc = tail(512, 5)
    return program(folder, shaken(model, 64), 64)


@kind
def pt2_own_log_softmax(folder):
    return program(folder, shaken(Own("log_softmax"), 40), 40)


@kind
def pt2_own_sigmoids(folder):
    found = program(folder, shaken(Own("sigmoid"), 40), 40)
    found.probabilities = True
    return found


@kind
def pt2_timm_mobilenetv3(folder):
    return program(folder, shaken(timm.create_model("mobilenetv3_small_050", num_classes=7), 64), 64)


@kind
def pt2_timm_vit(folder):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=6, img_size=96, depth=3)
    return program(folder, shaken(model, 96), 96)


@kind
def pt2_timm_siglip(folder):
    model = timm.create_model("vit_base_patch16_siglip_224", num_classes=6, img_size=64, depth=2, embed_dim=96, num_heads=4)
    return program(folder, shaken(model, 64), 64)


@kind
def pt2_timm_distilled(folder):
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=6, img_size=64, depth=2)
    return program(folder, shaken(model, 64), 64)


@kind
def pt2_torchvision_squeezenet(folder):
    return program(folder, shaken(torchvision.models.squeezenet1_1(num_classes=6), 70), 70)


@kind
def pt2_torchvision_densenet(folder):
    model = torchvision.models.DenseNet(8, (2, 3, 2), 16, num_classes=5)
    model.classifier = nn.Sequential(nn.Linear(model.classifier.in_features, 9), nn.ReLU(), nn.Linear(9, 5))
    return program(folder, shaken(model, 64), 64)


@kind
def pt2_timm_convnextv2(folder):
    model = timm.create_model("convnextv2_atto", num_classes=5, depths=(1, 1, 2, 1))
    return program(folder, shaken(model, 64), 64)


@kind
def pt2_timm_regnety(folder):
    return program(folder, shaken(timm.create_model("regnety_002", num_classes=5), 64), 64)


@kind
def pt2_timm_inception_resnet(folder):
    return program(folder, shaken(timm.create_model("inception_resnet_v2", num_classes=5), 107), 107)


# PyTorch's ONNX exporters


@kind
def onnx_old_resnet_with_normed_head(folder):
    model = torchvision.models.resnet18()
    model.fc = tail(512, 5)
    return onnx_file(folder, shaken(model, 64), 64, opset_version=13, **KEPT)


@kind
def onnx_old_folded(folder):
    return onnx_file(folder, shaken(Own(), 40), 40, opset_version=17)


@kind
def onnx_old_log_softmax(folder):
    return onnx_file(folder, shaken(Own("log_softmax"), 40), 40, opset_version=11, **KEPT)


@kind
def onnx_new_log_softmax(folder):
    return onnx_file(folder, shaken(Own("log_softmax"), 40), 40, dynamo=True)


@kind
def onnx_new_efficientnet(folder):
    model = torchvision.models.efficientnet_b0(num_classes=6)
    return onnx_file(folder, shaken(model, 64), 64, dynamo=True)


@kind
def onnx_new_regnet(folder):
    return onnx_file(folder, shaken(torchvision.models.regnet_y_400mf(num_classes=6), 64), 64, dynamo=True)


@kind
def onnx_old_mnasnet(folder):
    return onnx_file(folder, shaken(torchvision.models.mnasnet0_5(num_classes=6), 64), 64, opset_version=14, **KEPT)


@kind
def onnx_old_googlenet(folder):
    model = torchvision.models.googlenet(num_classes=6, aux_logits=False, transform_input=False, init_weights=False)
    return onnx_file(folder, shaken(model, 70), 70, opset_version=12, **KEPT)


@kind
def onnx_old_convnextv2(folder):
    model = timm.create_model("convnextv2_atto", num_classes=5, depths=(1, 1, 2, 1))
    return onnx_file(folder, shaken(model, 64), 64, opset_version=17)


@kind
def onnx_new_convnextv2(folder):
    model = timm.create_model("convnextv2_atto", num_classes=5, depths=(1, 1, 2, 1))
    return onnx_file(folder, shaken(model, 64), 64, dynamo=True)


@kind
def onnx_new_convnext_free_batch(folder):
    needs("onnx", "onnxscript")
    model = shaken(timm.create_model("convnext_tiny", num_classes=5, depths=(1, 1, 2, 1)), 64)
    torch.onnx.export(model, (torch.randn(2, 3, 64, 64),), folder / "mine.onnx", dynamo=True, external_data=False,
                      dynamic_shapes=({0: torch.export.Dim("batch")},))
    return Kind(folder / "mine.onnx", answers(model), 64, *TORCH)


@kind
def onnx_old_convnextv2_of_transformers(folder):
    needs("transformers")
    import transformers
    config = transformers.ConvNextV2Config(
        hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 2, 1], num_labels=5, image_size=64)
    model = transformers.ConvNextV2ForImageClassification(config)

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x).logits
    return onnx_file(folder, shaken(Logits(), 64), 64, opset_version=17)


@kind
def onnx_new_vit_of_torchvision(folder):
    model = torchvision.models.VisionTransformer(64, 16, 3, 4, 64, 128, num_classes=5)
    nn.init.normal_(model.heads.head.weight, 0, 0.3)
    return onnx_file(folder, shaken(model, 64), 64, dynamo=True)


@kind
def onnx_new_siglip_of_timm(folder):
    model = timm.create_model("vit_base_patch16_siglip_224", num_classes=6, img_size=64, depth=2, embed_dim=96, num_heads=4)
    return onnx_file(folder, shaken(model, 64), 64, dynamo=True)


@kind
def onnx_old_siglip_tower(folder):
    class Features(nn.Module):
        def __init__(self, tower):
            super().__init__()
            self.tower, self.head = tower, nn.Linear(64, 5)

        def forward(self, x):
            return self.head(self.tower(x).pooler_output)
    t = transformers_library()
    config = t.SiglipVisionConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                  image_size=64, patch_size=16)
    return onnx_file(folder, shaken(Features(t.SiglipVisionModel(config)), 64), 64, opset_version=17)


@kind
def onnx_old_inception(folder):
    model = torchvision.models.inception_v3(num_classes=6, aux_logits=False, init_weights=False)
    model.fc = tail(2048, 6)
    return onnx_file(folder, shaken(model, 107), 107, opset_version=16, **KEPT)


# Keras


def filled(model, seed=5):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        fan = int(np.prod(weight.shape[:-1])) or 1
        values = rng.normal(0, (2 / fan) ** 0.5 if len(weight.shape) > 1 else 0.1, weight.shape)
        if "depthwise" in weight.name:
            values = rng.normal(0, 0.35, weight.shape)
        if "variance" in weight.name or "gamma" in weight.name:
            values = rng.uniform(0.6, 1.4, weight.shape)
        weight.assign(values.astype("float32"))
    return model


def keras_kind(folder, model, name, side, *more, **options):
    path = folder / name
    filled(model).save(path)

    def answer(square):
        return np.asarray(model(square[None].astype("float32"), training=False))[0].astype("float64")
    return Kind(path, answer, side, *more, raw=True, **options)


@kind
def keras3_pooled_with_norms(folder):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    base = keras.applications.MobileNetV2(input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=None)
    x = photo_in = keras.Input((64, 64, 3))
    x = base(L.Rescaling(1 / 127.5, offset=-1)(L.RandomFlip()(x)))
    x = L.BatchNormalization()(L.GlobalAveragePooling2D()(x))
    x = L.Dense(20, activation="swish")(L.Dropout(0.3)(x))
    x = L.Dense(5, activation="softmax", use_bias=False)(L.BatchNormalization(scale=False)(x))
    return keras_kind(folder, keras.Model(photo_in, x), "mine.keras", 64, probabilities=True)


@kind
def keras3_flat_h5(folder):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    model = keras.Sequential([
        keras.Input((36, 36, 3)), L.Rescaling(1 / 255.0),
        L.Conv2D(8, 3, padding="same", activation="relu"), L.MaxPooling2D(),
        L.SeparableConv2D(12, 3, activation="relu"), L.BatchNormalization(), L.MaxPooling2D(), L.Flatten(),
        L.BatchNormalization(), L.Dense(14, activation="gelu"), L.Dense(4)])
    return keras_kind(folder, model, "mine.h5", 36)


@kind
def keras3_log_softmax(folder):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    model = keras.Sequential([
        keras.Input((36, 36, 3)), L.Rescaling(1 / 255.0), L.Conv2D(8, 3, strides=2, activation="relu"),
        L.GlobalMaxPooling2D(), L.Dense(4, activation="log_softmax")])
    return keras_kind(folder, model, "mine.keras", 36)


@kind
def keras3_sigmoids(folder):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    x = photo_in = keras.Input((48, 48, 3))
    x = L.Conv2D(10, 3, strides=2, use_bias=False)(x / 255.0)
    x = L.Activation("relu")(L.BatchNormalization()(x))
    y = L.Conv2D(10, 3, padding="same", activation="silu")(x)
    x = L.Concatenate()([x, L.Add()([x, y])])
    x = L.Dense(3, activation="sigmoid")(L.GlobalAveragePooling2D()(x))
    return keras_kind(folder, keras.Model(photo_in, x), "mine.keras", 48, probabilities=True)


@kind
def keras3_inception_resnet(folder):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    base = keras.applications.InceptionResNetV2(
        input_shape=(107, 107, 3), include_top=False, weights=None, pooling="avg")
    x = photo_in = keras.Input((107, 107, 3))
    x = base(L.Rescaling(1 / 127.5, offset=-1)(x))
    return keras_kind(
        folder, keras.Model(photo_in, L.Dense(4, activation="softmax")(x)), "mine.keras", 107, probabilities=True)


def old_keras():
    needs("tf_keras")
    import tf_keras
    return tf_keras


@kind
def keras2_nested_h5(folder):
    keras = old_keras()
    L = keras.layers
    base = keras.applications.MobileNet(input_shape=(64, 64, 3), alpha=0.25, include_top=False, weights=None)
    model = keras.Sequential([
        L.Rescaling(1 / 127.5, offset=-1, input_shape=(64, 64, 3)), base, L.GlobalAveragePooling2D(),
        L.Dense(16, activation="relu"), L.BatchNormalization(), L.Dropout(0.4), L.Dense(1, activation="sigmoid")])
    return keras_kind(folder, model, "mine.h5", 64, probabilities=True)


@kind
def keras2_vgg_h5(folder):
    keras = old_keras()
    L = keras.layers
    base = keras.applications.VGG16(input_shape=(48, 48, 3), include_top=False, weights=None)
    x = L.Dense(24, activation="relu")(L.Flatten()(base.output))
    x = L.Dense(3, activation="softmax")(L.BatchNormalization()(x))
    model = keras.Model(base.input, x)
    model.compile(loss="categorical_crossentropy")
    return keras_kind(folder, model, "mine.h5", 48, "--preprocessing", "raw", probabilities=True)


@kind
def keras2_hard_sigmoid(folder):
    keras = old_keras()
    L = keras.layers
    x = photo_in = keras.Input((40, 40, 3))
    x = L.Conv2D(8, 3, activation="relu")(L.Rescaling(1 / 255.0)(x))
    gates = L.Conv2D(8, 1, activation="hard_sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.GlobalAveragePooling2D()(L.Multiply()([x, gates]))
    return keras_kind(folder, keras.Model(photo_in, L.Dense(3)(x)), "mine.h5", 40)


def tensorflow_onnx(folder, model, side, opset, **options):
    import tensorflow
    import tf2onnx
    path = folder / "mine.onnx"
    filled(model)
    spec = (tensorflow.TensorSpec((None, side, side, 3), tensorflow.float32, name="photo"),)
    function = tensorflow.function(lambda photo: model(photo, training=False))
    tf2onnx.convert.from_function(function, input_signature=spec, opset=opset, output_path=str(path))

    def answer(square):
        return np.asarray(model(square[None].astype("float32"), training=False))[0].astype("float64")
    return Kind(path, answer, side, "--preprocessing", "raw", raw=True, **options)


@kind
def tf2onnx_residual(folder):
    needs("tf2onnx", "tensorflow", "keras")
    import keras
    from keras import layers as L
    x = photo_in = keras.Input((48, 48, 3))
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x / 255.0)
    x = L.ReLU(6)(L.BatchNormalization()(x))
    y = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = L.Conv2D(8, 1)(L.Activation("silu")(L.BatchNormalization()(y)))
    x = L.GlobalAveragePooling2D()(L.Add()([x, y]))
    x = L.BatchNormalization()(L.Dense(12, activation="relu")(x))
    return tensorflow_onnx(folder, keras.Model(photo_in, L.Dense(4, activation="softmax")(x)), 48, 15,
                           probabilities=True)


@kind
def keras_export_onnx(folder):
    needs("tf2onnx", "tensorflow", "keras")
    import keras
    from keras import layers as L
    model = filled(keras.Sequential([
        keras.Input((40, 40, 3)), L.Conv2D(8, 3, strides=2), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(),
        L.Flatten(), L.Dense(10, activation="relu"), L.Dense(3, activation="sigmoid")]))
    model(np.zeros((1, 40, 40, 3), "float32"))
    model.export(folder / "mine.onnx", format="onnx", verbose=False)

    def answer(square):
        values = pixels_of(square).numpy().transpose(1, 2, 0)
        return np.asarray(model(values[None], training=False))[0].astype("float64")
    return Kind(folder / "mine.onnx", answer, 40, *TORCH, raw=True, probabilities=True)


# Folders


def hugging_face(folder, model, side, headless=False, **processor):
    place = folder / "mine"
    model = shaken(model, side)
    model.save_pretrained(place)
    described = {"size": {"height": side, "width": side}, "do_resize": True, "do_rescale": True,
                 "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.6],
                 "image_std": [0.2, 0.3, 0.25], "resample": 3, "image_processor_type": "ViTImageProcessor"}
    described.update(processor)
    (place / "preprocessor_config.json").write_text(json.dumps(described))
    answer = answers(model)
    if headless:
        def answer(pixels):
            with torch.inference_mode():
                return model(pixels[None]).pooler_output[0].flatten().double().numpy()
    contract = {"crop_fraction": 1.0, "mean": described["image_mean"], "std": described["image_std"]}
    return Kind(place, answer, side, headless=headless, contract=contract)


def transformers_library():
    needs("transformers")
    import transformers
    return transformers


@kind
def folder_resnet(folder):
    t = transformers_library()
    config = t.ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic", num_labels=5)
    return hugging_face(folder, t.ResNetForImageClassification(config), 64)


@kind
def folder_convnextv2(folder):
    t = transformers_library()
    config = t.ConvNextV2Config(num_labels=5, depths=[2, 2, 6, 2], hidden_sizes=[40, 80, 160, 320], image_size=64)
    return hugging_face(folder, t.ConvNextV2ForImageClassification(config), 64)


@kind
def folder_clip(folder):
    t = transformers_library()
    vision = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, image_size=64,
                  patch_size=16)
    config = t.CLIPConfig(vision_config=vision, text_config=dict(num_hidden_layers=1, hidden_size=32,
                                                                 intermediate_size=32, num_attention_heads=2))
    config.num_labels = 6
    return hugging_face(folder, t.CLIPForImageClassification(config), 64)


@kind
def folder_siglip(folder):
    t = transformers_library()
    vision = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, image_size=64,
                  patch_size=16)
    config = t.SiglipConfig(vision_config=vision, text_config=dict(num_hidden_layers=1, hidden_size=32,
                                                                   intermediate_size=32, num_attention_heads=2))
    config.num_labels = 6
    return hugging_face(folder, t.SiglipForImageClassification(config), 64)


@kind
def folder_siglip2(folder):
    t = transformers_library()
    vision = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, image_size=64,
                  patch_size=16, hidden_act="gelu")
    config = t.SiglipConfig(vision_config=vision, text_config=dict(num_hidden_layers=1, hidden_size=32,
                                                                   intermediate_size=32, num_attention_heads=2))
    config.num_labels = 3
    return hugging_face(folder, t.SiglipForImageClassification(config).half().float(), 64)


@kind
def folder_siglip_tower(folder):
    t = transformers_library()
    config = t.SiglipVisionConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                  image_size=64, patch_size=16)
    return hugging_face(folder, t.SiglipVisionModel(config), 64, headless=True)


@kind
def folder_deit_distilled(folder):
    t = transformers_library()
    config = t.DeiTConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                          image_size=64, num_labels=5)
    return hugging_face(folder, t.DeiTForImageClassificationWithTeacher(config), 64)


@kind
def folder_dinov2(folder):
    t = transformers_library()
    config = t.Dinov2Config(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=56, num_labels=5)
    return hugging_face(folder, t.Dinov2ForImageClassification(config), 56)


@kind
def folder_dinov3(folder):
    t = transformers_library()
    config = t.DINOv3ViTConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                               image_size=64, num_register_tokens=4)
    return hugging_face(folder, t.DINOv3ViTModel(config), 64, headless=True)


@kind
def folder_dinov3_gated(folder):
    t = transformers_library()
    config = t.DINOv3ViTConfig(hidden_size=96, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
                               image_size=80, num_register_tokens=2, use_gated_mlp=True, hidden_act="silu",
                               rope_theta=50.0, layer_norm_eps=1e-6)
    return hugging_face(folder, t.DINOv3ViTModel(config), 80, headless=True)


@kind
def folder_dinov3_convnext(folder):
    t = transformers_library()
    config = t.DINOv3ConvNextConfig()
    return hugging_face(folder, t.DINOv3ConvNextModel(config), 64, headless=True)


@kind
def folder_mobilenetv2(folder):
    t = transformers_library()
    config = t.MobileNetV2Config(num_labels=5, tf_padding=True)
    return hugging_face(folder, t.MobileNetV2ForImageClassification(config), 64)


@kind
def folder_regnet(folder):
    t = transformers_library()
    config = t.RegNetConfig(num_labels=5, depths=[1, 3, 6, 6], hidden_sizes=[48, 104, 208, 440], groups_width=8,
                            layer_type="y")
    return hugging_face(folder, t.RegNetForImageClassification(config), 64)


@kind
def folder_vit(folder):
    t = transformers_library()
    config = t.ViTConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                         image_size=64, num_labels=5, hidden_act="gelu_new")
    return hugging_face(folder, t.ViTForImageClassification(config), 64)


def timm_folder(folder, name, side, classes, **options):
    from safetensors.torch import save_file
    model = shaken(timm.create_model(name, num_classes=classes, **options), side)
    place = folder / "mine"
    place.mkdir()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, place / "model.safetensors")
    described = {
        "architecture": name, "num_classes": classes, "num_features": model.num_features,
        "label_names": [f"kind {index}" for index in range(classes)],
        "pretrained_cfg": {"input_size": [3, side, side], "fixed_input_size": False, "interpolation": "bicubic",
                           "crop_pct": 1.0, "crop_mode": "center", "mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25],
                           "num_classes": classes},
    }
    described["model_args"] = options
    (place / "config.json").write_text(json.dumps(described))
    return Kind(place, answers(model), side)


@kind
def timm_efficientnet(folder):
    return timm_folder(folder, "tf_efficientnet_b0", 96, 7)


@kind
def timm_mobilenetv3(folder):
    return timm_folder(folder, "tf_mobilenetv3_small_075", 96, 4)


@kind
def timm_vit(folder):
    return timm_folder(folder, "vit_tiny_patch16_224", 224, 4)


@kind
def checkpoint_squeezenet(folder):
    model = shaken(torchvision.models.squeezenet1_0(num_classes=7), 64)
    torch.save({"epoch": 1, "model": model.state_dict()}, folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 64)


@kind
def checkpoint_squeezenet_with_dense_head(folder):
    model = torchvision.models.squeezenet1_1()
    model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 6, bias=False))
    torch.save(shaken(model, 64).state_dict(), folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 64)


@kind
def checkpoint_without_affine(folder):
    model = torchvision.models.resnet18(num_classes=6)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.affine, norm.weight, norm.bias = False, None, None
    torch.save(shaken(model, 64).state_dict(), folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 64)


@kind
def timm_inception_resnet(folder):
    return timm_folder(folder, "inception_resnet_v2", 107, 4)


@kind
def timm_dinov3(folder):
    return timm_folder(folder, "vit_small_patch16_dinov3", 64, 5)


@kind
def timm_dinov3_gated(folder):
    return timm_folder(folder, "vit_small_plus_patch16_dinov3_qkvb", 96, 5, global_pool="token", depth=3)


@kind
def timm_dinov3_convnext(folder):
    return timm_folder(folder, "convnext_tiny.dinov3_lvd1689m", 64, 5)


@kind
def timm_other_rotation(folder):
    found = timm_folder(folder, "vit_medium_patch16_rope_reg1_gap_256", 256, 5, depth=2)
    found.refusal = "rotary embeddings"
    return found


@kind
def checkpoint_dinov3_of_facebook(folder):
    # timm's port under the names and with the periods of the authors' files; the features are the class token.
    model = shaken(timm.create_model("vit_small_patch16_dinov3_qkvb", num_classes=0, global_pool="token", depth=3),
                   64)
    periods = model.rope.periods.bfloat16().float()
    model.rope.periods.copy_(periods)
    tensors = {"mask_token": torch.zeros(1, 384), "rope_embed.periods": periods}
    for name, tensor in model.state_dict().items():
        if name.endswith("v_bias"):
            continue
        if name.endswith("q_bias"):
            name = name.replace("q_bias", "qkv.bias")
            # What the mask takes away is any number.
            values = model.state_dict()[name.replace("qkv.bias", "v_bias")]
            tensor = torch.cat([tensor, torch.full_like(tensor, 7), values])
            tensors[name + "_mask"] = torch.cat([torch.ones(384), torch.zeros(384), torch.ones(384)])
        name = name.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
        tensors[name.replace("reg_token", "storage_tokens")] = tensor
    torch.save(tensors, folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 224, headless=True, contract={"crop_fraction": 1.0})


@kind
def timm_siglip(folder):
    return timm_folder(folder, "vit_base_patch32_siglip_256", 256, 6, depth=2)


@kind
def timm_distilled(folder):
    return timm_folder(folder, "deit_tiny_distilled_patch16_224", 224, 4)


@kind
def timm_swin(folder):
    found = timm_folder(folder, "swin_tiny_patch4_window7_224", 224, 5)
    found.refusal = "a network that Thaw does not have"
    return found


# Checkpoints of trainings


@kind
def pickle_argparse(folder):
    model = torchvision.models.resnet18(num_classes=6)
    shaken(model, 64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    torch.save(
        {"args": argparse.Namespace(lr=0.1, out=Path("runs"), seed=np.int64(3)), "best_acc1": np.float64(71.25),
         "history": np.arange(3.0), "optimizer": optimizer.state_dict(), "epoch": 7,
         "state_dict": {"module." + key: value for key, value in model.state_dict().items()}}, folder / "mine.pth.tar")
    return Kind(folder / "mine.pth.tar", answers(model), 64)


@kind
def pickle_whole_module(folder):
    model = torchvision.models.mobilenet_v2(num_classes=6)
    model.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(1280, 6))
    shaken(model, 64)
    torch.save(model, folder / "mine.pt")
    return Kind(folder / "mine.pt", answers(model), 64)


@kind
def lightning_compiled(folder):
    model = shaken(timm.create_model("resnet34", num_classes=6), 64)
    state = {"model._orig_mod." + key: value for key, value in model.state_dict().items()}
    state["criterion.weight"] = torch.ones(6)
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 1e-3}, "pytorch-lightning_version": "2.5",
                "callbacks": {}, "loops": {}}, folder / "mine.ckpt")
    return Kind(folder / "mine.ckpt", answers(model), 64)


@kind
def average_beside_raw(folder):
    torch.manual_seed(3)
    raw = shaken(torchvision.models.resnet18(num_classes=6), 64)
    torch.manual_seed(4)
    ema = shaken(torchvision.models.resnet18(num_classes=6), 64)
    torch.save({"model": raw.state_dict(), "ema_model": {"module." + k: v for k, v in ema.state_dict().items()}},
               folder / "mine.pt")
    return Kind(folder / "mine.pt", answers(ema), 64, "--weights-key", "ema_model")


@kind
def moco(folder):
    model = torchvision.models.resnet18()
    model.fc = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))
    shaken(model, 64)
    state = {"module.encoder_q." + key: value for key, value in model.state_dict().items()}
    state |= {"module.encoder_k." + key: value + 1 for key, value in model.state_dict().items()}
    state["module.queue"] = torch.randn(128, 64)
    state["module.queue_ptr"] = torch.zeros(1, dtype=torch.long)
    torch.save({"epoch": 199, "arch": "resnet18", "state_dict": state}, folder / "mine.pth")
    model.fc = nn.Identity()
    return Kind(folder / "mine.pth", answers(model), 224, headless=True)


@kind
def simclr(folder):
    model = torchvision.models.resnet18()
    model.fc = nn.Identity()
    shaken(model, 64)
    state = {"backbone." + key: value for key, value in model.state_dict().items()}
    state |= {"projection_head.0.weight": torch.randn(64, 512), "projection_head.2.weight": torch.randn(32, 64)}
    torch.save({"state_dict": state}, folder / "mine.ckpt")
    return Kind(folder / "mine.ckpt", answers(model), 224, headless=True)


@kind
def dino(folder):
    model = shaken(timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64, depth=2), 64)
    state = {"module.backbone." + key: value for key, value in model.state_dict().items()}
    head = {"module.head.mlp.0.weight": torch.randn(64, 192), "module.head.last_layer.weight_v": torch.randn(64, 64)}
    teacher = {key.removeprefix("module."): value for key, value in (state | head).items()}
    student = {key: value + 0.5 for key, value in (state | head).items()}
    torch.save({"student": student, "teacher": teacher, "epoch": 3, "args": argparse.Namespace(arch="vit_tiny")},
               folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 64, "--weights-key", "teacher", headless=True,
                contract={"scale": 1 / 127.5, "mean": [1, 1, 1], "std": [1, 1, 1], "crop_fraction": 0.9})


@kind
def fastai_learner(folder):
    needs("fastai")
    from fastai.vision.all import create_vision_model
    model = create_vision_model(torchvision.models.resnet18, 5, pretrained=False)
    shaken(model, 64)
    torch.save({"model": model.state_dict(), "opt": None}, folder / "mine.pth")
    return Kind(folder / "mine.pth", answers(model), 64)


@kind
def fastai_program(folder):
    needs("fastai")
    from fastai.vision.all import create_vision_model
    model = create_vision_model(torchvision.models.resnet18, 5, pretrained=False, lin_ftrs=[32], ps=0.3)
    return program(folder, shaken(model, 64), 64)


@kind
def fastai_onnx(folder):
    needs("fastai", "onnx", "onnxscript")
    from fastai.vision.all import create_vision_model
    model = create_vision_model(torchvision.models.resnet18, 5, pretrained=False)
    return onnx_file(folder, shaken(model, 64), 64, opset_version=15, **KEPT)


# Checking

# What --preprocessing means; the photo is cut out of one 8/7 as large.
FAMILIES = {
    "torch": {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "raw": {"scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]},
}


def framed(program, found, folder):
    """The photo inside whatever is cut off, the square that is left, and its samples under the contract."""
    if "--preprocessing" in found.more:
        contract = {"input_size": found.side, "crop_fraction": 0.875, **FAMILIES[found.more[1]]}
    elif found.headless:
        contract = {"input_size": found.side, "crop_fraction": 0.875, **FAMILIES["torch"], **(found.contract or {})}
    else:
        contract = contract_of(program, found.path, found.more, folder)
    size = contract["input_size"]
    square = photo(size)
    target = int(size / contract["crop_fraction"])
    frame = np.zeros((target, target, 3), "uint8")
    edge = int(round((target - size) / 2))
    frame[edge:edge + size, edge:edge + size] = square
    picture = folder / "photo.png"
    Image.fromarray(frame).save(picture)
    if found.raw:
        return picture, square, size
    values = square.astype("float64") * contract["scale"]
    if contract.get("channel_order", "rgb") == "bgr":
        values = values[..., ::-1]
    values = (values - np.array(contract["mean"])) / np.array(contract["std"])
    return picture, torch.from_numpy(values.transpose(2, 0, 1).astype("float32").copy()), size


def compare(program, found, folder):
    picture, samples, size = framed(program, found, folder)
    if found.headless:
        imported(program, found, folder)
    expected = np.asarray(found.answer(samples), "float64")
    worst = []
    for engine in ("onednn", "reference"):
        if found.headless:
            vectors = folder / "vectors.npy"
            thaw(program, "embed", picture, "--model", "strange", "--output", vectors, "--engine", engine)
            worst.append(away(np.load(vectors)[0], expected))
            continue
        row = json.loads(thaw(program, "predict", "--model", found.path, *found.more, picture, "--logits", "--json",
                              "--engine", engine))[0]
        answer = np.asarray(row["logits"], "float64")
        reference = expected
        if found.probabilities:
            # Whatever is made of the logits: a softmax, or a sigmoid of each.
            if len(expected) == 1 and len(answer) == 2:
                answer = answer[1:] - answer[:1]
            powers = np.exp(answer - answer.max())
            is_softmax = abs(expected.sum() - 1) < 1e-4 and len(expected) > 1
            answer = powers / powers.sum() if is_softmax else 1 / (1 + np.exp(-answer))
        elif abs(np.exp(expected).sum() - 1) < 1e-4:
            answer = answer - np.log(np.exp(answer - answer.max()).sum()) - answer.max()
        if len(answer) != len(reference):
            raise RuntimeError(f"{len(answer)} outputs, the library has {len(reference)}")
        order = list(np.argsort(-answer)[:5]) == list(np.argsort(-reference)[:5])
        worst.append(away(answer, reference) if order else float("inf"))
    return worst, size, float(np.abs(expected).max())


def imported(program, found, folder):
    """Takes weights without a classifier in as a backbone, among cards of their own."""
    cards = folder / "cards"
    cards.mkdir()
    os.environ["THAW_PRETRAINED"] = str(cards)
    thaw(program, "pretrained", "import", found.path, "--name", "strange", *found.more)


def refused(program, found, folder):
    """Whether a network that Thaw does not have is refused by what it lacks."""
    Image.fromarray(photo(64)).save(folder / "photo.png")
    try:
        thaw(program, "predict", "--model", found.path, *found.more, folder / "photo.png")
    except RuntimeError as error:
        said = found.refusal in str(error)
        return ("ok", f"refused: {found.refusal}") if said else ("WRONG", str(error)[-300:])
    return "WRONG", "it was predicted"


# Damage


def blobs(folder, side, count=24):
    """Photos with something on them, for statistics."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[:side, :side] / side
    for index in range(count):
        place = folder / f"kind{index % 2}"
        place.mkdir(parents=True, exist_ok=True)
        waves = [np.sin(rng.uniform(2, 20) * rows + rng.uniform(2, 20) * columns + rng.uniform(0, 6)) for _ in range(3)]
        noise = rng.normal(0, 12, (side, side, 3))
        picture = 128 + 70 * np.stack(waves, -1) + noise + (40 if index % 2 else -20)
        Image.fromarray(picture.clip(0, 255).astype("uint8")).save(place / f"{index}.png")
    return folder


def samples(photos):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(photos.rglob("*.png"))]).astype("float32")


def damaged_program(folder, photos, side):
    """A program whose last but one batch norm has wrong running statistics; its layer's name."""
    torch.manual_seed(5)
    model = Own(classes=2)
    pixels = torch.stack([pixels_of(square) for square in samples(photos)])
    norms = [(name, part) for name, part in model.named_modules() if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm1d))]
    for _, norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(pixels)
    name, norm = norms[1]
    norm.running_mean += 6 * norm.running_var.sqrt()
    norm.running_var *= 40
    return program(folder, model.eval(), side).path, name, ["--preprocessing", "torch"]


def damaged_keras(folder, photos, side):
    needs("keras", "tensorflow")
    import keras
    from keras import layers as L
    keras.utils.set_random_seed(5)
    x = photo_in = keras.Input((side, side, 3))
    x = L.Rescaling(1 / 127.5, offset=-1)(x)
    for index, width in enumerate((8, 12, 16)):
        x = L.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = L.ReLU()(L.BatchNormalization(momentum=0.0, name=f"norm_{index}")(x))
    x = L.Dropout(0.2)(L.Dense(10, activation="relu")(L.GlobalAveragePooling2D()(x)))
    x = L.BatchNormalization(momentum=0.0, name="head_norm")(x)
    model = keras.Model(photo_in, L.Dense(2, activation="softmax")(x))
    model(samples(photos), training=True)
    norm = model.get_layer("norm_1")
    mean, variance = norm.moving_mean, norm.moving_variance
    mean.assign(mean + 6 * variance ** 0.5)
    variance.assign(variance * 40)
    model.save(folder / "mine.keras")
    return folder / "mine.keras", "norm_1", []


def check_damage(program, folder):
    """Whether the batch norm that was broken is the one that is accused."""
    rows = []
    for name, make in (("pt2", damaged_program), ("keras", damaged_keras)):
        place = folder / f"damage_{name}"
        shutil.rmtree(place, ignore_errors=True)
        photos = blobs(place / "photos", 48)
        try:
            path, layer, more = make(place, photos, 48)
            report = json.loads(thaw(program, "diagnose", "batchnorm", "--model", path, *more, "--data", photos,
                                     "--class-names", names_file(place), "--no-fixes", "--json"))
            worst = sorted(report["layers"], key=lambda row: -row["divergence"])[0]["path"]
            good = layer in report["verdict"] or layer in json.dumps(report.get("evidence", ""))
            rows.append((good and worst == layer, f"damage_{name}: broken {layer}, first {worst}: {report['verdict']}"))
        except ModuleNotFoundError as error:
            rows.append((None, f"damage_{name}: {error} is not installed"))
        except Exception as error:
            rows.append((False, f"damage_{name}: {type(error).__name__}: {str(error)[-500:]}"))
    return rows


def names_file(folder):
    (folder / "names.txt").write_text("kind0\nkind1\n")
    return folder / "names.txt"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="parts of the names of kinds, with commas")
    parser.add_argument("--thaw", default=".build/release/thaw")
    parser.add_argument("--keep", action="store_true", help="leave the files where they are")
    parser.add_argument("--damage", action="store_true", help="break a batch norm and see whether it is accused")
    arguments = parser.parse_args()
    wanted = [part for part in arguments.only.split(",") if part]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    counts = {"ok": 0, "WRONG": 0, "absent": 0}
    for name, make in KINDS.items():
        if wanted and not any(part in name for part in wanted):
            continue
        folder = arguments.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        torch.manual_seed(7)
        os.environ.pop("THAW_PRETRAINED", None)
        try:
            found = make(folder)
            if found.refusal:
                word, text = refused(arguments.thaw, found, folder)
            else:
                worst, size, largest = compare(arguments.thaw, found, folder)
                word = "ok" if max(worst) <= 1e-3 else "WRONG"
                text = f"{size} pixels, off by {worst[0]:.1e} and {worst[1]:.1e} of {largest:.2g}"
        except ModuleNotFoundError as error:
            word, text = "absent", f"{error} is not installed"
        except Exception as error:
            told = str(error)
            told = told[told.rfind("error: "):] if "error: " in told else told[-500:]
            word, text = "WRONG", f"{type(error).__name__}: {told[:500]}"
            if os.environ.get("TRACE"):
                traceback.print_exc()
        counts[word] += 1
        print(f"{word:6} {name}: {text}", flush=True)
        if not arguments.keep:
            shutil.rmtree(folder)
    for good, text in check_damage(arguments.thaw, arguments.folder) if arguments.damage else []:
        word = {True: "ok", False: "WRONG", None: "absent"}[good]
        counts[word] += 1
        print(f"{word:6} {text}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    sys.exit(1 if counts["WRONG"] else 0)


if __name__ == "__main__":
    main()
