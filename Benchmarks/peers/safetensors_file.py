# SPDX-License-Identifier: Apache-2.0
"""Reads and writes Float32 safetensors files, so that all contenders start from one file.

Format: 8 bytes little-endian length of a JSON header, the header (name -> dtype, shape and byte
range), then the arrays.
"""

import json
import struct

import numpy


def write(path, arrays):
    """Writes `arrays`, a dictionary of NumPy arrays, as Float32."""
    header, position = {}, 0
    arrays = {name: numpy.ascontiguousarray(array, "<f4") for name, array in arrays.items()}
    for name, array in arrays.items():
        end = position + array.nbytes
        header[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def read(path):
    """The arrays of a Float32 file by name."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(data, "<f4", (end - begin) // 4, begin)
        arrays[name] = array.reshape(entry["shape"])
    return arrays
