#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixture that compares Thaw's architectures with torchvision's, timm's and Keras's.

    python Tools/parity_architectures.py Tests/BackbonesTests/Fixtures [NAME...]

The real networks run in double precision. Parameters and inputs are procedural (`procedural` in
parity_network.py, `Parameters.procedural` in Sources/Network), so only results are stored:

    architectures.json   per network: sizes, the logits of two images at each size, and for one of
                         each family a projection and the norm of every weight's gradient

`scales` are factors on parameters whose path ends in the given name: without them the sum of fifty
residual branches would leave the range in which 1e-3 means anything.

Needs torch, torchvision, timm, keras and numpy.
"""

import json
import math
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch
from torch import nn

from parity_network import procedural

CLASSES = 20
IMAGES = 2
SIZES = [(64, 64), (75, 67)]
# For networks that do not pad where they halve the image.
WIDE = [(96, 96), (107, 83)]


def values(path, shape, role, scales):
    """The parameter at `path`; the roles are those of `ParameterRole`."""
    centre, spread = {
        "weight": (0.0, math.sqrt(6 / max(math.prod(shape[1:]), 1))),
        "scale": (1.0, 0.3),
        "shift": (0.0, 0.2),
        "mean": (0.0, 0.3),
        "variance": (1.0, 0.5),
    }[role]
    factor = next((f for end, f in scales.items() if path.endswith(end)), 1.0)
    return procedural(path, tuple(shape), centre, spread) * factor


ROLES = {"weight": "scale", "bias": "shift", "running_mean": "mean", "running_var": "variance"}


def fill(model, scales, rename=lambda path: path):
    """Gives every parameter and statistic of a PyTorch module its procedural value."""
    with torch.no_grad():
        for prefix, module in model.named_modules():
            tensors = dict(module.named_parameters(recurse=False))
            tensors |= dict(module.named_buffers(recurse=False))
            is_norm = isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm))
            is_norm = is_norm or type(module).__name__ == "GlobalResponseNorm"
            for name, tensor in tensors.items():
                if name == "num_batches_tracked":
                    continue
                role = ROLES[name] if is_norm or name == "bias" else "weight"
                path = rename(f"{prefix}.{name}")
                tensor.copy_(values(path, tensor.shape, role, scales))


class CIFARBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class CIFARResNet(nn.Module):
    """ResNet for CIFAR with the names of the pytorch-cifar-models collection."""

    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for stage in range(3):
            blocks = []
            for index in range((depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(CIFARBlock(channels, 16 << stage, stride))
                channels = 16 << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


# What comes after the last addition would otherwise grow with the depth.
RESIDUAL = {"bn3.weight": 0.15}
BASIC = {"bn2.weight": 0.2}
INVERTED = {"conv.3.weight": 0.5}
LITE = {"bn3.weight": 0.5}
XCEPTION = {"rep.8.weight": 0.15, "rep.5.weight": 0.4, "rep.4.weight": 0.4, "skipbn.weight": 0.5,
            "bn4.weight": 0.3}
REGNET = {"f.c.1.weight": 0.25}
MIXED = {"conv2d.weight": 0.4, "conv2d.bias": 0.4}
MOBILE = {"block.3.1.weight": 0.5}
MOBILE_SMALL = {"block.1.1.weight": 1.3}
MOBILE_TIMM = {"bn3.weight": 0.6, "bn2.weight": 1.2}
MOBILE_TIMM_SMALL = {"bn2.weight": 1.25}
FUSED = {"block.3.1.weight": 0.6} | {
    f"features.{stage}.{index}.block.1.1.weight": 0.35 for stage in (2, 3) for index in range(4)}


def torchvision(name, scales, sizes=SIZES, **options):
    import torchvision.models as models

    def make():
        model = models.get_model(name, weights=None, num_classes=CLASSES, **options)
        return model.double().eval()

    return dict(make=make, scales=scales, sizes=sizes)


def inception():
    entry = torchvision(
        "inception_v3", {}, [(96, 96), (107, 83)], aux_logits=False, init_weights=False)
    make = entry["make"]

    class Centred(nn.Module):
        """The network with torchvision's `transform_input`, for input in -1...1."""

        def __init__(self):
            super().__init__()
            self.network = make()
            self.network.transform_input = True

        def forward(self, x):
            mean = torch.tensor([0.485, 0.456, 0.406]).double().view(3, 1, 1)
            std = torch.tensor([0.229, 0.224, 0.225]).double().view(3, 1, 1)
            return self.network((x * 0.5 + 0.5 - mean) / std)

    return entry | dict(make=Centred, rename=lambda path: path.removeprefix("network."))


