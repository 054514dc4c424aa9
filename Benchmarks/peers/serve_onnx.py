# SPDX-License-Identifier: Apache-2.0
"""What `thaw serve` is measured against: FastAPI and ONNX Runtime, as one writes it in Python.

    MODEL=model.onnx uvicorn --app-dir Benchmarks/peers serve_onnx:app --workers 2

The model is an export with --preprocessing: photos of the network's size go in as bytes. Each worker process
computes with one thread, so that two workers use two processors; THREADS=0 leaves the number to ONNX Runtime.
"""

import io
import json
import os

import numpy
import onnxruntime
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image, ImageOps

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, ["CPUExecutionProvider"])
image = session.get_inputs()[0]
side = next(length for length in image.shape if isinstance(length, int) and length > 3)
channels_first = image.shape[1] == 3
labels = next(
    (json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()
     if key.endswith("class_names")), None)
app = FastAPI()


def classify(body):
    photo = ImageOps.exif_transpose(Image.open(io.BytesIO(body))).convert("RGB")
    scale = round(side / 0.875) / min(photo.size)
    photo = photo.resize([max(round(length * scale), side) for length in photo.size], Image.BICUBIC)
    left, top = ((length - side) // 2 for length in photo.size)
    pixels = numpy.asarray(photo.crop((left, top, left + side, top + side)), numpy.uint8)[None]
    if channels_first:
        pixels = pixels.transpose(0, 3, 1, 2)
    if image.type == "tensor(float)":
        pixels = pixels.astype(numpy.float32)
    outputs = session.run(None, {image.name: numpy.ascontiguousarray(pixels)})
    probabilities = outputs[-1][0]
    best = int(probabilities.argmax())
    return {"label": labels[best] if labels else best, "probability": float(probabilities[best])}


@app.get("/v2/health/ready")
async def ready():
    return {"ready": True}


@app.post("/predict")
async def predict(request: Request):
    body = await request.body()
    try:
        return await run_in_threadpool(classify, body)
    except OSError as error:
        raise HTTPException(422, str(error))
