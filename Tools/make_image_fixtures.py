# SPDX-License-Identifier: Apache-2.0
"""Writes the image fixtures of Tests/ImagesTests: small JPEGs and what Pillow makes of them.

Usage: python Tools/make_image_fixtures.py Tests/ImagesTests/Fixtures   (needs pillow and numpy)

jpeg/NAME.jpg with jpeg/NAME.png    a file and its upright RGB pixels
alpha/NAME.png with alpha/NAME-on-BACKGROUND.png    transparency and its composite
resize/WxH-to-WxH-KERNEL[-box].png  the resized test pattern (the pattern is a formula, see `pattern`)

Pillow writes no 4:1:1, 4:4:0 or YCCK JPEG, so `encode` is a small baseline encoder of its own; the
tables come from a file Pillow wrote.
"""

import io
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps


def pattern(width, height):
    """The image the resize tests compute as well: no smoothness, every level."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((x * 37 + y * 91 + c * 53 + x * y * (c + 3)) % 256).astype(np.uint8)


def photo(width, height):
    """Smooth colour with a few edges, as a photo has."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 128 + 120 * np.sin(x / 5 + y / 9)
    green = 255 * x / max(width - 1, 1)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 210, 40)
    return np.stack([red, green, blue], -1).round().clip(0, 255).astype(np.uint8)


def tables(image_bytes):
    """DQT and DHT segments of a JPEG, and the quantisation and Huffman tables in them."""
    segments, quantisers, codes, at = [], {}, {}, 2
    while image_bytes[at + 1] != 0xDA:
        marker, size = image_bytes[at + 1], int.from_bytes(image_bytes[at + 2 : at + 4], "big")
        body = image_bytes[at + 4 : at + 2 + size]
        if marker in (0xDB, 0xC4):
            segments.append(image_bytes[at : at + 2 + size])
        while marker == 0xDB and body:
            quantisers[body[0] & 15] = np.frombuffer(body[1:65], np.uint8).astype(int)
            body = body[65:]
        while marker == 0xC4 and body:
            counts, total, code, position = body[1:17], sum(body[1:17]), 0, 17
            table = codes.setdefault(body[0], {})
            for length, count in enumerate(counts, 1):
                for symbol in body[position : position + count]:
                    table[symbol] = (code, length)
                    code += 1
                position += count
                code <<= 1
            body = body[17 + total :]
        at += 2 + size
    return b"".join(segments), quantisers, codes


def zigzag():
    order = sorted(((u, v) for u in range(8) for v in range(8)),
                   key=lambda p: (sum(p), p[0] if sum(p) % 2 else -p[0]))
    return [u * 8 + v for u, v in order]


def cosines():
    k, n = np.mgrid[0:8, 0:8]
    return np.where(k == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * n + 1) * k * np.pi / 16)


class BitWriter:
    def __init__(self):
        self.bits, self.data = [], bytearray()

    def put(self, value, length):
        self.bits += [value >> (length - 1 - i) & 1 for i in range(length)]

    def flush(self):
        self.bits += [1] * (-len(self.bits) % 8)
        for byte in np.packbits(self.bits):
            self.data += bytes([byte, 0]) if byte == 0xFF else bytes([byte])
        self.bits = []


def put_block(writer, coefficients, previous, dc, ac):
    def magnitude(value):
        length = int(abs(value)).bit_length()
        return length, value if value >= 0 else value + (1 << length) - 1

    length, bits = magnitude(int(coefficients[0] - previous))
    writer.put(*dc[length])
    writer.put(bits, length)
    run = 0
    last = max((i for i in range(64) if coefficients[i]), default=0)
    for value in coefficients[1 : last + 1]:
        if value == 0:
            run += 1
            continue
        while run > 15:
            writer.put(*ac[0xF0])
            run -= 16
        length, bits = magnitude(int(value))
        writer.put(*ac[run << 4 | length])
        writer.put(bits, length)
        run = 0
    if last < 63:
        writer.put(*ac[0])


