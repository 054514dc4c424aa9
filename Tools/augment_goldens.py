# SPDX-License-Identifier: Apache-2.0
"""Prints the numbers that AugmentKerasTests and AugmentColorTests compare with.

Needs numpy, scipy and pillow. The affine matrices are composed here from their published formulas
(keras 2.1.6 and keras-preprocessing 1.1.3) and applied by scipy, the library Keras calls.

    python3 Tools/augment_goldens.py
"""

import numpy as np
from PIL import Image, ImageEnhance
from scipy import ndimage


def keras_matrix(theta, tx, ty, shear, zx, zy, rows, columns, old):
    t, s = np.deg2rad(theta), np.deg2rad(shear)
    m = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    m = m @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    m = m @ np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    m = m @ np.diag([zx, zy, 1])
    offset = 0.5 if old else -0.5
    x, y = rows / 2 + offset, columns / 2 + offset
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = (x, y), (-x, -y)
    m = there @ m @ back
    if not old:
        m[:, [0, 1]] = m[:, [1, 0]]
        m[[0, 1]] = m[[1, 0]]
    return m


def pattern(width, height):
    """The red channel of ImageFixtures.pattern."""
    y, x = np.mgrid[:height, :width]
    return (x * 37 + y * 91 + x * y * 3) % 256


for old in (True, False):
    m = keras_matrix(30, 3, -2, 10, 0.9, 1.2, 10, 30, old)
    print("10 x 30", "old" if old else "new", np.round(m[:2], 12).tolist())
    for fill in ("nearest", "reflect"):
        m = keras_matrix(30, 1, -2, 10, 0.9, 1.2, 6, 6, old)
        out = ndimage.affine_transform(
            pattern(6, 6).astype(float), m[:2, :2], m[:2, 2], order=1, mode=fill)
        print("6 x 6", "old" if old else "new", fill, np.round(out, 3).tolist())

samples = [0, 1, 7, 33, 99, 100, 101, 250, 255]
image = Image.new("L", (len(samples), 1))
image.putdata(samples)
for factor in (0.5, 0.995, 1.009, 1.5):
    print("brightness", factor, list(ImageEnhance.Brightness(image).enhance(factor).tobytes()))


def lighting(x, b, c):
    x = np.clip(np.array(x) / 255, 1e-7, 1 - 1e-7)
    logit = (np.log(x / (1 - x)) + np.log(b / (1 - b))) * c
    return np.round(255 / (1 + np.exp(-logit))).astype(int).tolist()


print("lighting 0.6 1", lighting(samples, 0.6, 1))
print("lighting 0.5 1.25", lighting(samples, 0.5, 1.25))
print("lighting 0.4 0.8", lighting(samples, 0.4, 0.8))
