#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small networks by the exporters that people use, and what ONNX Runtime or PyTorch answers.

Run from the repository's root in an environment that has torch, onnx, onnxscript, onnxruntime, and keras 3
with tensorflow and tf2onnx:

    python Tools/exported_graphs.py Tests/BackbonesTests/Fixtures/exported

The photo is the one of `fixture_photo.py`.
"""
import json
import os
import sys
import warnings
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
warnings.filterwarnings("ignore")

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fixture_photo import SIDE, fixture_photo

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)

LAST = fixture_photo()
PHOTO = torch.from_numpy(LAST.transpose(0, 3, 1, 2).copy())


class Net(nn.Module):
    def __init__(self, end=None, before=None):
        super().__init__()
        self.end, self.before = end, before
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.dw = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.dw_bn = nn.BatchNorm2d(8)
        self.reduce, self.expand = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.max = nn.MaxPool2d(2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        if self.before == "torch":
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            x = (x / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
        if self.before == "caffe":
            x = x[:, [2, 1, 0]] - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
        x = nn.functional.relu6(self.bn(self.conv(x)))
        x = x + nn.functional.silu(self.dw_bn(self.dw(x)))
        x = x * torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))))
        x = self.fc(self.drop(torch.flatten(self.pool(self.max(x)), 1)))
        return torch.softmax(x, 1) if self.end == "softmax" else torch.sigmoid(x) if self.end else x


def calibrated(net):
    net.train()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, 0, 0.2)
    with torch.no_grad():
        net(torch.cat([PHOTO + torch.randn_like(PHOTO) * 20 for _ in range(4)]))
    for norm in norms:
        norm.momentum = 0.1
    return net.eval()


answers = {}


def record(file: str, photo: np.ndarray, output: int = 0) -> None:
    session = onnxruntime.InferenceSession(folder / file)
    found = session.run(None, {session.get_inputs()[0].name: photo})[output]
    if isinstance(found, list):  # a ZipMap's
        found = [list(found[0].values())]
    answers[file] = [float(v) for v in np.asarray(found).ravel()]


def without_traces(file: str) -> None:
    """Takes out where on this machine each line of Python was."""
    model = onnx.load(folder / file)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.save(model, folder / file)


def exported(file: str, net: Net, **options) -> None:
    torch.onnx.export(calibrated(net), (PHOTO,), folder / file, external_data=False, **options)
    without_traces(file)
    record(file, PHOTO.numpy())


kept = dict(
    dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
exported("torch9.onnx", Net(before="torch"), opset_version=9, **kept)
exported("torch17.onnx", Net(before="torch", end="softmax"), opset_version=17, **kept)
exported("dynamo.onnx", Net(before="torch"), dynamo=True)
exported("dynamo23.onnx", Net(before="caffe", end="softmax"), dynamo=True, opset_version=23)
exported("unoptimised.onnx", Net(before="torch", end="sigmoid"), dynamo=True, optimize=False)

program = calibrated(Net(before="caffe"))
dynamic = ({0: torch.export.Dim("batch")},)
archive = torch.export.export(program, (torch.cat([PHOTO, PHOTO]),), dynamic_shapes=dynamic)
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
answers["program.pt2"] = [float(v) for v in program(PHOTO)[0]]

# Half precision, a fixed batch, labels behind an ArgMax and a ZipMap, as services export them.
model = onnx.load(folder / "torch17.onnx")
graph = model.graph
for weight in list(graph.initializer):
    if weight.data_type != TensorProto.FLOAT or weight.name not in ("conv.weight", "fc.weight"):
        continue
    half = numpy_helper.to_array(weight).astype("float16")
    graph.initializer.remove(weight)
    graph.initializer.append(numpy_helper.from_array(half, weight.name + ".half"))
    cast = helper.make_node("Cast", [weight.name + ".half"], [weight.name], to=TensorProto.FLOAT)
    graph.node.insert(0, cast)
result = graph.output[0].name
graph.node.append(helper.make_node("ArgMax", [result], ["best"], axis=1, keepdims=0))
graph.initializer.append(
    helper.make_tensor("labels", TensorProto.STRING, [3], [b"cat", b"dog", b"owl"]))
graph.node.append(
    helper.make_node("ArrayFeatureExtractor", ["labels", "best"], ["label"], domain="ai.onnx.ml"))
graph.node.append(
    helper.make_node(
        "ZipMap", [result], ["loss"], domain="ai.onnx.ml",
        classlabels_strings=["cat", "dog", "owl"]))
del graph.output[:]
graph.output.append(helper.make_tensor_value_info("label", TensorProto.STRING, [1, 1]))
graph.output.append(
    helper.make_value_info(
        "loss",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(
                TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))))
model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
onnx.save(model, folder / "service.onnx")
record("service.onnx", PHOTO.numpy(), output=1)

# tf2onnx: channels last inside.
import keras

L = keras.layers
photo = keras.Input((SIDE, SIDE, 3), name="photo")
h = (photo[..., ::-1] - 100.0) / 60.0
h = L.Conv2D(6, 3, activation="relu", padding="same", name="first")(h)
h = L.BatchNormalization(name="norm")(L.MaxPooling2D(name="pool")(h))
h = L.Dense(8, activation="relu", name="hidden")(L.Flatten(name="flatten")(h))
net = keras.Model(photo, L.Dense(3, activation="softmax", name="answer")(h), name="channels_last")
rng = np.random.default_rng(3)
for weight in net.weights:
    values = rng.normal(0, 0.1, weight.shape)
    if "variance" in weight.name or "gamma" in weight.name:
        values = np.abs(values) + 0.5
    weight.assign(values.astype("float32"))
net(LAST)
net.export(folder / "keras.onnx", format="onnx", verbose=False)
record("keras.onnx", LAST)

with open(folder / "answers.json", "w") as file:
    json.dump(answers, file, indent=1)
    file.write("\n")
