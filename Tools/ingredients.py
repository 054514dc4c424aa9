#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each ingredient of fine-tuning is worth: the tables of Documentation/fine-tuning.md.

    Tools/ingredients.py DATA... [--thaw .build/release/thaw] [--seeds 3] [--size 128] [--threads N]
                         [--only "NAME;..."] [--work DIR] [--set candidates|table]

DATA is a folder with one sub-folder per class (only training photos: settings are chosen here). For
each seed the photos are split afresh into 50 % training, 20 % validation (which the commands use to
keep the best epoch) and 30 % test, by which the ingredients are compared; a head is trained once,
and every ingredient starts from a copy of that run. Prints a Markdown table of accuracies and losses
on the test photos, means over the seeds, and writes every result as a line of JSON to
WORK/results.jsonl, where a later call finds it again. Needs Python alone.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

ALL = ["--freeze-to", "0"]
FRESH = ["--views", "fresh"]
PLAIN = ["--augmentation", "none"]
CONSTANT = ["--schedule", "constant"]
SGDR = ["--schedule", "sgdr", "--cycle-length", "1", "--cycle-mult", "2", "--epochs", "15"]
SLICE = ["--learning-rate", ":1e-2"]
LONG = ["--epochs", "15", "--patience", "0"]
BASE = ALL + FRESH + LONG

# name: (options of fine-tune, options of evaluate); None for the head alone.
TABLE = {
    "head alone": (None, []),
    "head alone, TTA": (None, ["--tta", "4", "--tta-mode", "mean"]),
    "the defaults": ([], []),
    "the defaults, TTA (mean of 4)": ([], ["--tta", "4", "--tta-mode", "mean"]),
    "the defaults, TTA (corners)": ([], ["--tta", "8", "--tta-mode", "corners"]),
    "the defaults, TTA (blend of 4)": ([], ["--tta", "4", "--tta-mode", "blend"]),
    "no interpolation": (["--no-interpolation"], []),
    "a rate of 3e-4 however good the head is": (["--learning-rate", "3e-4"], []),
    "neither of the two": (["--learning-rate", "3e-4", "--no-interpolation"], []),
    "constant rate": (CONSTANT, []),
    "SGDR, 1 + 2 + 4 + 8 epochs": (SGDR, []),
    "SGDR, snapshots averaged": (SGDR, ["--snapshots"]),
    "one-cycle": (["--schedule", "one_cycle"], []),
    "a tenth of the rate below the head": (["--learning-rate", ":1e-3"], []),
    "layer-wise decay 0.5": (["--layer-decay", "0.5"], []),
    "layer-wise decay 0.8": (["--layer-decay", "0.8"], []),
    "SGD, 1e-2 and a tenth below the head": (["--solver", "sgd", *SLICE], []),
    "no averaging of weights": (["--weight-averaging", "0"], []),
    "label smoothing 0.1": (["--label-smoothing", "0.1"], []),
    "mixup": (["--mixing", "mixup"], []),
    "no augmentation": (PLAIN, []),
    "4 draws in turn, not fresh ones": (["--views", "4"], []),
    "last group only": (["--freeze-to", "-2"], []),
    "gradual unfreezing, 2 + 3 + 4 + 6 epochs": (["--gradual", "2,3,4,6"], []),
    "progressive resizing, half size first": (["--sizes", "HALF,SIZE", "--epochs", "8"], []),
}

CANDIDATES = {
    "head alone": (None, []),
    "late, 4 views (cosine, 10)": (
        ["--freeze-to", "-2", "--views", "4", "--epochs", "10", *SLICE], []),
    "late, fresh": (["--freeze-to", "-2", *FRESH, *LONG, *SLICE], []),
    "all, slice 1e-2": (BASE + SLICE, []),
    "all, 1e-2": (BASE + ["--learning-rate", "1e-2"], []),
    "all, 1e-2 decay .5": (BASE + ["--learning-rate", "1e-2", "--layer-decay", "0.5"], []),
    "all, slice 3e-2": (BASE + ["--learning-rate", ":3e-2"], []),
    "all, adamw slice 1e-3": (BASE + ["--solver", "adamw", "--learning-rate", ":1e-3"], []),
    "the defaults": ([], []),
    "all, adamw 3e-4": (BASE + ["--solver", "adamw", "--learning-rate", "3e-4"], []),
    "all, 1e-2, one-cycle": (BASE + ["--learning-rate", "1e-2", "--schedule", "one_cycle"], []),
    "all, 1e-2, BN training": (
        BASE + ["--learning-rate", "1e-2", "--trainable-batch-norm", "training"], []),
    "all, 1e-2, smoothing .1": (
        BASE + ["--learning-rate", "1e-2", "--label-smoothing", "0.1"], []),
}


