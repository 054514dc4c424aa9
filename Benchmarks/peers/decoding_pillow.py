# SPDX-License-Identifier: Apache-2.0
"""Files of one format to pixels, by Pillow and its plug-in for HEIC, one file after the other.

Both libraries may use as many threads within a file as the benchmark has.
"""

import os

import PIL
import pillow_heif
from PIL import AvifImagePlugin, Image

import contender

options = contender.options()
pillow_heif.register_heif_opener()
pillow_heif.options.DECODE_THREADS = options.threads
AvifImagePlugin.DEFAULT_MAX_THREADS = options.threads
folder = os.path.join(options.work, "decoding")
files = sorted(
    os.path.join(folder, name) for name in os.listdir(folder) if name.endswith("." + options.variant))


def run_round():
    for path in files:
        with Image.open(path) as image:
            image.convert("RGB").load()
    return len(files)


contender.serve(f"Pillow {PIL.__version__}, pillow-heif {pillow_heif.__version__}", run_round)
