# SPDX-License-Identifier: Apache-2.0
"""Writes the expected numbers of TrainingTests for several labels a sample.

Usage: python Tools/label_goldens.py     (needs torch, numpy, scikit-learn)
Result: Tests/TrainingTests/Fixtures/labels.json

A head of one layer is trained for ten steps on the same features by PyTorch's
BCEWithLogitsLoss, in double precision, some labels unknown and so masked; its scores are judged by
scikit-learn; one logistic regression a class is fitted by scikit-learn, on the samples whose label is
known. An unknown label is written as null.
"""
import json
import pathlib

import numpy as np
import torch
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/TrainingTests/Fixtures"
SAMPLES, INPUTS, CLASSES, STEPS = 40, 6, 4, 10
RATE, MOMENTUM, C = 0.3, 0.9, 0.7


def flat(array):
    return [float(f"{value:.9g}") for value in np.asarray(array, dtype=np.float64).ravel()]


def train(features, targets, known, weight, bias, positive):
    """Losses before each step and the weights after the last."""
    x = torch.tensor(features, dtype=torch.float64)
    y = torch.tensor(np.nan_to_num(targets), dtype=torch.float64)
    mask = torch.tensor(known, dtype=torch.float64)
    w = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(bias, dtype=torch.float64, requires_grad=True)
    loss_of = torch.nn.BCEWithLogitsLoss(
        reduction="none", pos_weight=torch.tensor(positive, dtype=torch.float64))
    optimizer = torch.optim.SGD([w, b], lr=RATE, momentum=MOMENTUM)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (loss_of(x @ w.T + b, y) * mask).sum() / mask.sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    scores = torch.sigmoid(x @ w.T + b).detach().numpy()
    return losses, w.detach().numpy(), b.detach().numpy(), scores


def main():
    rng = np.random.default_rng(7)
    features = np.float32(rng.normal(0, 1, (SAMPLES, INPUTS)))
    truth = rng.normal(0, 1, (CLASSES, INPUTS))
    noise = rng.normal(0, 1, (SAMPLES, CLASSES))
    targets = (features @ truth.T + noise > 0.8).astype(float)
    targets[0] = 0
    known = rng.random((SAMPLES, CLASSES)) > 0.15
    targets[~known] = np.nan
    weight = np.float32(rng.normal(0, 0.2, (CLASSES, INPUTS)))
    bias = np.float32(rng.normal(0, 0.2, CLASSES))
    positive = np.float32([1, 2, 0.5, 3])
    losses, after, after_bias, scores = train(features, targets, known, weight, bias, positive)
    # Ties, as rounded scores have them.
    scores = np.float32(np.round(scores, 2))
    precisions = [
        metrics.average_precision_score(targets[known[:, c], c], scores[known[:, c], c])
        for c in range(CLASSES)
    ]
    f1 = [
        metrics.f1_score(targets[known[:, c], c], scores[known[:, c], c] >= np.float32(0.4))
        for c in range(CLASSES)
    ]
    fits = [
        LogisticRegression(C=C, solver="newton-cholesky", tol=1e-9).fit(
            features[known[:, c]], targets[known[:, c], c])
        for c in range(CLASSES)
    ]
    case = {
        "inputs": INPUTS, "classes": CLASSES, "rate": RATE, "momentum": MOMENTUM,
        "features": flat(features),
        "targets": [None if np.isnan(t) else t for t in targets.ravel()],
        "weight": flat(weight), "bias": flat(bias), "positive_weights": flat(positive),
        "losses": losses, "weight_after": flat(after), "bias_after": flat(after_bias),
        "scores": flat(scores), "average_precision": precisions, "f1_at_four_tenths": f1,
        "strength": C, "logistic_weight": flat([fit.coef_[0] for fit in fits]),
        "logistic_bias": flat([fit.intercept_[0] for fit in fits]),
    }
    (FOLDER / "labels.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
