# SPDX-License-Identifier: Apache-2.0
"""What is measured: the contenders of each workload, its targets and its limits."""

import dataclasses
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass(frozen=True)
class Workload:
    """One row of contenders.

    `thaw` is the workload's name in thaw-bench, `peers` maps a contender's name to its script and
    the environment variables it gets, `targets` to how many times faster Thaw has to be; `limits`
    are Thaw's own: the largest `seconds` a round, `megabytes` of peak memory and `relative`
    difference from PyTorch's result.
    """

    name: str
    title: str
    thaw: str
    peers: dict
    targets: dict
    group: str = "inference"
    network: str = "efficientnet_lite0"
    variant: str = "frozen-bn"
    batch: int = 32
    images: int = 128
    precision: str = "float32"
    compares: bool = False
    limits: dict = dataclasses.field(default_factory=dict)

    def commands(self, options):
        """(name, command line, environment variables) of each contender, Thaw last."""
        arguments = [
            "--work", options.work, "--photos", options.photos, "--network", self.network,
            "--variant", self.variant, "--threads", str(options.threads),
            "--batch", str(self.batch), "--images", str(self.images)]
        commands = [
            (name, [sys.executable, os.path.join(HERE, "peers", script)] + arguments, variables)
            for name, (script, variables) in self.peers.items()]
        own = [] if self.precision == "float32" else ["--precision", self.precision]
        return commands + [("thaw", [options.thaw, self.thaw, "--serve"] + arguments + own, {})]

    def missed(self, rows, agreement):
        """One sentence for each target that was missed."""
        texts = [
            f"{row['name']}: {row['ratio']:.2f}x, target {row['target']:.2f}x"
            for row in rows if row.get("target") and row["ratio"] < row["target"]]
        for row in rows:
            if row["name"] != f"{self.name}-thaw":
                continue
            found = {
                "seconds": row["median_seconds_per_image"] * self.images,
                "megabytes": row["peak_rss_bytes"] / 1e6,
                "relative": agreement.get(row["name"], {}).get("relative", 0)}
            texts += [
                f"{row['name']}: {found[key]:.3g} {key}, limit {limit:g}"
                for key, limit in self.limits.items() if not found[key] <= limit]
        return texts


# PyTorch allocates every activation anew, and by default the C library gets memory of that size
# from the kernel and gives it back each time, page by page. Told to keep it, the same PyTorch is
# up to three times faster; few programs do that, but it is the stronger opponent.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20)}


def torch(script):
    """PyTorch as installed, and with an allocator that keeps its memory."""
    return {"torch": (script, {}), "torch-tuned": (script, KEEP_MEMORY)}


BFLOAT16 = {
    "torch": ("forward_torch.py", {**KEEP_MEMORY, "PRECISION": "bf16"}),
    "openvino-f32": ("forward_openvino.py", {"PRECISION": "f32"}),
    "openvino": ("forward_openvino.py", {"PRECISION": "bf16"})}
FORWARD = torch("forward_torch.py") | {"onnxruntime": ("forward_onnxruntime.py", {})}
TRAINING = torch("training_torch.py")


def training(name, title, network, variant, target, images=32, over="torch"):
    return Workload(
        name=name, title=title, thaw="training", peers=TRAINING, targets={over: target},
        group="training", network=network, variant=variant, batch=16, images=images)


def decoding(extension, title, target):
    return Workload(
        name=f"decoding-{extension}", title=f"{title} to pixels, one after the other", thaw="decoding",
        peers={"pillow": ("decoding_pillow.py", {})}, targets={"pillow": target}, group="decoding",
        variant=extension)


def bfloat16(network, title, batch, images, target):
    """Of processors with AVX-512 BF16; elsewhere each does what it can, slower.

    PyTorch rounds after every operation: in Float32, OpenVINO is 0.07 to 0.1 away from it.
    """
    return Workload(
        name=f"bfloat16-{network}", title=f"{title}, 224, batch {batch}, in bfloat16 to features",
        thaw="features", peers=BFLOAT16, targets={"openvino": target}, group="bfloat16",
        network=network, batch=batch, images=images, precision="bfloat16", compares=True, limits={"relative": 0.15})


def latency(name, title, network):
    """One photo after the other, each on all threads: images/s are the reciprocal of the time to an answer."""
    return Workload(
        name=name, title=f"{title}, 224, one photo after the other, pixels in memory to features",
        thaw="features", peers={"torch": ("forward_torch.py", KEEP_MEMORY),
                                "onnxruntime": ("forward_onnxruntime.py", {})},
        targets={"onnxruntime": 1.0}, group="latency", network=network, batch=1, images=32, compares=True,
        limits={"relative": 1e-3})


