# SPDX-License-Identifier: Apache-2.0
"""Prints how far two files of Float32 are apart: compare.py EXPECTED FOUND."""

import json
import sys

import numpy

expected, found = (numpy.fromfile(path, "<f4") for path in sys.argv[1:3])
if expected.shape != found.shape:
    sys.exit(f"error: {sys.argv[2]} has {found.size} values, expected {expected.size}")
absolute = float(numpy.abs(expected - found).max())
cosine = float(expected @ found / (numpy.linalg.norm(expected) * numpy.linalg.norm(found)))
print(json.dumps({
    "absolute": absolute, "relative": absolute / float(numpy.abs(expected).max()),
    "cosine": cosine}))
