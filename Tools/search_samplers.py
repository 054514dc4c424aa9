#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How soon optima that are known are found: the sampler of `thaw search`, random search, and Optuna's TPE.

Usage: search_samplers.py [--seeds 15]

Prints a Markdown table: the median (and mean) of the least regret after 25, 50 and 100 trials. The functions are those of
`thaw-bench search-samplers`, which must be built (swift build -c release --product thaw-bench). Needs optuna.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import warnings

import optuna

BENCH = pathlib.Path(__file__).resolve().parent.parent / ".build/release/thaw-bench"
SCALES = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
PLACES = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
          [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]


def planted(trial):
    solver = trial.suggest_categorical("solver", ["sgd", "adamw", "lbfgs"])
    decay = trial.suggest_float("decay", 1e-6, 1, log=True)
    if solver == "lbfgs":
        return 0.12 + 0.01 * (math.log10(decay) + 2) ** 2
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    dropout = trial.suggest_float("dropout", 0, 0.8)
    epochs = trial.suggest_int("epochs", 5, 200, log=True)
    best, floor = (-1.7, 0.03) if solver == "sgd" else (-3.1, 0)
    return (floor + 0.03 * (math.log10(rate) - best) ** 2 + 0.006 * (math.log10(decay) + 3) ** 2
            + 0.1 * (dropout - 0.35) ** 2 + 0.02 * math.log(epochs / 60) ** 2)


def cube(trial, width):
    return [trial.suggest_float(f"x{index}", 0, 1) for index in range(width)]


def branin(trial):
    x, y = (15 * unit for unit in cube(trial, 2))
    x -= 5
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bend * bend + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.397887


def hartmann6(trial):
    x = cube(trial, 6)
    return 3.32237 - sum(
        height * math.exp(-sum(a * (b - c * 1e-4) ** 2 for a, b, c in zip(scale, x, place)))
        for height, scale, place in zip([1, 1.2, 3, 3.2], SCALES, PLACES))


def rosenbrock4(trial):
    x = [4 * unit - 2 for unit in cube(trial, 4)]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "Optuna's TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna's TPE, multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
}


def regrets(function, sampler):
    study = optuna.create_study(sampler=sampler)
    study.optimize(function, n_trials=100)
    values = [trial.value for trial in study.trials]
    return [min(values[:count]) for count in (25, 50, 100)]


def row(name, sampler, found):
    cells = [f"{statistics.median(column):.4g} ({statistics.mean(column):.4g})" for column in zip(*found)]
    print(f"| {name} | {sampler} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=15)
    seeds = parser.parse_args().seeds
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore")
    text = subprocess.run([BENCH, "search-samplers", "--seeds", str(seeds)], check=True, capture_output=True, text=True)
    own = dict(line.split("\t") for line in text.stdout.splitlines())
    print("| function | sampler | 25 trials | 50 | 100 |\n|---|---|---|---|---|")
    for function in (planted, branin, hartmann6, rosenbrock4):
        name = function.__name__
        row(name, "thaw search", json.loads(own[name]))
        for sampler, make in SAMPLERS.items():
            row(name, sampler, [regrets(function, make(seed)) for seed in range(seeds)])


if __name__ == "__main__":
    main()
