#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How often does `thaw diagnose batchnorm` accuse batch norms of networks that have nothing wrong there?

    Tools/diagnosis_false_alarms.py WORK --thaw .build/release/thaw --count 100 \\
        --photos FOLDER [...] --backbone CARD [...] [--classes 4] [--seed 1] [--threads 1]

Makes healthy networks by `thaw train` and `thaw fine-tune`, each from another draw of classes and photos,
by another of the recipes below, good ones and poor ones, and asks about each of them with the photos it
was trained on, with others, or with both. FOLDER has one folder per class, or `train` and `unseen` with
one per class; with `unseen-dark` and `unseen-blur` (which `diagnosis_regret.py make` arranges) new photos
of another camera are shown as well. Answers go to WORK/alarms.jsonl; a later call goes on. It ends with the table.

Weights are looked for where `thaw` looks for them (THAW_PRETRAINED). Python alone is needed.
"""

import argparse
import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import sys

# What the network is, and the options of `thaw train` that make it so.
RECIPES = {
    "defaults": [],
    "two epochs": ["--epochs", "2"],
    "rate ten times too small": ["--learning-rate", "1e-4", "--epochs", "10"],
    "hardly trained": ["--learning-rate", "1e-6", "--epochs", "1"],
    "300 epochs without decay": ["--epochs", "300", "--weight-decay", "0"],
    "solved exactly": ["--solver", "lbfgs"],
    "labels drawn at random": [],
    "four photos a class": [],
    "fine-tuned": [],
    "new photos in the dark": [],
    "new photos out of focus": [],
}
# Where the new photos of a recipe come from.
SHIFTED = {"new photos in the dark": "unseen-dark", "new photos out of focus": "unseen-blur"}
WAYS = ("training photos", "new photos", "both")
# What is no accusation of the batch norms.
HARMLESS = {"healthy", "preprocessing", "label_order", "overfitting", "weak", "no_batch_norm",
            "undertrained", "cannot_tell"}


def class_folders(folder, names=("train", "unseen")):
    """Photos by class, from all the parts where there are some."""
    parts = [folder / part for part in names if (folder / part).is_dir()] or [folder]
    photos = {}
    for part in parts:
        for place in sorted(path for path in part.iterdir() if path.is_dir()):
            photos.setdefault(place.name, []).extend(sorted(place.iterdir()))
    return photos


def draw(folder, recipe, stream, place, most):
    """Links photos into PLACE/train and PLACE/new; some classes, `most` of them, some photos of each."""
    shifted = SHIFTED.get(recipe)
    photos = class_folders(folder, ("train",)) if shifted else class_folders(folder)
    others = class_folders(folder, (shifted,)) if shifted else None
    names = stream.sample(sorted(photos), stream.randint(2, min(most, len(photos))))
    count = 4 if recipe == "four photos a class" else stream.choice([12, 20, 30])
    # Some must be left to be new.
    count = min([count] + [len(photos[name]) * 3 // 5 for name in names if others is None])
    train, new = [], []
    for name in names:
        drawn = stream.sample(photos[name], len(photos[name]))
        train += [(name, path) for path in drawn[:count]]
        # At least 48 new photos: fewer are not judged.
        rest = drawn[count:] if others is None else others[name]
        new += [(name, path) for path in rest[:max(20, 48 // len(names) + 1)]]
    if recipe == "labels drawn at random":
        labels = [name for name, _ in train]
        stream.shuffle(labels)
        train = [(label, path) for label, (_, path) in zip(labels, train)]
    shutil.rmtree(place, ignore_errors=True)
    for part, items in (("train", train), ("new", new)):
        for number, (name, path) in enumerate(items):
            target = place / part / name
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{number}{path.suffix}").symlink_to(path.resolve())


def run(options, *arguments):
    command = [options.thaw, *map(str, arguments), "--threads", str(options.threads), "--quiet", "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{result.stderr.strip()[-800:]}")
    return json.loads(result.stdout)


def examine(options, number):
    """One line of alarms.jsonl."""
    stream = random.Random(options.seed * 100_000 + number)
    recipe = list(RECIPES)[number % len(RECIPES)]
    way = WAYS[number // len(RECIPES) % len(WAYS)]
    backbone = stream.choice(options.backbone)
    folder = stream.choice([folder for folder in options.photos if recipe not in SHIFTED
                            or (folder / SHIFTED[recipe]).is_dir()] or options.photos)
    place = options.work / "network"
    draw(folder, recipe, stream, place, options.classes)
    network = place / "run"
    run(options, "prepare", place / "train", "--run", network, "--backbone", backbone, "--valid", "0",
        "--seed", stream.randrange(10_000))
    run(options, "train", "--run", network, *RECIPES[recipe])
    if recipe == "fine-tuned":
        run(options, "fine-tune", "--run", network, "--epochs", "2")
    question = ["diagnose", "batchnorm", "--model", network / "model.safetensors", "--quick",
                "--no-fixes", "--data", place / ("train" if way == "training photos" else "new")]
    if way == "both":
        question += ["--train-data", place / "train"]
    answer = run(options, *question)
    return {"number": number, "seed": options.seed, "program": options.program, "recipe": recipe,
            "way": way, "backbone": backbone, "photos": folder.name, "kind": answer["kind"],
            "inference": answer["inference"]["accuracy"], "training": answer["training"]["accuracy"],
            "preference": answer.get("head_preference"), "familiarity": answer.get("familiarity")}


def table(results):
    """Accusations and other answers by recipe, in Markdown."""
    lines = ["| healthy network | networks | accused | answers |", "|---|---|---|---|"]

    def row(name, chosen):
        kinds = {}
        for result in chosen:
            kinds[result["kind"]] = kinds.get(result["kind"], 0) + 1
        answers = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        accused = sum(result["kind"] not in HARMLESS for result in chosen)
        return f"| {name} | {len(chosen)} | {accused} | {answers} |"
    for recipe in RECIPES:
        chosen = [result for result in results if result["recipe"] == recipe]
        if chosen:
            lines.append(row(recipe, chosen))
    return "\n".join([*lines, row("all", results)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--thaw", type=pathlib.Path, default=pathlib.Path(".build/release/thaw"))
    parser.add_argument("--photos", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--backbone", nargs="+", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--classes", type=int, default=4, help="of a network, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.thaw = options.thaw.resolve()
    options.program = hashlib.sha256(options.thaw.read_bytes()).hexdigest()[:12]
    options.work.mkdir(parents=True, exist_ok=True)
    store = options.work / "alarms.jsonl"
    lines = store.read_text().splitlines() if store.exists() else []
    results = [result for result in map(json.loads, lines)
               if result["program"] == options.program and result["seed"] == options.seed]
    known = {result["number"] for result in results}
    for number in (n for n in range(options.count) if n not in known):
        try:
            result = examine(options, number)
        except RuntimeError as error:
            print(f"{number}: {error}", file=sys.stderr)
            continue
        results.append(result)
        with store.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(number, result["recipe"], result["way"], result["kind"], file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