def pooled(name):
    class Pooled(nn.Module):
        """The features of the real network, their mean and a classifier."""

        def __init__(self):
            super().__init__()
            import torchvision.models as models

            self.features = models.get_model(name, weights=None).features
            self.classifier = nn.Linear(512, CLASSES)

        def forward(self, x):
            return self.classifier(self.features(x).mean((2, 3)))

    return dict(make=lambda: Pooled().double().eval(), scales={}, sizes=SIZES)


def timm_lite(number):
    def make():
        import timm

        return timm.create_model(f"tf_efficientnet_lite{number}", num_classes=CLASSES).double().eval()

    return dict(make=make, scales=LITE, sizes=SIZES)


def timm_network(name, scales, sizes=SIZES):
    def make():
        import timm

        return timm.create_model(name, num_classes=CLASSES).double().eval()

    return dict(make=make, scales=scales, sizes=sizes)


def keras(build, mapping, scales, sizes=SIZES, **options):
    return dict(keras=build, mapping=mapping, scales=scales, sizes=sizes, options=options)


def keras_resnet(layer):
    match = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer)
    if match:
        stage, block, number, kind = match.groups()
        path = f"layer{int(stage) - 1}.{int(block) - 1}."
        if number == "0":
            return path + ("downsample.0" if kind == "conv" else "downsample.1")
        return path + kind + number
    return {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}[layer]


def keras_mobilenet(layer):
    names = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "Conv_1": "features.18.0",
             "Conv_1_bn": "features.18.1", "predictions": "classifier.1"}
    if layer in names:
        return names[layer]
    match = re.fullmatch(r"(?:block_(\d+)|expanded_conv)_(expand|depthwise|project)(_BN)?", layer)
    block = int(match[1] or 0)
    first = 0 if block == 0 else 1
    is_norm = 1 if match[3] else 0
    path = f"features.{block + 1}.conv."
    return path + {"expand": f"0.{is_norm}", "depthwise": f"{first}.{is_norm}",
                   "project": f"{first + 1 + is_norm}"}[match[2]]


def keras_densenet(layer):
    names = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5",
             "predictions": "classifier"}
    if layer in names:
        return names[layer]
    match = re.fullmatch(r"pool(\d)_(bn|conv)", layer)
    if match:
        kind = "norm" if match[2] == "bn" else "conv"
        return f"features.transition{int(match[1]) - 1}.{kind}"
    match = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(bn|conv)", layer)
    kind = "norm" if match[4] == "bn" else "conv"
    number = int(match[3]) + (1 if kind == "norm" else 0)
    return f"features.denseblock{int(match[1]) - 1}.denselayer{match[2]}.{kind}{number}"


def inception_order():
    """Keras numbers the convolutions of Inception in the order in which its source makes them."""
    order = [f"Conv2d_{name}" for name in ["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"]]
    double = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
    branches = {
        "5bcd": ["branch1x1", "branch5x5_1", "branch5x5_2", *double, "branch_pool"],
        "6a": ["branch3x3", *double],
        "6bcde": ["branch1x1", *(f"branch7x7_{i}" for i in (1, 2, 3)),
                  *(f"branch7x7dbl_{i}" for i in range(1, 6)), "branch_pool"],
        "7a": ["branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{i}" for i in range(1, 5))],
        "7bc": ["branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1",
                "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"],
    }
    for key, names in branches.items():
        for letter in key[1:]:
            order += [f"Mixed_{key[0]}{letter}.{name}" for name in names]
    return order


def keras_inception(layer):
    if layer == "predictions":
        return "fc"
    match = re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", layer)
    kind = "conv" if match[1] == "conv2d" else "bn"
    return f"{inception_order()[int(match[2] or 0)]}.{kind}"


def inception_resnet_order():
    """Keras makes the convolutions of Inception-ResNet in the order of timm's modules."""
    import timm

    model = timm.create_model("inception_resnet_v2", num_classes=CLASSES)
    return [path for path, _ in model.named_modules()
            if path.endswith(".conv") and not path.startswith("conv2d_7b.")]


