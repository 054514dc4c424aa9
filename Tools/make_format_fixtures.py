# SPDX-License-Identifier: Apache-2.0
"""Writes small photos in other formats than JPEG and PNG, and what Pillow makes of them.

Usage: python Tools/make_format_fixtures.py Tests/ImagesTests/Fixtures
(needs pillow, pillow-heif, tifffile, imagecodecs and numpy)

formats/NAME.EXT with formats/NAME.EXT.png: a file and its upright pixels on white. Of 16 bits the high
byte counts, whatever Pillow does with them. BMPs are built byte by byte here: Pillow writes few kinds.
"""

import io
import pathlib
import struct
import sys

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()


def photo(width, height):
    """Smooth colour with an edge."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 128 + 120 * np.sin(x / 5 + y / 9)
    green = 255 * x / max(width - 1, 1)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 210, 40)
    return np.stack([red, green, blue], -1).round().clip(0, 255).astype(np.uint8)


def with_alpha(pixels):
    height, width, _ = pixels.shape
    alpha = (np.mgrid[0:height, 0:width][1] * 255 // (width - 1)).astype(np.uint8)
    return np.concatenate([pixels, alpha[..., None]], -1)


def on_white(image):
    image = ImageOps.exif_transpose(image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def bmp(width, height, bits, rows, header=40, compression=0, masks=b"", palette=b"", colours=0, data=None,
        colour_bytes=b""):
    """A BMP; `rows` are the packed rows in the order of the file."""
    if data is None:
        data = b"".join(row + bytes(-len(row) % 4) for row in rows)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 2835, 2835,
                           colours, 0)
        info += masks + bytes(header - len(info) - len(masks) if header > 40 else 0)
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + palette + data


def packed(indices, bits):
    """Rows of palette indices as bytes."""
    rows = []
    for row in indices:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
    return rows


def bmps():
    width, height = 13, 9
    pixels = photo(width, height)
    bgr = [row[:, ::-1].tobytes() for row in pixels[::-1]]
    yield "rgb24", bmp(width, height, 24, bgr)
    yield "top-down", bmp(width, -height, 24, bgr[::-1])
    yield "os2", bmp(width, height, 24, bgr, header=12)
    bgrx = [np.concatenate([row[:, ::-1], np.full((width, 1), 77, np.uint8)], 1).tobytes() for row in pixels[::-1]]
    yield "rgb32", bmp(width, height, 32, bgrx)
    bgra = [row[:, [2, 1, 0, 3]].tobytes() for row in with_alpha(pixels)[::-1]]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "alpha", bmp(width, height, 32, bgra, header=108, compression=3, masks=masks)
    p = pixels.astype(np.uint16)[::-1]
    five = (p[..., 0] >> 3) << 10 | (p[..., 1] >> 3) << 5 | p[..., 2] >> 3
    yield "rgb555", bmp(width, height, 16, [row.astype("<u2").tobytes() for row in five])
    six = (p[..., 0] >> 3) << 11 | (p[..., 1] >> 2) << 5 | p[..., 2] >> 3
    yield "rgb565", bmp(width, height, 16, [row.astype("<u2").tobytes() for row in six], compression=3,
                        palette=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    for bits in (1, 4, 8):
        quantised = Image.fromarray(pixels).quantize(min(2 ** bits, 40))
        indices = np.array(quantised)
        colours = np.array(quantised.getpalette()[: 3 * 40], np.uint8).reshape(-1, 3)[: min(2 ** bits, 40)]
        table = b"".join(bytes([c[2], c[1], c[0], 0]) for c in colours)
        yield f"palette{bits}", bmp(width, height, bits, packed(indices[::-1], bits), palette=table,
                                    colours=len(colours))
        if bits == 1:
            continue
        # Runs, then a literal run, a step to the next row, and one over pixels that keep index 0.
        flat = np.zeros((height, width), np.uint8)
        flat[:, 3:9] = indices[:, 3:9]
        stream = b""
        for row in flat[::-1]:
            stream += bytes([3, 0])
            literal = row[3:9]
            body = literal.tobytes() if bits == 8 else packed([literal], 4)[0]
            stream += bytes([0, 6]) + body + bytes(len(body) % 2)
            stream += bytes([4, 0]) + bytes([0, 0])
        stream += bytes([0, 1])
        yield f"rle{bits}", bmp(width, height, bits, None, compression=1 if bits == 8 else 2, palette=table,
                                colours=len(colours), data=stream)


def tiffs():
    pixels = photo(13, 9)
    wide = photo(40, 36)
    grey = pixels[..., 1]
    deep = pixels.astype(np.uint16) << 8 | pixels[..., ::-1]

    def write(data, **options):
        out = io.BytesIO()
        tifffile.imwrite(out, data, metadata=None, **options)
        return out.getvalue()

    yield "strips", write(pixels, photometric="rgb", rowsperstrip=4), None
    yield "big-endian", write(pixels, photometric="rgb", byteorder=">"), None
    yield "lzw", write(pixels, photometric="rgb", compression="lzw", predictor=True), None
    yield "deflate", write(pixels, photometric="rgb", compression="deflate", predictor=True), None
    yield "packbits", write(pixels, photometric="rgb", compression="packbits"), None
    yield "tiles", write(wide, photometric="rgb", tile=(16, 16), compression="deflate"), None
    yield "planes", write(np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate"), pixels
    yield "grey", write(grey, photometric="minisblack"), None
    yield "white-is-zero", write(grey, photometric="miniswhite"), None
    yield "grey16", write(grey.astype(np.uint16) * 257, photometric="minisblack"), np.stack([grey] * 3, -1)
    yield "rgb16", write(deep, photometric="rgb", compression="deflate"), pixels
    yield "alpha", write(with_alpha(pixels), photometric="rgb", extrasamples=["unassalpha"]), None
    yield "unspecified", write(with_alpha(pixels), photometric="rgb", extrasamples=["unspecified"]), pixels
    yield "orientation", write(pixels, photometric="rgb", extratags=[(274, "H", 1, 6)]), None
    two = io.BytesIO()
    with tifffile.TiffWriter(two) as writer:
        writer.write(pixels, photometric="rgb", metadata=None)
        writer.write(grey, photometric="minisblack", metadata=None)
    yield "pages", two.getvalue(), None
    image = Image.fromarray(pixels)
    for name, converted, options in [
        ("palette", image.quantize(20), {}), ("cmyk", image.convert("CMYK"), {}),
        ("fax", image.convert("1"), {"compression": "group4"}), ("bits", image.convert("1"), {}),
        ("jpeg", Image.fromarray(wide), {"compression": "jpeg", "quality": 90}),
    ]:
        out = io.BytesIO()
        converted.save(out, "TIFF", **options)
        yield name, out.getvalue(), None


def others():
    small, large = photo(13, 9), photo(24, 16)
    image = Image.fromarray(large)
    alpha = Image.fromarray(with_alpha(large))
    turned = Image.Exif()
    turned[0x112] = 6

    def saved(picture, form, **options):
        out = io.BytesIO()
        picture.save(out, form, **options)
        return out.getvalue()

    yield "lossy.webp", saved(image, "WEBP", quality=80)
    yield "lossless.webp", saved(image, "WEBP", lossless=True)
    yield "alpha.webp", saved(alpha, "WEBP", lossless=True, exact=True)
    yield "alpha-lossy.webp", saved(alpha, "WEBP", quality=80)
    yield "orientation.webp", saved(image, "WEBP", lossless=True, exif=turned)
    yield "animated.webp", saved(image, "WEBP", lossless=True, save_all=True,
                                 append_images=[image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], duration=99)
    palette = Image.fromarray(small).quantize(16)
    yield "plain.gif", saved(palette, "GIF", interlace=0)
    yield "interlaced.gif", saved(palette, "GIF", interlace=1)
    yield "grey.gif", saved(Image.fromarray(small).convert("L"), "GIF")
    yield "transparent.gif", saved(palette, "GIF", transparency=3)
    yield "animated.gif", saved(palette, "GIF", save_all=True,
                                append_images=[palette.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    # A frame that does not cover its canvas.
    plain = bytearray(saved(palette, "GIF", interlace=0))
    plain[6:10] = struct.pack("<HH", 17, 12)
    at = plain.index(b"\x2c\0\0\0\0")
    plain[at + 1:at + 5] = struct.pack("<HH", 2, 1)
    yield "offset.gif", bytes(plain)
    heif = pillow_heif.from_pillow(Image.fromarray(photo(64, 48)))
    for name, kind, options in [("photo.heic", pillow_heif.HeifFile, {"quality": 80})]:
        out = io.BytesIO()
        heif.save(out, **options)
        yield name, out.getvalue()
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(with_alpha(photo(64, 48)))).save(out, quality=80)
    yield "alpha.heic", out.getvalue()
    yield "photo.avif", saved(Image.fromarray(photo(64, 48)), "AVIF", quality=80)
    yield "turned.avif", saved(Image.fromarray(photo(64, 48)), "AVIF", quality=80, exif=turned)
    yield "alpha.avif", saved(Image.fromarray(with_alpha(photo(64, 48))), "AVIF", quality=80)
    yield "whole-colours.avif", saved(Image.fromarray(photo(33, 21)), "AVIF", quality=80, subsampling="4:4:4")
    # Brightness from 16 to 235, as video and most programs but Pillow write it, of odd sizes.
    yield "video-range.avif", saved(Image.fromarray(photo(35, 23)), "AVIF", quality=80, range="limited")
    yield "video-grey.avif", saved(Image.fromarray(photo(35, 23)).convert("L"), "AVIF", quality=80,
                                   range="limited", subsampling="4:0:0")
    yield "video-alpha.avif", saved(Image.fromarray(with_alpha(photo(35, 23))), "AVIF", quality=80, range="limited")
    yield "odd.avif", saved(Image.fromarray(photo(35, 23)), "AVIF", quality=80)
    # Ten bits a sample; Pillow takes the upper eight.
    deep = photo(35, 23).astype(np.uint16) * 4 + np.arange(35, dtype=np.uint16)[None, :, None] % 4
    yield "deep.avif", imagecodecs.avif_encode(deep, level=80, bitspersample=10, speed=8, pixelformat="420")
    for name, pixels, options in [
            ("video-range.heic", photo(36, 24), {"full_range_flag": 0, "matrix_coefficients": 6}),
            ("sharp.heic", photo(36, 24), {"full_range_flag": 1, "matrix_coefficients": 1}),
            ("grey.heic", np.asarray(Image.fromarray(photo(36, 24)).convert("L")), {})]:
        yield name, saved(Image.fromarray(pixels), "HEIF", quality=80, **options)
    pillow_heif.options.GRID_TILE_SIZE = 64
    yield "tiles.heic", saved(Image.fromarray(photo(150, 70)), "HEIF", quality=80)
    pillow_heif.options.GRID_TILE_SIZE = 0
    yield "halved-across.avif", saved(Image.fromarray(photo(34, 21)), "AVIF", quality=80, subsampling="4:2:2")


def transparent():
    """Photos of which nothing can be seen, with colours below."""
    image = Image.fromarray(np.dstack([photo(16, 12), np.zeros((12, 16), np.uint8)]))
    palette = Image.fromarray(np.full((12, 16), 3, np.uint8), "P")
    palette.putpalette(list(range(48)))
    for kind, options in [("png", {}), ("webp", {"lossless": True, "exact": True}), ("tif", {}), ("avif", {}),
                          ("gif", {"transparency": 3})]:
        out = io.BytesIO()
        picture = palette if kind == "gif" else image
        picture.save(out, {"tif": "TIFF"}.get(kind, kind.upper()), **options)
        yield f"clear.{kind}", out.getvalue()
    out = io.BytesIO()
    pillow_heif.from_pillow(image).save(out, quality=80)
    yield "clear.heic", out.getvalue()


def main():
    folder = pathlib.Path(sys.argv[1]) / "formats"
    folder.mkdir(exist_ok=True)
    files = [(f"{name}.bmp", data, None) for name, data in bmps()]
    files += [(f"{name}.tif", data, expected) for name, data, expected in tiffs()]
    files += [(name, data, None) for name, data in others()]
    clear = pathlib.Path(sys.argv[1]) / "transparent"
    clear.mkdir(exist_ok=True)
    for name, data in transparent():
        (clear / name).write_bytes(data)
    for name, data, expected in files:
        (folder / name).write_bytes(data)
        image = Image.fromarray(expected) if expected is not None else on_white(Image.open(io.BytesIO(data)))
        image.save(folder / f"{name}.png", optimize=True)


main()