def resnet(layers, images, over_runtime):
    return Workload(
        name=f"resnet{layers}", title=f"ResNet{layers}, 224, batch 16, pixels in memory to features",
        thaw="features", peers=FORWARD, targets={"torch": 1.5, "onnxruntime": over_runtime},
        network=f"resnet{layers}", batch=16, images=images, compares=True, limits={"relative": 1e-3})


def modern(name, title, network, images=32):
    return Workload(
        name=name, title=f"{title}, 224, batch 16, pixels in memory to features", thaw="features",
        peers=FORWARD, targets={"torch-tuned": 1.3}, network=network, batch=16, images=images,
        compares=True, limits={"relative": 1e-3})


ALL = [
    Workload(
        name="features", title="EfficientNet-Lite0, 224, batch 32, pixels in memory to features",
        thaw="features", peers=FORWARD, targets={"torch": 2.0, "onnxruntime": 1.2}, compares=True,
        limits={"megabytes": 700, "relative": 1e-3}),
    Workload(
        name="jpeg", title="JPEG files to EfficientNet-Lite0 features, 224, batch 32",
        thaw="jpeg", peers=torch("jpeg_torch.py"), targets={"torch": 2.0}, compares=True),
    resnet(50, 32, 1.15),
    resnet(34, 32, 1.5),
    resnet(18, 64, 1.5),
    Workload(
        name="vgg16", title="VGG16's convolutions, 224, batch 16, pixels in memory to features",
        thaw="features", peers=FORWARD, targets={"torch": 1.5}, network="vgg16_pooled", batch=16,
        images=32, compares=True, limits={"relative": 1e-3}),
    Workload(
        name="mobilenet", title="MobileNetV2, 224, batch 16, pixels in memory to features",
        thaw="features", peers=FORWARD, targets={"torch": 1.5}, network="mobilenet_v2", batch=16,
        images=64, compares=True, limits={"relative": 1e-3}),
    Workload(
        name="vit", title="ViT-S/16, 224, batch 16, pixels in memory to features",
        thaw="features", peers=FORWARD, targets={"torch-tuned": 1.3, "onnxruntime": 1.0},
        network="vit_small_patch16_224", batch=16, images=32, compares=True,
        limits={"relative": 1e-3}),
    latency("latency-lite0", "EfficientNet-Lite0", "efficientnet_lite0"),
    latency("latency-resnet50", "ResNet50", "resnet50"),
    Workload(
        name="cold", title="one JPEG file to an answer by EfficientNet-Lite0, a new process each time",
        thaw="cold", peers={"onnxruntime": ("cold_onnxruntime.py", {})}, targets={"onnxruntime": 1 / 0.35},
        group="latency", batch=1, images=10),
    bfloat16("efficientnet_lite0", "EfficientNet-Lite0", 32, 128, 1.2),
    bfloat16("resnet50", "ResNet50", 16, 32, 1.05),
    modern("mobilenetv3", "MobileNetV3 Large", "mobilenet_v3_large", images=64),
    modern("efficientnetv2", "EfficientNetV2-S", "efficientnet_v2_s"),
    modern("regnety", "RegNetY-1.6GF", "regnet_y_1_6gf"),
    Workload(
        name="head", title="a linear head on 1000 cached images of 1280 features, 100 epochs",
        thaw="head", peers=torch("head_torch.py"), targets={}, images=1000,
        limits={"seconds": 3}),
    decoding("jpg", "JPEG files", 1.5),
    decoding("webp", "WebP files", 1.0),
    decoding("heic", "HEIC files", 1.0),
    decoding("avif", "AVIF files", 1.0),
    training(
        "lite0-frozen-bn", "EfficientNet-Lite0 training step, batch norm in inference",
        "efficientnet_lite0", "frozen-bn", 2.5),
    training(
        "resnet50-frozen-bn", "ResNet50 training step, batch norm in inference",
        "resnet50", "frozen-bn", 1.2),
    training(
        "lite0-training-bn", "EfficientNet-Lite0 training step, batch norm in training",
        "efficientnet_lite0", "training-bn", 1.15),
    training(
        "resnet50-training-bn", "ResNet50 training step, batch norm in training",
        "resnet50", "training-bn", 1.15),
    training(
        "vit-all", "ViT-S/16 training step, everything trains",
        "vit_small_patch16_224", "frozen-bn", None),
    training(
        "vit-late", "ViT-S/16, the last block and the head train, prefix cached",
        "vit_small_patch16_224", "late", 1.2, over="torch-tuned"),
    training(
        "lite0-late", "EfficientNet-Lite0, the group `late` and the head train, prefix cached",
        "efficientnet_lite0", "late", None),
    training(
        "lite0-head", "EfficientNet-Lite0, only the last group trains, prefix cached",
        "efficientnet_lite0", "head", 10, images=128),
]
