# SPDX-License-Identifier: Apache-2.0
"""cold_script.py MODEL PHOTO THREADS: what one writes to have one photo classified."""

import sys

import numpy
import onnxruntime
from PIL import Image

model, photo, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
image = Image.open(photo).convert("RGB")
scale = 256 / min(image.size)
image = image.resize([round(length * scale) for length in image.size], Image.BICUBIC)
left, top = ((length - 224) // 2 for length in image.size)
pixels = numpy.asarray(image.crop((left, top, left + 224, top + 224)), numpy.float32)
pixels = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
result = session.run(None, {session.get_inputs()[0].name: numpy.ascontiguousarray(pixels)})[0][0]
print(int(result.argmax()), float(result.max()))
