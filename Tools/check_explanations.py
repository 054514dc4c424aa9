#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the maps of `thaw explain` with those of pytorch-grad-cam on the same network.

    Tools/check_explanations.py PHOTOS --model runs/me/model.safetensors --network timm:tf_efficientnet_lite0

Exports the model under timm's (or torchvision's) names, loads it there with strict=True, and prints the
correlation of each photo's map for HiResCAM and for Grad-CAM. Exit code 1 when one is below 0.99. PNGs, or
JPEGs below 900 pixels: decoders differ on others. Needs torch, timm or torchvision, and grad-cam.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file

import check_export


def last_image(network):
    """The last layer whose result is an image, and that is no container."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda module, _, result: seen.append((module, result)))
        for module in network.modules() if not list(module.children())
    ]
    side = network.side
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return [module for module, result in seen
            if torch.is_tensor(result) and result.ndim == 4 and result.shape[2] * result.shape[3] > 1][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--network", required=True, help="timm:NAME or torchvision:NAME")
    parser.add_argument("--thaw", default=".build/release/thaw")
    arguments = parser.parse_args()
    worst = 1.0
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/export.safetensors"
        names = "timm" if arguments.network.startswith("timm:") else "torchvision"
        subprocess.run([arguments.thaw, "export", "--model", arguments.model, "--to", "safetensors", "--names",
                        names, "--output", file, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        from safetensors import safe_open

        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        contract = json.loads(metadata["thaw.preprocessing"])
        classes = json.loads(metadata["thaw.class_names"])
        network = check_export.network(arguments.network, len(classes)).eval()
        network.load_state_dict(load_file(file), strict=True)
        network.side = contract["input_size"]
        layer = last_image(network)
        for method, theirs in (("hirescam", HiResCAM), ("gradcam", GradCAM)):
            output = Path(place) / method
            command = [arguments.thaw, "explain", "--model", arguments.model, *arguments.photos, "--output",
                       str(output), "--method", method, "--json", "--quiet"]
            found = json.loads(subprocess.check_output(command))
            with theirs(model=network, target_layers=[layer]) as explainer:
                for photo, one in zip(arguments.photos, found["explanations"]):
                    pixels = check_export.normalised(check_export.square(photo, contract), contract)
                    target = [ClassifierOutputTarget(classes.index(one["label"]))]
                    expected = explainer(torch.from_numpy(pixels)[None], targets=target)[0]
                    own_map = torch.tensor(one["map"])[None, None].clamp(min=0)
                    side = expected.shape[0]
                    # Theirs is scaled and resized by OpenCV, which is this one's bilinear.
                    mine = torch.nn.functional.interpolate(
                        own_map, size=(side, side), mode="bilinear", align_corners=False)[0, 0].numpy()
                    correlation = np.corrcoef(mine.ravel(), expected.ravel())[0, 1]
                    worst = min(worst, correlation)
                    print(f"{method} {photo}: {correlation:.5f}")
    print(f"worst correlation {worst:.5f} (0.99 is asked)")
    sys.exit(0 if worst >= 0.99 else 1)


main()
