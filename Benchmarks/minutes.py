#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is a classifier worth that was made in so many minutes? Thaw's plan, its defaults, and fastai.

    Benchmarks/minutes.py --minutes 2 --weights Pretrained/efficientnet-lite0-57934424.pth NAME=TRAIN,JUDGE ...

TRAIN and JUDGE are folders of one folder per class; nobody sees JUDGE before the end. Each collection goes in turn through
`thaw fit --minutes`, `thaw fit` (without a limit, its time is told), and, with `--python` of an interpreter that has fastai and
efficientnet-lite-pytorch, peers/fine_tune_fastai.py. Prints a row of Markdown for each. The machine should do nothing else.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def thaw(options, folder, photos, judge, extra):
    run = folder / ("plan" if extra else "defaults")
    start = time.time()
    command = [options.thaw, "fit", photos, "--run", run, "--seed", options.seed, "--quiet", *extra]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    seconds = time.time() - start
    command = [options.thaw, "evaluate", "--model", run / "model.safetensors", "--data", judge, "--json",
               "--quiet"]
    found = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return json.loads(found.stdout)["accuracy"], seconds


def fastai(options, photos, judge):
    command = [options.python, HERE / "peers/fine_tune_fastai.py", "--photos", photos, "--judge", judge,
               "--weights", options.weights, "--minutes", options.minutes, "--seed", options.seed,
               "--threads", os.cpu_count()]
    environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())}
    found = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True,
                           env=environment)
    answer = json.loads(found.stdout.strip().splitlines()[-1])
    return answer["accuracy"], answer["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collections", nargs="+", metavar="NAME=TRAIN,JUDGE")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--thaw", type=pathlib.Path, default=HERE.parent / ".build/release/thaw")
    parser.add_argument("--python", type=pathlib.Path)
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.python and not options.weights:
        parser.error("--python needs --weights, the file of EfficientNet-Lite0.")
    print("| collection | `--minutes` | seconds | defaults | seconds | fastai | seconds |\n"
          "|---|---|---|---|---|---|---|")
    for text in options.collections:
        name, folders = text.split("=", 1)
        photos, judge = (pathlib.Path(part).resolve() for part in folders.split(","))
        folder = pathlib.Path(tempfile.mkdtemp(prefix="minutes-"))
        results = [thaw(options, folder, photos, judge, ["--minutes", options.minutes]),
                   thaw(options, folder, photos, judge, [])]
        if options.python:
            results.append(fastai(options, photos, judge))
        cells = [cell for accuracy, seconds in results
                 for cell in (f"{accuracy * 100:.1f} %", f"{seconds:.0f}")]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
