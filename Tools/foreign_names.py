#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the names and shapes that other libraries give to the tensors of networks Thaw knows.

    python Tools/foreign_names.py Tests/BackbonesTests/Fixtures/names

Needs torch, transformers, efficientnet-pytorch, fastai, timm and torchvision.
"""
import sys
from pathlib import Path

import timm
import torch
import torchvision
import transformers as tr
from efficientnet_pytorch import EfficientNet
from fastai.vision.all import create_vision_model

FOLDER = Path(sys.argv[1])


def write(name, state):
    rows = [f"{key} {' '.join(map(str, value.shape))}".strip() for key, value in state.items()
            if not key.endswith("num_batches_tracked")]
    (FOLDER / f"{name}.txt").write_text("\n".join(rows) + "\n")


def main():
    write("transformers_resnet18", tr.ResNetForImageClassification(tr.ResNetConfig(
        layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2],
        num_labels=3)).state_dict())
    write("transformers_convnext_tiny", tr.ConvNextForImageClassification(
        tr.ConvNextConfig(num_labels=3)).state_dict())
    write("transformers_mobilenet_v2", tr.MobileNetV2ForImageClassification(
        tr.MobileNetV2Config(num_labels=3)).state_dict())
    write("transformers_efficientnet_b0", tr.EfficientNetForImageClassification(
        tr.EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280,
                              image_size=224, num_labels=3)).state_dict())
    write("efficientnet_pytorch_b0",
          EfficientNet.from_name("efficientnet-b0", num_classes=3).state_dict())
    write("sequential_resnet18", torch.nn.Sequential(
        *list(torchvision.models.resnet18(num_classes=3).children())[:-1], torch.nn.Flatten(),
        torch.nn.Linear(512, 3)).state_dict())
    write("torchvision_mobilenet_v3_small",
          torchvision.models.mobilenet_v3_small(num_classes=3).state_dict())
    write("transformers_convnextv2_atto", tr.ConvNextV2ForImageClassification(tr.ConvNextV2Config(
        hidden_sizes=[40, 80, 160, 320], depths=[2, 2, 6, 2], num_labels=3)).state_dict())
    dino = torch.nn.Module()
    dino.backbone = tr.DINOv3ConvNextModel(tr.DINOv3ConvNextConfig())
    dino.classifier = torch.nn.Linear(768, 3)
    write("transformers_dinov3_convnext_tiny", dino.state_dict())
    write("timm_convnextv2_atto", timm.create_model("convnextv2_atto", num_classes=3).state_dict())
    write("timm_mobilenetv3_large_100",
          timm.create_model("mobilenetv3_large_100", num_classes=3).state_dict())
    write("fastai_resnet18", create_vision_model(
        torchvision.models.resnet18, 3, pretrained=False).state_dict())


if __name__ == "__main__":
    main()
