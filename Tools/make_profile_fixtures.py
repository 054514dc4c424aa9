# SPDX-License-Identifier: Apache-2.0
"""Writes small photos with colour profiles, and what Pillow's ImageCms makes of them in sRGB.

Usage: python Tools/make_profile_fixtures.py Tests/ImagesTests/Fixtures
(needs pillow with Little CMS, pillow-heif and numpy)

profiles/NAME.EXT with profiles/NAME.EXT.png. The profiles are built here from published numbers: primaries
of Display P3 and Adobe RGB for daylight of 5000 K, a grey of linear light, and inks on 16 points of a grid.
"""

import io
import pathlib
import struct
import sys

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()

P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]
ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]


def fixed(value):
    return struct.pack(">i", round(value * 65536))


def xyz(values):
    return b"XYZ " + bytes(4) + b"".join(fixed(value) for value in values)


def curve(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def description(name):
    text = name.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(11 + 67) + bytes(-(90 + len(text)) % 4)


def profile(kind, space, connection, tags):
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, contents in tags:
        table += name + struct.pack(">II", start + len(data), len(contents))
        data += contents + bytes(-len(contents) % 4)
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"", 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += fixed(0.9642) + fixed(1) + fixed(0.8249) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + data


def matrix_profile(name, primaries):
    tags = [(b"desc", description(name)), (b"wtpt", xyz((0.9642, 1, 0.8249)))]
    tags += [(colour + b"XYZ", xyz(values)) for colour, values in zip((b"r", b"g", b"b"), primaries)]
    tags += [(colour + b"TRC", curve(2.2)) for colour in (b"r", b"g", b"b")]
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile():
    return profile(b"mntr", b"GRAY", b"XYZ ", [
        (b"desc", description("Linear grey")), (b"wtpt", xyz((0.9642, 1, 0.8249))), (b"kTRC", curve(1.0))])


def ink_profile():
    """Inks that multiply, with a colour of paper, from a table of two points an ink."""
    values = b""
    for index in range(16):
        cyan, magenta, yellow, black = (index >> shift & 1 for shift in (3, 2, 1, 0))
        light = 95 * (1 - 0.45 * cyan) * (1 - 0.5 * magenta) * (1 - 0.1 * yellow) * (1 - 0.85 * black)
        a = (-35 * cyan + 70 * magenta) * (1 - black)
        b = (-45 * cyan - 5 * magenta + 85 * yellow) * (1 - black)
        values += struct.pack(">3H", round(light * 652.8), round((a + 128) * 256), round((b + 128) * 256))
    ramp = struct.pack(">2H", 0, 65535)
    identity = b"".join(fixed(1 if row == column else 0) for row in range(3) for column in range(3))
    table = b"mft2" + bytes(4) + bytes([4, 3, 2, 0]) + identity + struct.pack(">2H", 2, 2) + ramp * 4 + values
    return profile(b"prtr", b"CMYK", b"Lab ", [
        (b"desc", description("Made-up inks")), (b"wtpt", xyz((0.9642, 1, 0.8249))), (b"A2B0", table + ramp * 3)])


def photo(width, height):
    """Smooth strong colours."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 255 * x / (width - 1)
    green = 255 * y / (height - 1)
    blue = 128 + 120 * np.sin(x / 4 - y / 5)
    return Image.fromarray(np.stack([red, green, blue], -1).round().clip(0, 255).astype(np.uint8))


def main():
    folder = pathlib.Path(sys.argv[1]) / "profiles"
    folder.mkdir(exist_ok=True)
    p3, adobe = matrix_profile("Display P3", P3), matrix_profile("Adobe RGB (1998)", ADOBE)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = photo(24, 20)
    inks = Image.merge("CMYK", [band.resize((24, 20)) for band in (
        *image.split(), image.convert("L").point(lambda level: level // 3))])
    files = [
        ("p3.jpg", image, "JPEG", p3, {"quality": 95, "subsampling": 0}),
        ("adobe.png", image, "PNG", adobe, {}),
        ("p3.webp", image, "WEBP", p3, {"lossless": True}),
        ("adobe.tif", image, "TIFF", adobe, {}),
        ("p3.heic", image, "HEIF", p3, {"quality": 90, "chroma": 444}),
        ("p3.avif", image, "AVIF", p3, {"quality": 95, "subsampling": "4:4:4"}),
        ("grey.jpg", image.convert("L"), "JPEG", grey_profile(), {"quality": 95}),
        ("grey.png", image.convert("L"), "PNG", grey_profile(), {}),
        ("inks.jpg", inks, "JPEG", ink_profile(), {"quality": 95, "subsampling": 0}),
        ("inks.tif", inks, "TIFF", ink_profile(), {}),
        ("srgb.jpg", image, "JPEG", srgb.tobytes(), {"quality": 95}),
    ]
    for name, picture, form, icc, options in files:
        out = io.BytesIO()
        picture.save(out, form, icc_profile=icc, **options)
        (folder / name).write_bytes(out.getvalue())
        decoded = Image.open(io.BytesIO(out.getvalue()))
        decoded.load()
        assert decoded.info.get("icc_profile") == icc, name
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = decoded.convert("RGB") if name.startswith("srgb") else ImageCms.profileToProfile(
            decoded, source, srgb, outputMode="RGB")
        converted.info.clear()
        converted.save(folder / f"{name}.png", optimize=True)


main()
