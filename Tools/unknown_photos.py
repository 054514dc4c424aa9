#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well a model tells photos that are unlike its training photos: all ways side by side.

    Tools/unknown_photos.py --model runs/me/model.safetensors --train PHOTOS --known PHOTOS \\
        --unknown cifar=FOLDER --unknown stamps=FOLDER [--unknown NAME=FOLDER ...]

--train holds the training photos in class folders, --known photos of the same classes that nothing was
trained or chosen on, each --unknown photos of something else. For each way of scoring a photo the table has
the area under the curve of known against unknown (AUROC: how often an unknown photo scores above a known
one) and the share of unknown photos that pass when 95 % of the known ones do (FPR95). The ways:

- thaw: the score of `thaw predict`, a class-conditional Gaussian;
- nearest neighbour: the cosine distance to the 1st and 5th nearest training photo;
- energy: -log of the sum of exp of the logits (Liu et al. 2020);
- maximum probability: 1 minus the probability of the answer (Hendrycks and Gimpel 2017).

The last three are computed here from `thaw embed` and the logits. Needs numpy.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np


def run(arguments, *command):
    done = subprocess.run([arguments.thaw, *command, "--model", arguments.model, "--quiet", "--json"],
                          capture_output=True, text=True)
    # 65: some photos cannot be read, the others were.
    if done.returncode not in (0, 65):
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def features(arguments, folder):
    with tempfile.TemporaryDirectory() as place:
        file = str(pathlib.Path(place) / "vectors.npy")
        run(arguments, "embed", folder, "--output", file)
        return np.load(file)


def normalised(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def scores(arguments, folder, train):
    predictions = run(arguments, "predict", folder, "--logits")
    logits = np.array([one["logits"] for one in predictions], np.float64)
    largest = logits.max(1, keepdims=True)
    sums = np.exp(logits - largest).sum(1)
    cosines = -np.sort(-(normalised(features(arguments, folder)) @ train.T), axis=1)
    return {
        "thaw (Gaussian)": np.array([one["unknown_score"] for one in predictions]),
        "nearest neighbour": 1 - cosines[:, 0],
        "5th neighbour": 1 - cosines[:, 4],
        "energy": -(np.log(sums) + largest[:, 0]),
        "maximum probability": 1 - 1 / sums,
    }, np.mean([one["unknown"] for one in predictions])


def auroc(known, unknown):
    both = np.concatenate([known, unknown])
    order = np.argsort(both, kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    for value in np.unique(both):
        same = both == value
        ranks[same] = ranks[same].mean()
    high = ranks[len(known):].sum() - len(unknown) * (len(unknown) + 1) / 2
    return high / (len(known) * len(unknown))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--known", required=True)
    parser.add_argument("--unknown", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--thaw", default=".build/release/thaw")
    arguments = parser.parse_args()
    train = normalised(features(arguments, arguments.train))
    known, flagged = scores(arguments, arguments.known, train)
    print(f"{len(next(iter(known.values())))} known photos, {flagged:.1%} of them called unknown\n")
    names, columns = [], []
    for entry in arguments.unknown:
        name, _, folder = entry.partition("=")
        found, share = scores(arguments, folder, train)
        names.append(f"{name} ({len(next(iter(found.values())))}, {share:.0%} called unknown)")
        columns.append(found)
    print("| AUROC / FPR95 | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for way, own in known.items():
        limit = np.quantile(own, 0.95)
        cells = [f"{auroc(own, found[way]):.3f} / {np.mean(found[way] <= limit):.1%}" for found in columns]
        print(f"| {way} | " + " | ".join(cells) + " |")


main()
