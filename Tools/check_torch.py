#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that files of the real PyTorch load, and that what Thaw exports loads there again.

    python Tools/check_torch.py FOLDER [--networks resnet50,timm:tf_efficientnet_b0] [--thaw PROGRAM]

For each network of torchvision and timm, with made-up weights and calibrated, then disturbed batch-norm
statistics, and each of these files

    plain     torch.save(model.state_dict())
    run       {"epoch": 3, "state_dict": ..., "optimizer": ...} with the prefix of DataParallel
    legacy    the format before PyTorch 1.6
    half      all floats in half precision, compared with the network that has the rounded weights

`thaw predict --logits` must give the network's logits for one photo, and the file that `thaw export --to
safetensors` makes of it must load into a new network with strict=True and give them too; with --onnx,
onnx.checker must accept the ONNX files, with and without preprocessing, and ONNX Runtime must give the
probabilities for batches of 1 and 3. Where several networks have the same tensors Thaw must refuse to guess,
and then is told the card. FOLDER takes one file at a time (up to 1.2 GB) and is left empty. Needs torch,
torchvision, timm, safetensors, numpy, pillow; --onnx also onnx and onnxruntime. Exit code 1 when a row is wrong:
a logit off by more than 1e-4 of the largest (or
ten times what PyTorch's own differ from double precision, where made-up weights amplify rounding) a probability by more than 1e-4.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

# The name for torchvision or timm, and the card to name where tensors do not tell the network.
NETWORKS = {
    "resnet50": None, "vgg16_bn": None, "densenet121": None, "mobilenet_v2": None, "inception_v3": None,
    "convnext_tiny": None, "efficientnet_b0": "efficientnet_b0", "timm:tf_efficientnet_b0": "tf_efficientnet_b0",
    "timm:efficientnet_b0": "efficientnet_b0", "timm:tf_efficientnet_lite0": None,
    "timm:vit_tiny_patch16_224": None, "timm:vit_small_patch16_224": None,
    "timm:mobilenetv2_100": None, "timm:convnext_tiny": None, "timm:vgg16": None, "timm:resnet18": None,
    "timm:legacy_xception": None,
}


def build(name, auxiliary=True, classes=1000):
    """Inception's auxiliary classifier is for training only; Thaw does not keep it."""
    library, _, model = name.rpartition(":")
    if library == "timm":
        return timm.create_model(model, num_classes=classes, pretrained=False)
    extra = {"init_weights": False, "aux_logits": auxiliary} if model == "inception_v3" else {}
    return getattr(torchvision.models, model)(num_classes=classes, **extra)


def disturbed(name, pixels):
    torch.manual_seed(4)
    model = build(name)
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for part in norms:
            part.momentum = 1.0
        model.train()
        model(torch.cat([pixels + torch.randn_like(pixels) / 4 for _ in range(4)]))
        model.eval()
        for part in norms:
            part.running_var *= torch.empty_like(part.running_var).uniform_(0.7, 1.4)
            part.running_mean += part.running_var.sqrt() * 0.1 * torch.randn_like(part.running_mean)
            part.weight.uniform_(0.7, 1.3)
            part.bias.normal_(0, 0.2)
        for key, value in model.named_parameters():
            if key.endswith(("layer_scale", ".gamma")):
                value.uniform_(0.1, 0.5)
        last = [part for part in model.modules() if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d))][-1]
        # torchvision's vision transformers begin with zeros.
        if not last.weight.any():
            last.weight.normal_(0, 0.02)
        last.weight *= 2 / model(pixels).std()
    return model


def thaw(program, *arguments):
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, arguments))} ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def logits_of(model, pixels):
    with torch.inference_mode():
        return model(pixels)[0].double().numpy()


def away(found, expected):
    return float(np.abs(np.asarray(found, np.float64) - expected).max() / max(1, np.abs(expected).max()))


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def save(folder, kind, model):
    weights = model.state_dict()
    path = folder / f"{kind}.pth"
    if kind == "run":
        weights = {"module." + key: value for key, value in weights.items()}
        torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}}, path)
    elif kind == "half":
        torch.save({key: value.half() if value.is_floating_point() else value for key, value in weights.items()}, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind != "legacy")
    return path


def check_onnx(program, model, more, square, pixels, expected):
    import onnx
    import onnxruntime

    rows = []
    for extra in ([], ["--preprocessing"]):
        path = Path(model).with_name("exported.onnx")
        thaw(program, "export", "--model", model, *more, "--to", "onnx", "--output", path, *extra)
        loaded = onnx.load(path)
        onnx.checker.check_model(loaded, full_check=True)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        value = session.get_inputs()[0]
        names = {entry.key: entry.value for entry in loaded.metadata_props}
        good = loaded.opset_import[0].version == 17 and isinstance(value.shape[0], str)
        good &= len(json.loads(names["thaw.class_names"])) == len(expected)
        one = square if extra else pixels[0].numpy()
        worst = 0.0
        for batch in (1, 3):
            found = session.run(["probabilities"], {value.name: np.stack([one] * batch)})[0]
            worst = max(worst, *(float(np.abs(row - softmax(expected)).max()) for row in found))
        rows.append((good and worst <= 1e-4, worst))
        path.unlink()
    return rows


def contract_of(program, model, more, folder):
    path = folder / "contract.safetensors"
    thaw(program, "export", "--model", model, *more, "--output", path)
    text = json.loads(thaw(program, "pretrained", "inspect", path, "--json"))["metadata"]["thaw.preprocessing"]
    path.unlink()
    return json.loads(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of torchvision, or timm:NAME; with =CARD where"
                        " tensors do not tell the network")
    parser.add_argument("--kinds", default="plain,run,legacy,half")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--thaw", default=".build/release/thaw")
    arguments = parser.parse_args()
    folder, program = arguments.folder, arguments.thaw
    folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name in arguments.networks.split(","):
        name, _, told = name.partition("=")
        picture = folder / "photo.png"
        model, expected, pixels = None, None, None
        for kind in arguments.kinds.split(","):
            card = told or NETWORKS.get(name)
            more = ["--card", card] if card else []
            try:
                if model is None:
                    torch.save(build(name).state_dict(), folder / "first.pth")
                    contract = contract_of(program, folder / "first.pth", more, folder)
                    (folder / "first.pth").unlink()
                    # A photo of the network's size: what resizing does is another test's affair.
                    side = contract["input_size"]
                    rows, columns = np.mgrid[:side, :side]
                    square = np.stack(
                        [128 + 90 * np.sin(columns / 23 + rows / 41), 40 + 180 * ((columns // 37 + rows // 29) % 2),
                         255 * rows / side], -1).astype("uint8")
                    target = int(side / contract["crop_fraction"])
                    frame = np.zeros((target, target, 3), "uint8")
                    edge = int(round((target - side) / 2))
                    frame[edge:edge + side, edge:edge + side] = square
                    Image.fromarray(frame).save(picture)
                    values = (square * contract["scale"] - np.array(contract["mean"])) / np.array(contract["std"])
                    pixels = torch.from_numpy(values.transpose(2, 0, 1)[None].astype("float32"))
                    model = disturbed(name, pixels)
                    expected = logits_of(model, pixels)
                path = save(folder, kind, model)
                if kind == "half":
                    model.load_state_dict(torch.load(path))
                    expected = logits_of(model, pixels)
                found = json.loads(thaw(program, "predict", "--model", path, *more, picture, "--logits", "--json"))
                distance = away(found[0]["logits"], expected)
                exported = folder / "exported.safetensors"
                names = "timm" if name.startswith("timm:") else "torchvision"
                # Vision transformers have timm's names unless the file itself says how it calls them.
                way = ["--like", path] if name.startswith("vit_") else ["--names", names]
                thaw(program, "export", "--model", path, *more, "--output", exported, *way)
                again = build(name, auxiliary=False).eval()
                again.load_state_dict(load_file(exported), strict=True)
                returned = away(logits_of(again, pixels), expected)
                with torch.inference_mode():
                    exact = model.double()(pixels.double())[0].numpy()
                model.float()
                allowed = max(1e-4, 10 * away(expected, exact))
                good = distance <= allowed and returned <= 1e-4
                text = f"predict {distance:.1e}, exported and loaded {returned:.1e}"
                if arguments.onnx and kind == "plain":
                    for fine, worst in check_onnx(program, path, more, square, pixels, expected):
                        good &= fine
                        text += f", ONNX probabilities {worst:.1e}"
                exported.unlink()
                path.unlink()
            except Exception as error:
                good, text = False, f"{type(error).__name__}: {str(error)[:400]}"
            wrong += not good
            print(f"{'ok   ' if good else 'WRONG'} {name} {kind}: {text}", flush=True)
    for path in folder.iterdir():
        path.unlink()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
