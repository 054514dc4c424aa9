# SPDX-License-Identifier: Apache-2.0
"""One photo by a Python script that imports ONNX Runtime and Pillow, started anew each time."""

import os
import subprocess
import sys

import contender
import photos

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cold_script.py")
options = contender.options()
model = os.path.join(options.work, f"{options.network}-{options.batch}.onnx")
files = photos.listing(options.photos)


def run_round():
    for index in range(options.images):
        subprocess.run(
            [sys.executable, SCRIPT, model, files[index % len(files)], str(options.threads)],
            stdout=subprocess.DEVNULL, check=True)
    return options.images


contender.serve("Python, onnxruntime and Pillow, a process for each photo", run_round)
