#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks exported models with the programs they are for.

    Tools/check_export.py PHOTO --onnx model.onnx [--model model.safetensors]
    Tools/check_export.py PHOTO --safetensors model.safetensors --network timm:tf_efficientnet_lite0
    Tools/check_export.py PHOTO --safetensors model.safetensors --network torchvision:resnet18

With --onnx: onnx.checker accepts the file, ONNX Runtime runs it with batches of 1 and 3, and its
logits, and its probabilities with the temperature of the calibration, are those of `thaw predict` on the
same photo (--model, or the ONNX file's own name when Thaw reads it). With --safetensors: PyTorch's network loads the file with strict=True and its
logits are those of `thaw predict`. Needs numpy, and onnx and onnxruntime, or torch and torchvision or
timm. Exit code 1 when a difference is above the tolerance.
"""
import argparse
import json
import subprocess
import sys

import numpy as np
from PIL import Image

ORDER = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS}


def square(photo, contract):
    """The photo as uint8 [H, W, 3], resized and cut as the contract says."""
    image = Image.open(photo)
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255)), image)
    image = image.convert("RGB")
    size = contract["input_size"]
    target = int(size / contract["crop_fraction"])
    if contract["resize_rule"] == "squash":
        width = height = target
    else:
        shorter = min(image.size)
        width, height = (int(target * side / shorter) for side in image.size)
    image = image.resize((width, height), ORDER[contract["interpolation"]])
    left, top = (int(round((side - size) / 2.0)) for side in (width, height))
    return np.asarray(image.crop((left, top, left + size, top + size)))


def normalised(pixels, contract):
    """uint8 [H, W, 3] to Float32 [3, H, W]."""
    values = pixels.astype(np.float64)
    if contract["channel_order"] == "bgr":
        values = values[..., ::-1]
    values = (values * contract["scale"] - np.array(contract["mean"])) / np.array(contract["std"])
    return np.ascontiguousarray(values.transpose(2, 0, 1)).astype(np.float32)


def expected_logits(thaw, model, photo):
    return np.array(expected_answer(thaw, model, photo)["logits"])


def expected_answer(thaw, model, photo):
    command = [thaw, "predict", "--model", model, photo, "--json", "--logits", "--top", "100000"]
    return json.loads(subprocess.check_output(command))[0]


def compare(what, found, expected, tolerance):
    worst = float(np.abs(np.asarray(found, np.float64) - expected).max())
    print(f"{what}: worst difference {worst:.2e} (allowed {tolerance:.0e})")
    return worst <= tolerance


def check_onnx(arguments):
    import onnx
    import onnxruntime

    model = onnx.load(arguments.onnx)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    contract = json.loads(metadata["thaw.preprocessing"])
    classes = json.loads(metadata["thaw.class_names"])
    session = onnxruntime.InferenceSession(arguments.onnx, providers=["CPUExecutionProvider"])
    pixels = square(arguments.photo, contract)
    value = session.get_inputs()[0]
    one = pixels if value.type == "tensor(uint8)" else normalised(pixels, contract)
    answer = expected_answer(arguments.thaw, arguments.model or arguments.onnx, arguments.photo)
    expected = np.array(answer["logits"])
    ranked = {one["label"]: one["probability"] for one in answer["top"]}
    predicted = np.array([ranked[name] for name in classes])
    assert len(classes) == len(expected), "class names and logits differ in number"
    good = True
    for batch in (1, 3):
        images = np.stack([one] * batch)
        results = dict(zip([v.name for v in session.get_outputs()], session.run(None, {value.name: images})))
        for row in range(batch):
            if "logits" in results:
                allowed = arguments.tolerance * max(1.0, float(np.abs(expected).max()))
                good &= compare(f"logits, {row + 1} of {batch}", results["logits"][row], expected, allowed)
            if "probabilities" in results:
                good &= compare(
                    f"probabilities, {row + 1} of {batch}", results["probabilities"][row], predicted,
                    arguments.tolerance)
    return good


def network(name, classes):
    library, _, model = name.partition(":")
    if library == "timm":
        import timm

        return timm.create_model(model, num_classes=classes)
    import torchvision

    extra = {"init_weights": False} if model in ("inception_v3", "googlenet") else {}
    return getattr(torchvision.models, model)(num_classes=classes, **extra)


def check_safetensors(arguments):
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(arguments.safetensors, "pt") as file:
        metadata = file.metadata()
    contract = json.loads(metadata["thaw.preprocessing"])
    net = network(arguments.network, len(json.loads(metadata["thaw.class_names"]))).eval()
    net.load_state_dict(load_file(arguments.safetensors), strict=True)
    pixels = normalised(square(arguments.photo, contract), contract)
    with torch.inference_mode():
        logits = net(torch.from_numpy(pixels)[None])[0].numpy()
    model = arguments.model or arguments.safetensors
    expected = expected_logits(arguments.thaw, model, arguments.photo)
    return compare("logits", logits, expected, arguments.tolerance * max(1.0, float(np.abs(expected).max())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", help="a PNG, or a JPEG below 900 pixels (decoders differ on others)")
    parser.add_argument("--onnx")
    parser.add_argument("--safetensors")
    parser.add_argument("--network", default="", help="timm:NAME or torchvision:NAME")
    parser.add_argument("--model", help="what thaw predicts with; default: the exported file")
    parser.add_argument("--thaw", default=".build/release/thaw")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    good = True
    if arguments.onnx:
        good &= check_onnx(arguments)
    if arguments.safetensors:
        good &= check_safetensors(arguments)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
