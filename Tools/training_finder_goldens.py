# SPDX-License-Identifier: Apache-2.0
"""Writes the expected numbers of the learning-rate finder and the sigmoid loss in TrainingTests.

The suggestions are computed by fastai's own functions, taken out of its wheel without installing it;
its sequential arithmetic is Float64 here because the curves are. Losses are PyTorch's.

Usage: pip download fastai==2.7.18 --no-deps
       python Tools/training_finder_goldens.py fastai-2.7.18-py3-none-any.whl  (needs torch, numpy)
Result: Tests/TrainingTests/Fixtures/{finder,sigmoid}.json
"""
import ast
import json
import pathlib
import sys
import zipfile

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/TrainingTests/Fixtures"


def save(name, cases):
    text = json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{")
    (FOLDER / f"{name}.json").write_text(text + "\n")


def flat(array, digits=10):
    return [float(f"{value:.{digits}g}") for value in np.asarray(array, dtype=np.float64).ravel()]


def suggestion_functions(wheel):
    source = zipfile.ZipFile(wheel).read("fastai/callback/schedule.py").decode()
    wanted = ("valley", "slide", "minimum", "steep")
    scope = {"np": np, "to_np": lambda tensor: tensor.numpy()}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            exec(compile(ast.Module([node], []), wheel, "exec"), scope)
    return {name: scope[name] for name in wanted}


def curves():
    """Name, losses: synthetic curves over 100 rates from 1e-7 towards 10, cut as lr_find does."""
    rng = np.random.default_rng(5)
    x = np.linspace(-7, 1, 101)[:100]
    typical = 2.3 - 1.6 / (1 + np.exp(-3 * (x + 2.5))) + np.exp(2.5 * (x + 0.3))
    yield "typical", typical[10:-5]
    yield "noisy", (typical + rng.normal(0, 0.03, 100))[10:-5]
    yield "very noisy", (typical + rng.normal(0, 0.3, 100))[10:-5]
    yield "falling throughout", np.linspace(2, 1, 85) ** 2
    yield "rising throughout", np.linspace(1, 2, 85) ** 3
    yield "two valleys", (2 + np.sin(x * 2) * 0.5 + np.maximum(x, 0) ** 2)[10:-5]
    yield "steps", np.repeat([2.0, 1.5, 1.6, 0.9, 0.95, 3.0], 14)
    yield "sixteen points", typical[60:76]
    yield "three points", np.array([3.0, 2.0, 1.0])
    yield "early divergence", typical[10:88]


def finder(wheel):
    functions = suggestion_functions(wheel)
    rates = 1e-7 * (10 / 1e-7) ** (np.arange(100) / 100)
    cases = []
    for name, losses in curves():
        losses = np.array(flat(losses))
        part = torch.tensor(rates[10:10 + len(losses)])
        # A plain list of floats where fastai's own loop indexes losses one by one is much faster.
        case = {"name": name, "losses": losses.tolist()}
        for key, function in functions.items():
            if key == "slide" and len(losses) < 16:
                continue
            values = losses.tolist() if key == "valley" else torch.tensor(losses)
            case[key] = float(function(part, values, 100)[0])
        cases.append(case)
    save("finder", cases)


def sigmoid():
    rng = np.random.default_rng(6)
    cases = []
    for weighted in (False, True):
        logits = np.float32(rng.normal(0, 4, (5, 4)))
        logits[0, 0], logits[1, 1] = 90, -90
        targets = np.float32(rng.integers(0, 2, (5, 4)))
        targets[4] = [0.25, 0.5, 0, 1]
        weights = np.float32([0.5, 2, 1, 7])
        z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        loss = torch.nn.BCEWithLogitsLoss(
            pos_weight=torch.tensor(weights, dtype=torch.float64) if weighted else None
        )(z, torch.tensor(targets, dtype=torch.float64))
        loss.backward()
        cases.append({
            "classes": 4, "weights": weights.tolist() if weighted else [],
            "logits": [float(v) for v in logits.ravel()], "targets": targets.ravel().tolist(),
            "loss": loss.item(), "gradient": flat(z.grad),
        })
    save("sigmoid", cases)


if __name__ == "__main__":
    finder(sys.argv[1])
    sigmoid()
