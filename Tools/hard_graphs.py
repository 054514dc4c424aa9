#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small networks with hard-swish and hard-sigmoid gates, in the forms in which they are saved.

Run from the repository's root in an environment that has torch, onnx, onnxruntime and keras 3:

    python Tools/hard_graphs.py Tests/BackbonesTests/Fixtures/hard

    hard17.onnx   with ONNX's operations HardSwish and HardSigmoid
    hard11.onnx   hard-swish as x times HardSigmoid, of an older operation set
    spelled.onnx  written out: x * relu6(x + 3) / 6, and relu6(x + 3) * (1 / 6) for the gates
    program.pt2   aten.hardswish and aten.hardsigmoid
    hard.keras    activations by name, and the gates written out as keras.applications' MobileNetV3 has them
    answers.json  what ONNX Runtime, PyTorch and Keras say of the photo of fixture_photo.py
"""
import json
import os
import sys
import warnings
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
warnings.filterwarnings("ignore")

import keras
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F

from fixture_photo import SIDE, fixture_photo

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(1)

LAST = fixture_photo()
PHOTO = torch.from_numpy(LAST.transpose(0, 3, 1, 2).copy())


class Net(nn.Module):
    def __init__(self, spelled=False):
        super().__init__()
        self.spelled = spelled
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.dw = nn.Conv2d(8, 8, 5, 1, 2, groups=8)
        # No bias, so that the 3 of the gates could be taken for one.
        self.reduce, self.expand = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1, bias=False)
        self.top = nn.Linear(8, 12)
        self.fc = nn.Linear(12, 3)

    def swish(self, x):
        return x * F.relu6(x + 3) / 6 if self.spelled else F.hardswish(x)

    def gates(self, x):
        return F.relu6(x + 3) * (1 / 6) if self.spelled else F.hardsigmoid(x)

    def forward(self, x):
        x = self.swish(self.bn(self.conv(x / 64 - 2)))
        x = x + self.swish(self.dw(x))
        x = x * self.gates(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))
        return self.fc(self.swish(self.top(x.mean((2, 3)))))


answers = {}
net = Net().eval()
spelled = Net(spelled=True).eval()
with torch.no_grad():
    for parameter in net.parameters():
        parameter.normal_(0, 0.6)
spelled.load_state_dict(net.state_dict())
kept = dict(dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
for file, model, version in [("hard17.onnx", net, 17), ("hard11.onnx", net, 11),
                             ("spelled.onnx", spelled, 13)]:
    torch.onnx.export(model, (PHOTO,), folder / file, opset_version=version, **kept)
    written = onnx.load(folder / file)
    for node in written.graph.node:
        node.doc_string = ""
    onnx.save(written, folder / file)
    session = onnxruntime.InferenceSession(folder / file)
    answer = session.run(None, {session.get_inputs()[0].name: PHOTO.numpy()})[0]
    answers[file] = [float(v) for v in answer.ravel()]

archive = torch.export.export(
    net, (torch.cat([PHOTO, PHOTO]),), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(archive, folder / "whole.pt2")
with zipfile.ZipFile(folder / "whole.pt2") as whole, zipfile.ZipFile(
    folder / "program.pt2", "w"
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
answers["program.pt2"] = [float(v) for v in net(PHOTO)[0]]

L = keras.layers


def hard_sigmoid(h):
    return L.ReLU(6.0)(h + 3.0) * (1.0 / 6.0)


photo = keras.Input((SIDE, SIDE, 3), name="photo")
h = L.Rescaling(1 / 64, offset=-2.0, name="rescale")(photo)
h = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(h)
h = L.BatchNormalization(epsilon=1e-3, name="bn")(h)
h = L.Activation("hard_swish", name="swish")(h)
s = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(h)
s = L.Conv2D(4, 1, activation="relu", name="reduce")(s)
s = hard_sigmoid(L.Conv2D(8, 1, name="expand")(s))
h = L.Multiply(name="gate")([h, s])
h = L.DepthwiseConv2D(5, padding="same", activation="hard_silu", name="dw")(h)
h = L.GlobalAveragePooling2D(keepdims=True, name="pool")(h)
h = L.Conv2D(12, 1, name="top")(h)
h = L.Multiply(name="top_swish")([h, hard_sigmoid(h)])
h = L.Conv2D(3, 1, name="logits")(h)
h = L.Activation("softmax", name="answer")(L.Flatten(name="flatten")(h))
model = keras.Model(photo, h, name="hard")
rng = np.random.default_rng(3)
for weight in model.weights:
    values = rng.normal(0, 0.6, weight.shape)
    if "variance" in weight.name or "gamma" in weight.name:
        values = np.abs(values) + 0.5
    weight.assign(values.astype("float32"))
model.save(folder / "hard.keras")
with torch.no_grad():
    answer = model(LAST, training=False)
answers["hard.keras"] = [float(v) for v in answer.detach().cpu().numpy()[0]]

with open(folder / "answers.json", "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")
print(answers)
