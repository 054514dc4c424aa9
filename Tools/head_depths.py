#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a head gain by features from several depths of the network?

    Tools/head_depths.py --thaw .build/release/thaw --model efficientnet_lite0 --work WORK \
        --layers blocks.2.1.act2,blocks.4.2.act2 NAME=TRAIN:JUDGE ...

TRAIN and JUDGE are folders with one folder a class. `thaw embed` writes the pooled channels of each layer
and what the head takes; a logistic regression on the standardised features, its strength chosen by 4-fold
cross-validation on TRAIN, is judged on JUDGE, for the head's features alone and for each number of layers
beside them. Needs numpy and scikit-learn.
"""

import argparse
import json
import pathlib
import subprocess
import warnings

import numpy
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler


def features(options, folder, layer, output):
    if not output.exists():
        command = [options.thaw, "embed", "--model", options.model, folder, "--output", output, "--quiet"]
        subprocess.run(command + (["--layer", layer] if layer else []), check=True,
                       stdout=subprocess.DEVNULL)
    paths = [json.loads(line)["path"] for line in output.with_suffix(".jsonl").open()]
    return numpy.load(output), numpy.array([pathlib.Path(path).parent.name for path in paths])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", nargs="+", help="NAME=TRAIN:JUDGE")
    parser.add_argument("--thaw", default=".build/release/thaw")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--layers", required=True, help="from the head backwards, with commas")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    layers = [None, *options.layers.split(",")]
    for text in options.collection:
        name, folders = text.split("=")
        sides = {}
        for side, folder in zip(("train", "judge"), folders.split(":")):
            sides[side] = [features(options, folder, layer, options.work / f"{name}-{side}-{layer}.npy")
                           for layer in layers]
        labels, truth = sides["train"][0][1], sides["judge"][0][1]
        for count in range(1, len(layers) + 1):
            known = numpy.hstack([one[0] for one in sides["train"][:count]])
            asked = numpy.hstack([one[0] for one in sides["judge"][:count]])
            scale = StandardScaler().fit(known)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                head = LogisticRegressionCV(Cs=numpy.logspace(-5, 0, 8), cv=4, max_iter=300,
                                            scoring="neg_log_loss").fit(scale.transform(known), labels)
            right = (head.predict(scale.transform(asked)) == truth).mean()
            print(f"{name}: {count - 1} layers beside, {known.shape[1]} features: {100 * right:.1f} %",
                  flush=True)


if __name__ == "__main__":
    main()