def encode(planes, sampling, adobe=None, restart=0):
    """A baseline JPEG of full-size `planes`; sampling[i] = (h, v) factors, h and v powers of two."""
    source = io.BytesIO()
    Image.fromarray(photo(16, 16)).save(source, "JPEG", quality=92)
    segments, quantisers, codes = tables(source.getvalue())
    height, width = planes[0].shape
    across, down = max(h for h, _ in sampling), max(v for _, v in sampling)
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    order, matrix, grids = zigzag(), cosines(), []
    for index, (plane, (h, v)) in enumerate(zip(planes, sampling)):
        padded = np.pad(plane.astype(float), ((0, rows * 8 * down - height),
                                              (0, columns * 8 * across - width)), "edge")
        fy, fx = down // v, across // h
        small = padded.reshape(padded.shape[0] // fy, fy, padded.shape[1] // fx, fx).mean((1, 3))
        blocks = small.reshape(rows * v, 8, columns * h, 8).transpose(0, 2, 1, 3) - 128
        spectrum = (matrix @ blocks @ matrix.T).reshape(rows * v, columns * h, 64)[..., order]
        grids.append(np.rint(spectrum / quantisers[min(index, 1) % 2 if index < 3 else 0]).astype(int))
    writer, previous, units = BitWriter(), [0] * len(planes), 0
    for row in range(rows):
        for column in range(columns):
            if restart and units and units % restart == 0:
                writer.flush()
                writer.data += bytes([0xFF, 0xD0 + (units // restart - 1) % 8])
                previous = [0] * len(planes)
            for index, (h, v) in enumerate(sampling):
                table = 1 if index in (1, 2) else 0
                for block in range(h * v):
                    data = grids[index][row * v + block // h, column * h + block % h]
                    put_block(writer, data, previous[index], codes[table], codes[0x10 | table])
                    previous[index] = data[0]
            units += 1
    writer.flush()
    count = len(planes)
    frame = bytes([8]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([count])
    scan = bytes([count])
    for index, (h, v) in enumerate(sampling):
        table = 1 if index in (1, 2) else 0
        frame += bytes([index + 1, h << 4 | v, table])
        scan += bytes([index + 1, table << 4 | table])

    def segment(marker, body):
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

    mark = b"" if adobe is None else segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
    interval = segment(0xDD, restart.to_bytes(2, "big")) if restart else b""
    return (b"\xff\xd8" + mark + segments + segment(0xC0, frame) + interval
            + segment(0xDA, scan + b"\0\x3f\0") + bytes(writer.data) + b"\xff\xd9")


def ycc(rgb):
    return [np.asarray(Image.fromarray(rgb).convert("YCbCr"))[..., i] for i in range(3)]


def saved(image, **options):
    data = io.BytesIO()
    image.save(data, "JPEG", **options)
    return data.getvalue()


def jpegs():
    rgb = photo(43, 29)
    image = Image.fromarray(rgb)
    key = (255 - rgb.max(-1)).astype(np.uint8)
    inks = [(255 - rgb[..., c].astype(int)).clip(0, 255).astype(np.uint8) for c in range(3)]
    yield "baseline-444", saved(image, quality=90, subsampling=0)
    yield "baseline-422", saved(image, quality=90, subsampling=1)
    yield "baseline-420", saved(image, quality=90, subsampling=2)
    yield "progressive-420", saved(image, quality=85, subsampling=2, progressive=True)
    yield "progressive-444", saved(image, quality=60, subsampling=0, progressive=True)
    yield "grey", saved(image.convert("L"), quality=90)
    yield "grey-progressive", saved(image.convert("L"), quality=90, progressive=True)
    yield "restart", saved(image, quality=90, restart_marker_blocks=2)
    yield "cmyk-adobe", saved(image.convert("CMYK"), quality=92)
    yield "adobe-rgb", encode([rgb[..., c] for c in range(3)], [(1, 1)] * 3, adobe=0)
    yield "sampling-411", encode(ycc(rgb), [(4, 1), (1, 1), (1, 1)])
    yield "sampling-440", encode(ycc(rgb), [(1, 2), (1, 1), (1, 1)])
    yield "sampling-410", encode(ycc(rgb), [(4, 2), (1, 1), (1, 1)], restart=3)
    # YCCK as Adobe stores it: both the inverted colour as YCbCr and the key inverted once more.
    yield "ycck-adobe", encode(ycc(255 - rgb) + [255 - key // 2], [(1, 1)] * 4, adobe=2)
    yield "ycck-420", encode(ycc(255 - rgb) + [255 - key // 2], [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2)
    yield "cmyk-plain", encode([255 - i for i in inks] + [255 - key // 2], [(1, 1)] * 4)
    for side in (1, 2, 3, 7, 8, 9, 16, 17):
        yield f"tiny-{side}", saved(Image.fromarray(photo(side, side)), quality=90)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        small = Image.fromarray(photo(13, 6))
        yield f"orientation-{turn}", saved(small, quality=90, subsampling=0, exif=exif)


RESIZES = [
    (37, 23, 16, 10), (37, 23, 74, 46), (37, 23, 16, 41), (23, 37, 41, 16), (5, 3, 64, 48),
    (64, 48, 5, 3), (1, 1, 9, 7), (40, 31, 40, 17), (40, 31, 17, 31), (61, 47, 33, 32),
    (33, 90, 11, 31), (2, 97, 8, 8),
]


def main(folder):
    for name in ("jpeg", "alpha", "resize"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, data in jpegs():
        (folder / "jpeg" / f"{name}.jpg").write_bytes(data)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        upright.save(folder / "jpeg" / f"{name}.png", optimize=True)
    levels, opacity = np.meshgrid(np.arange(0, 256, 3), np.arange(0, 256, 5))
    rgba = np.stack([levels, 255 - levels, levels * 7 % 256, opacity], -1).astype(np.uint8)
    Image.fromarray(rgba).save(folder / "alpha" / "ramp.png", optimize=True)
    for background in ((255, 255, 255), (10, 200, 90)):
        flat = Image.new("RGBA", (rgba.shape[1], rgba.shape[0]), background + (255,))
        flat.alpha_composite(Image.fromarray(rgba))
        name = "ramp-on-" + "-".join(map(str, background)) + ".png"
        flat.convert("RGB").save(folder / "alpha" / name, optimize=True)
    kernels = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
               "nearest": Image.Resampling.NEAREST}
    for width, height, new_width, new_height in RESIZES:
        image = Image.fromarray(pattern(width, height))
        for name, kernel in kernels.items():
            stem = f"{width}x{height}-to-{new_width}x{new_height}-{name}"
            image.resize((new_width, new_height), kernel).save(folder / "resize" / f"{stem}.png")
            if width > 30 and height > 30:
                box = (2.25, 3.5, width - 4.75, height - 1.125)
                image.resize((new_width, new_height), kernel, box=box).save(
                    folder / "resize" / f"{stem}-box.png")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
