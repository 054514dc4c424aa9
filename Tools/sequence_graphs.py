#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small vision transformers of timm, torchvision and transformers by PyTorch's exporters.

Run from the repository's root in an environment that has torch, torchvision, timm, transformers, onnx,
onnxscript and onnxruntime:

    python Tools/sequence_graphs.py Tests/BackbonesTests/Fixtures/sequences

    *_14.onnx     operation set 14: layer norms and GELU spelled out
    *_17.onnx     operation set 17
    *_dynamo.onnx the newer exporter
    *.pt2         torch.export
    answers.json  what PyTorch says of the photo of fixture_photo.py
"""
import json
import os
import sys
import warnings
import zipfile
from pathlib import Path

warnings.filterwarnings("ignore")

import onnx
import torch
from torch import nn

from fixture_photo import SIDE, fixture_photo

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(4)

LAST = fixture_photo()
PHOTO = torch.from_numpy(LAST.transpose(0, 3, 1, 2).copy())


def timm_network(**options):
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=SIDE, patch_size=8, embed_dim=8, depth=2, num_heads=2, mlp_ratio=2,
        num_classes=3, **options)


def torchvision_network():
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIDE, 8, 2, 2, 8, 16, num_classes=3)


def transformers_network():
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=SIDE, patch_size=8, num_labels=3, hidden_act="gelu_new"))


def dinov3_network(**options):
    from functools import partial

    from timm.layers import LayerNorm
    from timm.models.eva import Eva

    return Eva(
        img_size=SIDE, patch_size=4, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2,
        num_classes=3, init_values=0.5, rope_type="dinov3", rope_temperature=100,
        rope_rotate_half=True, use_rot_pos_emb=True, use_abs_pos_emb=False, num_reg_tokens=2,
        use_fc_norm=False, norm_layer=partial(LayerNorm, eps=1e-5), **options)


class TransformersDINOv3(nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import DINOv3ViTConfig, DINOv3ViTModel

        self.tower = DINOv3ViTModel(DINOv3ViTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            image_size=SIDE, patch_size=4, num_register_tokens=2, use_gated_mlp=True,
            hidden_act="silu"))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.tower(x).pooler_output)


class SigLIPTower(nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import SiglipVisionConfig, SiglipVisionModel

        self.tower = SiglipVisionModel(SiglipVisionConfig(
            hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
            image_size=SIDE, patch_size=8))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.tower(x).pooler_output)


class Classifier(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        y = self.network(x / 64 - 2)
        return getattr(y, "logits", y)


NETWORKS = {
    "timm": timm_network,
    "pooled": lambda: timm_network(class_token=False, global_pool="avg", fc_norm=True),
    "registers": lambda: timm_network(reg_tokens=2, no_embed_class=True, init_values=0.5),
    "torchvision": torchvision_network,
    "transformers": transformers_network,
    "rotary": dinov3_network,
    "gated": TransformersDINOv3,
    "queried": lambda: timm_network(class_token=False, global_pool="map"),
    "siglip": SigLIPTower,
}
FORMS = {"14": dict(dynamo=False, opset_version=14),
         "17": dict(dynamo=False, opset_version=17), "dynamo": dict(dynamo=True)}


def without_traces(file):
    """Takes out where on this machine each line of Python was."""
    model = onnx.load(folder / file)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.save(model, folder / file)


def save_program(model, file):
    archive = torch.export.export(
        model, (torch.cat([PHOTO, PHOTO]),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(archive, folder / "whole.pt2")
    with zipfile.ZipFile(folder / "whole.pt2") as whole, zipfile.ZipFile(
        folder / file, "w"
    ) as bare:
        for entry in whole.infolist():
            content = whole.read(entry)
            if entry.filename.endswith("models/model.json"):
                described = json.loads(content)
                for node in described["graph_module"]["graph"]["nodes"]:
                    node["metadata"] = {}
                content = json.dumps(described).encode()
            if "sample_inputs" not in entry.filename:
                bare.writestr(entry.filename.replace("whole/", "program/"), content)
    os.remove(folder / "whole.pt2")


answers = {}
for name, make in NETWORKS.items():
    model = Classifier(make()).eval()
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            is_scale = parameter.dim() == 1 and path.endswith("weight")
            parameter.normal_(1 if is_scale else 0, 0.3)
        answers[name] = [float(v) for v in model(PHOTO)[0]]
    for form, options in FORMS.items():
        if form != "17" and name in ("pooled", "registers"):
            continue
        # transformers' sines and cosines become constants in the newer exporter alone.
        if (name, form) in (("rotary", "14"), ("gated", "14"), ("gated", "17")):
            continue
        if (name, form) in (("queried", "14"), ("siglip", "14")):
            continue
        file = f"{name}_{form}.onnx"
        if options["dynamo"]:
            options = options | dict(external_data=False)
        torch.onnx.export(
            model, (PHOTO,), folder / file, input_names=["photo"], verbose=False, **options)
        without_traces(file)
    # Programs compute the sines anew, and cut the weights of PyTorch's attention that pools in two.
    if name not in ("rotary", "gated", "siglip"):
        save_program(model, f"{name}.pt2")

with open(folder / "answers.json", "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")
print(answers)
