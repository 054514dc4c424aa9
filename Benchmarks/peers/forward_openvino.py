# SPDX-License-Identifier: Apache-2.0
"""Pixels in memory to features: OpenVINO on the CPU, one stream, in the precision that PRECISION names."""

import os

import numpy
import openvino

import contender

options = contender.options()
precision = os.environ.get("PRECISION", "f32")
pixels = numpy.fromfile(os.path.join(options.work, "pixels.f32"), "<f4").reshape(-1, 3, 224, 224)
batches = [pixels[i:i + options.batch] for i in range(0, len(pixels), options.batch)]
core = openvino.Core()
model = core.read_model(os.path.join(options.work, f"{options.network}-{options.batch}.onnx"))
model.reshape([options.batch, 3, 224, 224])
compiled = core.compile_model(model, "CPU", {
    "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": options.threads,
    "NUM_STREAMS": 1, "PERFORMANCE_HINT": "THROUGHPUT"})
request = compiled.create_infer_request()


def run_round():
    for index in range(options.images // options.batch):
        request.infer([batches[index % len(batches)]], share_inputs=True, share_outputs=True)
    return options.images // options.batch * options.batch


def output():
    return numpy.concatenate([
        numpy.array(request.infer([batch])[compiled.outputs[0]])
        for batch in batches if len(batch) == options.batch])


contender.serve(f"OpenVINO {openvino.__version__}, {precision}", run_round, output)
