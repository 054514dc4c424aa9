#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pointing game: does `thaw explain` point at the object, where its place is known?

    Tools/pointing_game.py MODEL OBJECTS BACKGROUNDS [--count 200] [--seed 0] [--method hirescam]
        [--manifest RUN/manifest.json] [--write FOLDER]

An object, a PNG with transparency from a folder OBJECTS/CLASS of the model's classes, is pasted at a random place and
size on a blurred photo of BACKGROUNDS; the map is asked for the object's class. It is a hit when the point that
`explanations.json` names lies on the object, 15 pixels around it included, as Zhang et al. (2016, arXiv:1608.00507)
count it. With --manifest only objects of the validation split are pasted. What a point in the middle of the photo and one at a
random place would hit is said beside it. With --write the photos go to FOLDER/CLASS and nothing is explained: to train a
model that knows such photos (--split train). Needs numpy and pillow.
"""
import argparse
import json
import pathlib
import random
import subprocess
import tempfile

import numpy
from PIL import Image, ImageFilter

TOLERANCE = 15
SIDE = 400


def objects(arguments):
    """Cut-outs with their classes: those with transparency, cropped to what is seen."""
    folder = pathlib.Path(arguments.objects)
    paths = sorted(folder.rglob("*.png"))
    if arguments.manifest:
        records = json.loads(pathlib.Path(arguments.manifest).read_text())["records"]
        valid = {record["path"] for record in records if record["split"] == arguments.split}
        paths = [path for path in paths if str(path.relative_to(folder)) in valid]
    found = []
    for path in paths:
        image = Image.open(path).convert("RGBA")
        box = image.getchannel("A").getbbox()
        # Without a transparent margin a cut-out cannot be told from its background.
        if box and numpy.asarray(image.getchannel("A")).mean() < 240:
            found.append((path.relative_to(folder).parts[0], image.crop(box)))
    return found


def paste(draw, cutouts, backgrounds):
    """A photo, its class, and the mask of the object's place."""
    label, cutout = draw.choice(cutouts)
    photo = Image.open(draw.choice(backgrounds)).convert("RGB").resize((SIDE, SIDE))
    photo = photo.filter(ImageFilter.GaussianBlur(12))
    side = SIDE * draw.uniform(0.25, 0.5)
    scale = side / max(cutout.size)
    size = [max(1, round(length * scale)) for length in cutout.size]
    cutout = cutout.resize(size, Image.Resampling.BICUBIC)
    left, top = (draw.randint(0, SIDE - length) for length in size)
    photo.paste(cutout, (left, top), cutout)
    mask = numpy.zeros((SIDE, SIDE), bool)
    mask[top : top + size[1], left : left + size[0]] = numpy.asarray(cutout.getchannel("A")) > 127
    return photo, label, mask


def widened(mask):
    """What is within the tolerance of the mask."""
    grey = Image.fromarray(mask.astype(numpy.uint8) * 255)
    return numpy.asarray(grey.filter(ImageFilter.MaxFilter(2 * TOLERANCE + 1))) > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("objects")
    parser.add_argument("backgrounds")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="hirescam")
    parser.add_argument("--manifest")
    parser.add_argument("--split", default="valid", help="of the manifest")
    parser.add_argument("--write", metavar="FOLDER")
    parser.add_argument("--thaw", default=".build/release/thaw")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    cutouts = objects(arguments)
    backgrounds = sorted(
        path for path in pathlib.Path(arguments.backgrounds).rglob("*")
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if arguments.write:
        for number in range(arguments.count):
            photo, label, _ = paste(draw, cutouts, backgrounds)
            save(photo, pathlib.Path(arguments.write) / label / f"{number}.png")
        return
    with tempfile.TemporaryDirectory() as folder:
        play(arguments, draw, cutouts, backgrounds, pathlib.Path(folder))


def save(photo, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    photo.save(place)


def play(arguments, draw, cutouts, backgrounds, folder):
    """Makes the photos, has them explained, and says how often the point was right."""
    masks, counts = {}, {}
    for number in range(arguments.count):
        photo, label, mask = paste(draw, cutouts, backgrounds)
        save(photo, folder / "photos" / label / f"{number}.png")
        masks[f"{number}.png"] = mask
    hits = {"explained": 0, "middle of the photo": 0, "random place": 0}
    for kind in sorted((folder / "photos").iterdir()):
        output = folder / f"maps-{kind.name}"
        subprocess.run(
            [arguments.thaw, "explain", "--model", arguments.model, str(kind), "--class", kind.name,
             "--method", arguments.method, "--output", str(output), "--quiet"],
            check=True, stdout=subprocess.DEVNULL)
        for entry in json.loads((output / "explanations.json").read_text())["explanations"]:
            allowed = widened(masks[pathlib.Path(entry["path"]).name])
            column, row = (min(SIDE - 1, max(0, int(value))) for value in point(entry))
            right = bool(allowed[row, column])
            hits["explained"] += right
            hits["middle of the photo"] += bool(allowed[SIDE // 2, SIDE // 2])
            hits["random place"] += float(allowed.mean())
            found = counts.setdefault(kind.name, [0, 0])
            found[0] += right
            found[1] += 1
    for name, hit in hits.items():
        print(f"{name}: {hit / arguments.count:.3f} of {arguments.count}")
    print(", ".join(f"{name} {hit}/{count}" for name, (hit, count) in counts.items()))


def point(entry):
    """Where the heat is, in pixels of the photo."""
    return entry["peak_in_photo"]["x"], entry["peak_in_photo"]["y"]


if __name__ == "__main__":
    main()
