# SPDX-License-Identifier: Apache-2.0
"""Photos of the zoo of Tools/diagnosis_regret.py: who trains, who is shown to the diagnosis, who judges.

A collection is arranged as WORK/photos/NAME/{train,unseen,judge}/CLASS: the three share no photo. Beside
them lie `train-few`, the first photos of `train` only, and `unseen-dark`, `judge-dark`, `unseen-blur`,
`judge-blur`: the same photos as another camera would have taken them.
"""

import dataclasses
import functools
import os
import pathlib
import random
import shutil

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

FILTERS = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR,
           "nearest": InterpolationMode.NEAREST}
FEW = 4


@dataclasses.dataclass(frozen=True)
class Collection:
    """Photos under one name; `folder` has train, unseen and judge."""
    name: str
    folder: pathlib.Path

    @property
    def classes(self):
        return sorted(path.name for path in (self.folder / "train").iterdir())


def is_photo(path):
    try:
        with Image.open(path) as image:
            return image.format in ("JPEG", "PNG")
    except OSError:
        return False


def pools(source, name):
    """Photos of a class to train on, and photos to keep from training."""
    if (source / "train").is_dir():
        return [sorted(filter(is_photo, (source / part / name).iterdir()))
                for part in ("train", "valid")]
    return [sorted(filter(is_photo, (source / name).iterdir())), None]


def share(source, name, counts, seed):
    """The photos of one class for train, unseen and judge: the first, the next and the rest.

    In the order of their names for seed 1, shuffled for any other.
    """
    train, unseen, judge = counts
    first, other = pools(source, name)
    if seed != 1:
        random.Random(seed).shuffle(first)
        random.Random(seed).shuffle(other or [])
    rest = first[train:] if other is None else other
    judges = rest[unseen:] + ([] if other is None else first[train:][::-1])
    return {"train": first[:train], "unseen": rest[:unseen], "judge": judges[:judge]}


def darken(image):
    dark = ImageEnhance.Brightness(image.convert("RGB")).enhance(0.35)
    return ImageEnhance.Color(dark).enhance(0.5)


def blur(image):
    return image.convert("RGB").filter(ImageFilter.GaussianBlur(min(image.size) / 40))


def shifted(source, target, change):
    for path in sorted(source.rglob("*.*")):
        out = target / path.parent.name / (path.stem + ".png")
        out.parent.mkdir(parents=True, exist_ok=True)
        change(Image.open(path)).save(out)


def copy_photos(source, counts, folder, seed):
    root = source / "train" if (source / "train").is_dir() else source
    for label in sorted(path.name for path in root.iterdir() if path.is_dir()):
        for part, photos in share(source, label, counts, seed).items():
            place = folder / part / label
            place.mkdir(parents=True)
            for photo in photos:
                # Both pools may have a photo of the same name.
                shutil.copyfile(photo, place / f"{photo.parent.parent.name}-{photo.name}")
        few = folder / "train-few" / label
        few.mkdir(parents=True)
        for photo in sorted((folder / "train" / label).iterdir())[:FEW]:
            shutil.copyfile(photo, few / photo.name)
    for part in ("unseen", "judge"):
        shifted(folder / part, folder / f"{part}-dark", darken)
        shifted(folder / part, folder / f"{part}-blur", blur)


def arrange(work, text, seed=1):
    """The collection that `NAME=FOLDER:TRAIN,UNSEEN,JUDGE` (photos of a class) describes."""
    name, _, rest = text.partition("=")
    source, _, numbers = rest.rpartition(":")
    counts = [int(number) for number in numbers.split(",")]
    folder = work / "photos" / name
    if not folder.exists():
        # Under another name until it is complete.
        draft = work / "photos" / f"{name}.{os.getpid()}"
        copy_photos(pathlib.Path(source), counts, draft, seed)
        if folder.exists():
            shutil.rmtree(draft)
        else:
            draft.rename(folder)
    return Collection(name, folder)


@functools.lru_cache(maxsize=None)
def pixels(folder, size, interpolation):
    """Bytes [N, 3, size, size] in RGB and class numbers [N] of a folder of class folders.

    The shorter side becomes size / 0.875, the middle is cut out.
    """
    images, labels = [], []
    for number, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in sorted(place.iterdir()):
            image = Image.open(path).convert("RGB")
            image = transforms.resize(image, int(size / 0.875), FILTERS[interpolation])
            images.append(np.asarray(transforms.center_crop(image, size)))
            labels.append(number)
    array = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return array, torch.tensor(labels)