EXTRA = []
# What lies in WORK/current: the ways to evaluate one network share its training.
TUNED = {}


def run(command):
    result = subprocess.run(command + EXTRA, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
    return json.loads(result.stdout)


def head(options, data, seed):
    """A run with a trained head, made once."""
    path = options.work / f"{data.name}-{options.size}-{seed}"
    if not (path / "done").exists():
        shutil.rmtree(path, ignore_errors=True)
        run([options.thaw, "fit", data, "--run", path, "--seed", str(seed), "--valid", "0.2",
             "--test", "0.3", "--size", str(options.size), "--no-fine-tune",
             "--on-bad-image", "skip", "--json"])
        (path / "done").touch()
    return path


def measure(options, data, seed, name, fine_tune, evaluate):
    start = head(options, data, seed)
    path, seconds = start, 0.0
    if fine_tune is not None:
        path = options.work / "current"
        sizes = {"HALF,SIZE": f"{options.size // 2},{options.size}"}
        arguments = [sizes.get(option, option) for option in fine_tune]
        key = [str(start), arguments]
        if TUNED.get("key") != key:
            TUNED.clear()
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(start, path)
            tuned = run([options.thaw, "fine-tune", "--run", path, *arguments, "--json"])
            TUNED.update(key=key, seconds=tuned["seconds"])
        seconds = TUNED["seconds"]
    result = run([options.thaw, "evaluate", "--run", path, "--split", "test", *evaluate, "--json"])
    return {"data": data.name, "size": options.size, "seed": seed, "name": name,
            "accuracy": result["accuracy"], "loss": result["loss"], "seconds": seconds,
            "options": [fine_tune, evaluate]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, nargs="+")
    parser.add_argument("--thaw", type=pathlib.Path, default=pathlib.Path(".build/release/thaw"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/ingredients"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--only", help="names of ingredients, separated by semicolons")
    parser.add_argument("--threads", type=int, help="of every command")
    parser.add_argument("--set", choices=["table", "candidates"], default="table")
    options = parser.parse_args()
    if options.threads:
        EXTRA.extend(["--threads", str(options.threads)])
    options.work.mkdir(parents=True, exist_ok=True)
    store = options.work / "results.jsonl"
    lines = store.read_text().splitlines() if store.exists() else []
    known = [json.loads(line) for line in lines]
    ingredients = TABLE if options.set == "table" else CANDIDATES
    if options.only:
        ingredients = {name: ingredients[name] for name in options.only.split(";")}
    for seed in range(1, options.seeds + 1):
        for data in options.data:
            for name, (fine_tune, evaluate) in ingredients.items():
                want = [data.name, options.size, seed, [fine_tune, evaluate]]
                if any([k["data"], k["size"], k["seed"], k["options"]] == want for k in known):
                    continue
                result = measure(options, data, seed, name, fine_tune, evaluate)
                known.append(result)
                with store.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(json.dumps(result), file=sys.stderr)
    names = [data.name for data in options.data]
    print("| ingredient | " + " | ".join(f"{name} | loss" for name in names) + " |")
    print("|---|" + "---|" * (2 * len(names)))
    for name, settings in ingredients.items():
        cells = []
        for data in names:
            rows = [k for k in known if k["data"] == data and k["size"] == options.size
                    and k["seed"] <= options.seeds and k["options"] == list(settings)]
            values = [row["accuracy"] * 100 for row in rows]
            mean = sum(values) / max(len(values), 1)
            cells.append(f"{mean:.1f} ({min(values):.1f} to {max(values):.1f})")
            cells.append(f"{sum(row['loss'] for row in rows) / max(len(rows), 1):.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
