#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the defaults of head training were chosen: settings against each other on held-out photos.

Usage: head_defaults.py WORK FOLDER...

Each FOLDER holds one sub-folder per class and no photos that a later measurement uses. For five
seeds it is split into training (55 %), validation (20 %, for early stopping) and test (25 %)
photos; every setting is trained on each split and judged on the test photos. Prints a Markdown
table a folder: mean accuracy and mean loss. Needs `make build` and the fetched weights.
"""

import json
import pathlib
import statistics
import subprocess
import sys

THAW = pathlib.Path(__file__).resolve().parent.parent / ".build/release/thaw"
SEEDS = range(1, 6)
COMMON = {
    "dropout": "0.2", "weight-decay": "0.001", "schedule": "cosine", "batch": "32", "epochs": "60",
    "patience": "20", "solver": "sgd", "learning-rate": "0.01", "augmentation": "none",
}
SETTINGS = {
    "sgd 0.1": {"learning-rate": "0.1"},
    "sgd 0.05": {"learning-rate": "0.05"},
    "sgd 0.02": {"learning-rate": "0.02"},
    "sgd 0.01 (default)": {},
    "sgd 0.005": {"learning-rate": "0.005"},
    "sgd 0.01, SGDR": {"schedule": "sgdr"},
    "sgd 0.01, constant rate": {"schedule": "constant"},
    "sgd 0.01, no dropout": {"dropout": "0"},
    "sgd 0.01, dropout 0.5": {"dropout": "0.5"},
    "sgd 0.01, weight decay 0.01": {"weight-decay": "0.01"},
    "adam 0.001": {"solver": "adam", "learning-rate": "0.001"},
    "adam 0.001, SGDR": {"solver": "adam", "learning-rate": "0.001", "schedule": "sgdr"},
    "lbfgs": {"solver": "lbfgs"},
    "sgd 0.01, 4 cached views of preset photo": {"augmentation": "photo"},
}


def thaw(*arguments):
    command = [str(THAW), *arguments, "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(work, folders):
    for folder in folders:
        results = {name: [] for name in SETTINGS}
        for seed in SEEDS:
            run = f"{work}/{pathlib.Path(folder).name}-{seed}"
            thaw("prepare", folder, "--run", run, "--seed", str(seed), "--valid", "0.2", "--test", "0.25")
            thaw("cache", "--run", run)
            for name, changes in SETTINGS.items():
                options = [f"--{key}={value}" for key, value in (COMMON | changes).items()]
                thaw("train", "--run", run, *options)
                results[name].append(thaw("evaluate", "--run", run, "--split", "test"))
        print(f"\n| {pathlib.Path(folder).name} | accuracy | loss |\n|---|---|---|")
        for name, found in results.items():
            accuracy = statistics.mean(one["accuracy"] for one in found)
            loss = statistics.mean(one["loss"] for one in found)
            print(f"| {name} | {accuracy:.4f} | {loss:.4f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
