#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the maps of `thaw explain` with those of pytorch-grad-cam on the same network.

    Tools/check_explanations.py PHOTOS --model runs/me/model.safetensors --network timm:tf_efficientnet_lite0

Exports the model under timm's (or torchvision's) names, loads it there with strict=True, and prints the
correlation of each photo's map for HiResCAM and for Grad-CAM; for a vision transformer of timm for attention
rollout, from the weights that its attentions compute. Exit code 1 when one is below 0.99. PNGs, or
JPEGs below 900 pixels: decoders differ on others. Needs torch, timm or torchvision, and grad-cam but for
transformers.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
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


def rollout(network, pixels):
    """The class token's row of the product of the halved attentions, at the patches."""
    weights = []
    for block in network.blocks:
        block.attn.fused_attn = False
    hooks = [block.attn.attn_drop.register_forward_hook(lambda _, __, result: weights.append(result[0].mean(0)))
             for block in network.blocks]
    with torch.no_grad():
        network(torch.from_numpy(pixels)[None])
    for hook in hooks:
        hook.remove()
    product = torch.eye(len(weights[0]), dtype=torch.float64)
    for one in weights:
        product = (one.double() + torch.eye(len(one), dtype=torch.float64)) / 2 @ product
    prefix = network.num_prefix_tokens
    row = product[0] if network.global_pool == "token" else product[prefix:].mean(0)
    side = int((len(row) - prefix) ** 0.5)
    return row[prefix:].reshape(side, side).numpy()


def maps(network, contract, classes):
    """For each method a function of a photo's path and the class."""
    pixels = lambda photo: check_export.normalised(check_export.square(photo, contract), contract)
    if hasattr(network, "blocks") and hasattr(network.blocks[0], "attn"):
        return {"rollout": lambda photo, _: rollout(network, pixels(photo))}
    from pytorch_grad_cam import GradCAM, HiResCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def cam(kind):
        def of(photo, label):
            with kind(model=network, target_layers=[last_image(network)]) as explainer:
                target = [ClassifierOutputTarget(classes.index(label))]
                return explainer(torch.from_numpy(pixels(photo))[None], targets=target)[0]
        return of

    return {"hirescam": cam(HiResCAM), "gradcam": cam(GradCAM)}


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
        for method, theirs in maps(network, contract, classes).items():
            output = Path(place) / method
            command = [arguments.thaw, "explain", "--model", arguments.model, *arguments.photos, "--output",
                       str(output), "--method", method, "--json", "--quiet"]
            found = json.loads(subprocess.check_output(command))
            for photo, one in zip(arguments.photos, found["explanations"]):
                expected = theirs(photo, one["label"])
                own_map = torch.tensor(one["map"])[None, None].clamp(min=0)
                # Theirs is scaled and resized by OpenCV, which is this one's bilinear.
                mine = torch.nn.functional.interpolate(
                    own_map, size=expected.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
                correlation = np.corrcoef(mine.ravel(), expected.ravel())[0, 1]
                worst = min(worst, correlation)
                print(f"{method} {photo}: {correlation:.5f}")
    print(f"worst correlation {worst:.5f} (0.99 is asked)")
    sys.exit(0 if worst >= 0.99 else 1)


main()
