# SPDX-License-Identifier: Apache-2.0
"""Pixels in memory to features: ONNX Runtime on its CPU provider, all graph optimisations on."""

import os

import numpy
import onnxruntime

import contender

options = contender.options()
settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = options.threads
settings.inter_op_num_threads = 1
settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(
    os.path.join(options.work, f"{options.network}-{options.batch}.onnx"), settings,
    providers=["CPUExecutionProvider"])
pixels = numpy.fromfile(os.path.join(options.work, "pixels.f32"), "<f4").reshape(-1, 3, 224, 224)
batches = [pixels[i:i + options.batch] for i in range(0, len(pixels), options.batch)]


def run_round():
    for index in range(options.images // options.batch):
        session.run(None, {"pixels": batches[index % len(batches)]})
    return options.images // options.batch * options.batch


def output():
    return numpy.concatenate([session.run(None, {"pixels": batch})[0] for batch in batches])


contender.serve(f"ONNX Runtime {onnxruntime.__version__}", run_round, output)
