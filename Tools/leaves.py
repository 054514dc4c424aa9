#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws close-up photos of twelve made-up plant species, one folder a species.

    Tools/leaves.py OUTPUT [--count 60] [--size 160] [--seed 1]

A species is a leaf outline (lobes, teeth, length), a vein pattern, a hue and a gloss; a photo is a
few leaves of one species, turned, scaled, lit, blurred, on soil, sand or cloth that has nothing to
do with the species. What tells species apart is fine structure, as in real close-ups and unlike
ImageNet's classes, so a network that keeps its pretrained features does well but not perfectly.
Needs numpy and pillow.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image, ImageFilter

# lobes, lobe depth, teeth, tooth depth, length by width, vein angle in degrees, vein spacing, hue
# (0 yellow-green, 1 blue-green), mottling
SPECIES = {
    "ashen-burr": (0, 0.00, 22, 0.05, 1.6, 45, 0.11, 0.45, 0.30),
    "brook-mint": (0, 0.00, 30, 0.03, 1.6, 45, 0.11, 0.45, 0.30),
    "crane-foot": (5, 0.25, 0, 0.00, 1.1, 35, 0.16, 0.50, 0.25),
    "dusk-maple": (5, 0.25, 25, 0.04, 1.1, 35, 0.16, 0.50, 0.25),
    "elm-wort": (0, 0.00, 22, 0.05, 1.6, 65, 0.11, 0.45, 0.30),
    "fen-dock": (0, 0.00, 0, 0.00, 2.4, 40, 0.14, 0.40, 0.20),
    "goat-sedge": (0, 0.00, 0, 0.00, 2.4, 12, 0.08, 0.40, 0.20),
    "hill-clover": (3, 0.30, 0, 0.00, 1.0, 50, 0.13, 0.55, 0.20),
    "iris-clover": (3, 0.30, 0, 0.00, 1.0, 50, 0.13, 0.55, 0.55),
    "jack-oak": (7, 0.14, 0, 0.00, 1.8, 50, 0.15, 0.45, 0.25),
    "kelp-oak": (9, 0.14, 0, 0.00, 1.8, 50, 0.15, 0.45, 0.25),
    "lime-thorn": (7, 0.14, 18, 0.05, 1.8, 50, 0.15, 0.45, 0.25),
}


def noise(rng, size, scale):
    """Smooth noise in 0...1: a small random grid, enlarged."""
    side = max(int(size / scale), 2)
    grid = Image.fromarray((rng.random((side, side)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((size, size), Image.BICUBIC), dtype=np.float32) / 255


def background(rng, size):
    base = np.array([[90, 70, 52], [150, 135, 110], [120, 122, 128], [70, 72, 60]])[rng.integers(4)]
    base = base * rng.uniform(0.7, 1.25) + rng.normal(0, 10, 3)
    texture = sum(w * (noise(rng, size, s) - 0.5) for w, s in ((60, 24), (50, 6), (40, 2)))
    return base[None, None] + texture[..., None]


def leaf(rng, species, size):
    """Colour [size, size, 3] and coverage [size, size] of one leaf."""
    lobes, depth, teeth, tooth, length, angle, spacing, hue, mottle = species
    jitter = rng.normal(1, 0.07, 8)
    turn, scale = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.22, 0.4)
    centre = rng.uniform(0.25, 0.75, 2) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    u = ((x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)) / scale
    v = (-(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)) / scale
    v = v * length * jitter[0] * rng.uniform(0.85, 1.15)
    bend = rng.normal(0, 0.12)
    v = v + bend * u * u
    theta, r = np.arctan2(v, u), np.hypot(u, v)
    edge = 0.8 + 0.2 * np.cos(theta)
    if lobes:
        edge *= 1 - depth * jitter[1] * (0.5 - 0.5 * np.cos(lobes * theta + np.pi * (lobes % 2)))
    if teeth:
        phase = (teeth * theta / (2 * np.pi)) % 1
        edge *= 1 - tooth * jitter[2] * 2 * phase
    cover = np.clip((edge - r) * scale / 1.5 + 0.5, 0, 1)
    rad = np.deg2rad(angle * jitter[3])
    side = (u - np.abs(v) / np.tan(rad)) / (spacing * jitter[4])
    veins = np.exp(-((side - np.round(side)) * 7) ** 2) + 1.4 * np.exp(-((v / 0.03) ** 2))
    green = np.array([95 - 45 * hue, 125 + rng.normal(0, 9), 45 + 50 * hue]) + rng.normal(0, 8, 3)
    light = 1 + 0.25 * (u * rng.normal(0, 0.6) + v * rng.normal(0, 0.6))
    spots = mottle * (noise(rng, size, 7) - 0.5)
    color = green[None, None] * (light + 0.22 * veins + spots)[..., None]
    return color, cover


def photo(rng, species, size):
    big = size * 2
    image = background(rng, big)
    for _ in range(rng.integers(1, 4)):
        color, cover = leaf(rng, species, big)
        image = image * (1 - cover[..., None]) + color * cover[..., None]
    image = image * rng.uniform(0.65, 1.3) * (1 + rng.normal(0, 0.05, 3))[None, None]
    image = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).resize((size, size), Image.BOX)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=60, help="photos of each species")
    parser.add_argument("--size", type=int, default=160, help="side in pixels")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for index, (name, species) in enumerate(SPECIES.items()):
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(options.count):
            rng = np.random.default_rng((options.seed, index, number))
            photo(rng, species, options.size).save(folder / f"{number:04}.jpg", quality=88)


if __name__ == "__main__":
    main()
