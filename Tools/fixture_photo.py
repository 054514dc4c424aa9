# SPDX-License-Identifier: Apache-2.0
"""The photo that the libraries answered for in the fixtures of Backbones; the tests know its formula."""
import numpy as np

SIDE = 16


def fixture_photo():
    """[1, 16, 16, 3], of sample (31 y + 17 x + 73 c + 5 (x y mod 29)) mod 256."""
    y, x, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    return ((31 * y + 17 * x + 73 * c + 5 * ((x * y) % 29)) % 256).astype("float32")[None]