def keras_inception_resnet(layer):
    names = {"conv_7b": "conv2d_7b.conv", "conv_7b_bn": "conv2d_7b.bn", "predictions": "classif"}
    if layer in names:
        return names[layer]
    match = re.fullmatch(r"block(35|17|8)_(\d+)_conv", layer)
    if match:
        part = {"35": "repeat", "17": "repeat_1", "8": "repeat_2"}[match[1]]
        number = int(match[2]) - 1
        return "block8.conv2d" if (part, number) == ("repeat_2", 9) else f"{part}.{number}.conv2d"
    match = re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", layer)
    path = inception_resnet_order()[int(match[2] or 0)]
    return path if match[1] == "conv2d" else path.removesuffix("conv") + "bn"


def keras_vgg(convolutions):
    def mapping(layer):
        names = {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}
        if layer in names:
            return names[layer]
        block, number = map(int, re.fullmatch(r"block(\d)_conv(\d)", layer).groups())
        before = sum(convolutions[: block - 1])
        return f"features.{2 * (before + number - 1) + block - 1}"

    return mapping


NETWORKS = {
    **{f"resnet{depth}": torchvision(f"resnet{depth}", BASIC) for depth in (18, 34)},
    **{f"resnet{depth}": torchvision(f"resnet{depth}", RESIDUAL) for depth in (50, 101, 152)},
    **{f"cifar_resnet{depth}": dict(
        make=lambda depth=depth: CIFARResNet(depth).double().eval(), scales=BASIC,
        sizes=[(32, 32), (37, 29)]) for depth in (20, 56)},
    **{f"densenet{depth}": torchvision(f"densenet{depth}", {}) for depth in (121, 169)},
    "mobilenet_v2": torchvision("mobilenet_v2", INVERTED),
    "mobilenet_v2_140": torchvision("mobilenet_v2", INVERTED, width_mult=1.4),
    "inception_v3": inception(),
    **{f"{name}_pooled": pooled(name) for name in ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn")},
    **{f"efficientnet_lite{number}": timm_lite(number) for number in range(5)},
    "resnext50_32x4d": torchvision("resnext50_32x4d", RESIDUAL),
    "wide_resnet50_2": torchvision("wide_resnet50_2", RESIDUAL),
    "resnet18d": timm_network("resnet18d", BASIC),
    "resnet50d": timm_network("resnet50d", RESIDUAL),
    "regnet_x_400mf": torchvision("regnet_x_400mf", REGNET),
    "regnet_y_400mf": torchvision("regnet_y_400mf", REGNET),
    "efficientnet_v2_s": torchvision("efficientnet_v2_s", FUSED, stochastic_depth_prob=0.0),
    "mobilenetv1_100": timm_network("mobilenetv1_100", {}),
    "xception": timm_network("legacy_xception", XCEPTION),
    "squeezenet1_0": pooled("squeezenet1_0"),
    "squeezenet1_1": pooled("squeezenet1_1"),
    "inception_resnet_v2": timm_network("inception_resnet_v2", MIXED, WIDE),
    "convnextv2_atto": timm_network("convnextv2_atto", {}),
    "mobilenet_v3_large": torchvision("mobilenet_v3_large", MOBILE),
    "mobilenet_v3_small": torchvision("mobilenet_v3_small", MOBILE_SMALL),
    "mobilenetv3_large_100": timm_network("mobilenetv3_large_100", MOBILE_TIMM),
    **{name: timm_network(name, MOBILE_TIMM_SMALL) for name in (
        "mobilenetv3_small_075", "tf_mobilenetv3_small_100")},
    **{f"resnet{depth}_keras": keras(f"ResNet{depth}", keras_resnet, RESIDUAL)
       for depth in (50, 101, 152)},
    "mobilenet_v2_keras": keras("MobileNetV2", keras_mobilenet, INVERTED),
    "mobilenet_v2_035_keras": keras("MobileNetV2", keras_mobilenet, INVERTED, alpha=0.35),
    "densenet121_keras": keras("DenseNet121", keras_densenet, {}),
    "inception_v3_keras": keras("InceptionV3", keras_inception, {}, WIDE),
    "inception_resnet_v2_keras": keras("InceptionResNetV2", keras_inception_resnet, MIXED, WIDE),
}
GRADIENTS = ["vgg16_pooled", "resnet50", "cifar_resnet20", "densenet121", "mobilenet_v2", "inception_v3",
             "efficientnet_lite0", "resnext50_32x4d", "resnet18d", "regnet_y_400mf",
             "efficientnet_v2_s", "mobilenetv1_100", "xception", "mobilenet_v3_small", "convnextv2_atto", "squeezenet1_1",
             "inception_resnet_v2"]


def images(size):
    return procedural(f"input.{size[0]}x{size[1]}", (IMAGES, 3, *size))


def rounded(numbers):
    return [float(f"{number:.8g}") for number in numbers]


def gradient_summaries(model, loss, rename):
    """Of every weight's gradient: the projection onto a procedural vector, and the norm.

    Not of the batch norms: with running statistics their affine part does not train.
    """
    loss.backward()
    norms = {prefix for prefix, module in model.named_modules()
             if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    summaries = {}
    for path, parameter in model.named_parameters():
        if path.rsplit(".", 1)[0] in norms:
            continue
        probe = procedural(f"probe.{rename(path)}", tuple(parameter.shape))
        summaries[rename(path)] = rounded(
            [(parameter.grad * probe).sum().item(), parameter.grad.norm().item()])
    return summaries


def run_torch(name, entry):
    model = entry["make"]().double().eval()
    rename = entry.get("rename", lambda path: path)
    fill(model, entry["scales"], rename)
    logits = []
    for size in entry["sizes"]:
        with torch.no_grad():
            logits.append(model(images(size)))
    if name not in GRADIENTS:
        return logits, {}
    loss = (model(images(entry["sizes"][0])) * procedural("loss", (IMAGES, CLASSES))).sum()
    return logits, gradient_summaries(model, loss, rename)


def keras_weights(layer, path, scales):
    """The weights of a Keras layer in its own order and layout, made from ours."""
    result = []
    for variable in layer.weights:
        shape = tuple(variable.shape)
        kind = variable.name
        if kind == "kernel" and len(shape) == 4:
            if "Depthwise" in type(layer).__name__:  # [h, w, channels, 1]
                value = values(f"{path}.weight", (shape[2], 1, *shape[:2]), "weight", scales)
                value = value.permute(2, 3, 0, 1)
            else:  # [h, w, in, out]
                value = values(f"{path}.weight", (shape[3], shape[2], *shape[:2]), "weight", scales)
                value = value.permute(2, 3, 1, 0)
        elif kind == "kernel":
            value = values(f"{path}.weight", (shape[1], shape[0]), "weight", scales).T
        else:
            ours, role = {"bias": ("bias", "shift"), "gamma": ("weight", "scale"),
                          "beta": ("bias", "shift"), "moving_mean": ("running_mean", "mean"),
                          "moving_variance": ("running_var", "variance")}[kind]
            value = values(f"{path}.{ours}", shape, role, scales)
        result.append(value.contiguous().numpy())
    return result


def run_keras(entry):
    import keras as library

    library.config.set_floatx("float64")
    logits = []
    for size in entry["sizes"]:
        library.utils.clear_session()
        model = getattr(library.applications, entry["keras"])(
            weights=None, classes=CLASSES, input_shape=(*size, 3), classifier_activation=None,
            **entry["options"])
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(
                    keras_weights(layer, entry["mapping"](layer.name), entry["scales"]))
        output = model(images(size).permute(0, 2, 3, 1).contiguous(), training=False)
        logits.append(output.detach())
    return logits, {}


def main():
    file = Path(sys.argv[1]) / "architectures.json"
    wanted = sys.argv[2:] or list(NETWORKS)
    records = json.loads(file.read_text()) if file.exists() and sys.argv[2:] else {}
    for name in wanted:
        entry = NETWORKS[name]
        logits, gradients = run_keras(entry) if "keras" in entry else run_torch(name, entry)
        records[name] = {
            "sizes": entry["sizes"], "scales": entry["scales"],
            "logits": [rounded(value.flatten().tolist()) for value in logits],
            "gradients": gradients,
        }
        print(name, [f"{value.std():.3g}" for value in logits],
              [f"{(value[0] - value[1]).abs().mean():.3g}" for value in logits], flush=True)
        lines = [f"{json.dumps(name)}:{json.dumps(records[name], separators=(',', ':'))}"
                 for name in NETWORKS if name in records]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
