# SPDX-License-Identifier: Apache-2.0
"""Writes the expected numbers of TrainingTests from PyTorch and scikit-learn.

Usage: python Tools/training_goldens.py     (needs torch, numpy, scikit-learn)
Result: Tests/TrainingTests/Fixtures/{losses,optimizers,schedules,metrics,logistic}.json
"""
import json
import pathlib

import numpy as np
import torch
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/TrainingTests/Fixtures"


def flat(array, digits=9):
    return [float(f"{value:.{digits}g}") for value in np.asarray(array, dtype=np.float64).ravel()]


def save(name, cases):
    text = json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{")
    (FOLDER / f"{name}.json").write_text(text + "\n")


def losses():
    rng = np.random.default_rng(1)
    cases = []
    for smoothing in (0.0, 0.1):
        for weighted in (False, True):
            for soft in (False, True):
                logits = np.float32(rng.normal(0, 3, (5, 4)))
                weights = np.float32([0.5, 2.0, 1.0, 0.25])
                labels = rng.integers(0, 4, 5)
                targets = np.float32(rng.dirichlet(np.ones(4), 5))
                z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
                loss = torch.nn.CrossEntropyLoss(
                    weight=torch.tensor(weights, dtype=torch.float64) if weighted else None,
                    label_smoothing=smoothing,
                )(z, torch.tensor(targets, dtype=torch.float64) if soft else torch.tensor(labels))
                loss.backward()
                cases.append({
                    "classes": 4, "smoothing": smoothing,
                    "weights": flat(weights) if weighted else [],
                    "logits": flat(logits),
                    "labels": [] if soft else labels.tolist(),
                    "targets": flat(targets) if soft else [],
                    "loss": loss.item(), "gradient": flat(z.grad),
                })
    save("losses", cases)


def optimizers():
    """Ten steps on a weight of 6 (decays) and a bias of 3 (does not), at two learning rates."""
    rng = np.random.default_rng(2)
    start = [np.float32(rng.normal(0, 1, 6)), np.float32(rng.normal(0, 1, 3))]
    gradients = np.float32(rng.normal(0, 1, (10, 9)))
    makers = {
        "sgd": lambda g: torch.optim.SGD(g),
        "momentum": lambda g: torch.optim.SGD(g, momentum=0.9),
        "nesterov": lambda g: torch.optim.SGD(g, momentum=0.9, nesterov=True),
        "adam": lambda g: torch.optim.Adam(g),
        "adamw": lambda g: torch.optim.AdamW(g),
        "rmsprop": lambda g: torch.optim.RMSprop(g),
        "rmsprop-momentum": lambda g: torch.optim.RMSprop(g, momentum=0.9),
    }
    cases = []
    for name, make in makers.items():
        for decay in (0.0, 0.1):
            weight, bias = (torch.tensor(v.copy(), requires_grad=True) for v in start)
            optimizer = make([
                {"params": [weight], "lr": 0.01, "weight_decay": decay},
                {"params": [bias], "lr": 0.03, "weight_decay": 0.0},
            ])
            for row in gradients:
                weight.grad = torch.tensor(row[:6].copy())
                bias.grad = torch.tensor(row[6:].copy())
                optimizer.step()
            cases.append({
                "name": name, "decay": decay, "start": flat(np.concatenate(start)),
                "gradients": flat(gradients),
                "end": flat(np.concatenate([weight.detach(), bias.detach()])),
            })
    save("optimizers", cases)


def schedules():
    """Learning rates by step at a base rate of 1; four steps make an epoch."""
    def run(make, steps, per_epoch, fractional=False):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = make(optimizer)
        rates = []
        for step in range(steps):
            if fractional:
                scheduler.step(step / per_epoch)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if not fractional and (step + 1) % per_epoch == 0:
                scheduler.step()
        return flat(rates, 12)

    S = torch.optim.lr_scheduler
    save("schedules", {
        "step": run(lambda o: S.StepLR(o, 2, 0.3), 24, 4),
        "cosine": run(lambda o: S.CosineAnnealingLR(o, 24, 0.1), 24, 1),
        "exponential_per_epoch": run(lambda o: S.ExponentialLR(o, 0.8), 24, 4),
        "warm_restarts": run(
            lambda o: S.CosineAnnealingWarmRestarts(o, 2, 2, 0.01), 40, 4, fractional=True),
        "warm_restarts_even": run(
            lambda o: S.CosineAnnealingWarmRestarts(o, 2, 1, 0.0), 24, 4, fractional=True),
    })


def metric_cases():
    rng = np.random.default_rng(3)
    cases = []

    def add(name, probabilities, labels):
        count, classes = probabilities.shape
        predicted = probabilities.argmax(1)
        names = list(range(classes))
        p, r, f, _ = metrics.precision_recall_fscore_support(
            labels, predicted, labels=names, zero_division=0)
        if classes == 2:
            auc = metrics.roc_auc_score(labels, probabilities[:, 1])
        else:
            present = [c for c in names if 0 < (labels == c).sum() < count]
            auc = np.mean([metrics.roc_auc_score(labels == c, probabilities[:, c]) for c in present])
        cases.append({
            "name": name, "classes": classes, "probabilities": flat(probabilities),
            "labels": labels.tolist(),
            "accuracy": metrics.accuracy_score(labels, predicted),
            "loss": metrics.log_loss(labels, probabilities.astype(np.float64), labels=names),
            "macro_f1": metrics.f1_score(labels, predicted, average="macro", zero_division=0),
            "auc": float(auc), "precision": flat(p), "recall": flat(r), "f1": flat(f),
            "confusion": metrics.confusion_matrix(labels, predicted, labels=names).tolist(),
            "top2": metrics.top_k_accuracy_score(labels, probabilities, k=2, labels=names)
            if classes > 2 else 1.0,
        })

    def rounded(rows):
        rows = np.round(rows, 2)
        rows[:, -1] = 1 - rows[:, :-1].sum(1)
        return np.float32(np.clip(rows, 0.001, 1) / np.clip(rows, 0.001, 1).sum(1, keepdims=True))

    labels = rng.integers(0, 4, 40)
    add("four classes", rounded(rng.dirichlet(np.ones(4), 40) * 0.7 + 0.3 * np.eye(4)[labels]), labels)
    labels = np.where(labels == 2, 1, labels)
    add("absent class", rounded(rng.dirichlet(np.ones(4), 40) * 0.7 + 0.3 * np.eye(4)[labels]), labels)
    never = np.float32([[.6, .4, 0, 0], [.7, .3, 0, 0], [.2, .8, 0, 0], [.9, .1, 0, 0]]) * 0.96 + 0.01
    add("class neither present nor predicted", never, np.array([0, 0, 1, 1]))
    labels = rng.integers(0, 2, 30)
    second = np.round(rng.uniform(0.05, 0.6, 30) + 0.3 * labels, 1)
    add("two classes with ties", np.float32(np.stack([1 - second, second], 1)), labels)
    save("metrics", cases)


def logistic():
    rng = np.random.default_rng(4)
    cases = []
    for classes, count, inputs in ((3, 60, 5), (2, 40, 4)):
        centers = rng.normal(0, 1, (classes, inputs))
        labels = np.concatenate([np.arange(classes), rng.choice(
            classes, count - classes, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))])
        scale = np.linspace(0.5, 3, inputs)
        x = np.float32((centers[labels] + rng.normal(0, 1, (count, inputs))) * scale + 1)
        test = np.float32((centers[labels] + rng.normal(0, 1, (count, inputs))) * scale + 1)
        fits = []
        for c in (0.05, 1.0):
            for standardized in (False, True):
                for balanced in (False, True):
                    mean, std = (x.mean(0), x.std(0)) if standardized else (0, 1)
                    model = LogisticRegression(
                        C=c, tol=1e-10, max_iter=10000,
                        class_weight="balanced" if balanced else None)
                    model.fit((x.astype(np.float64) - mean) / std, labels)
                    probabilities = model.predict_proba((test.astype(np.float64) - mean) / std)
                    coef, intercept = model.coef_, model.intercept_
                    if classes == 2:
                        coef = np.concatenate([-coef / 2, coef / 2])
                        intercept = np.concatenate([-intercept / 2, intercept / 2])
                    coef = coef / std
                    intercept = intercept - (coef * mean).sum(1)
                    fits.append({
                        "c": c, "standardized": standardized, "balanced": balanced,
                        "weight": flat(coef), "bias": flat(intercept),
                        "accuracy": metrics.accuracy_score(labels, probabilities.argmax(1)),
                        "loss": metrics.log_loss(labels, probabilities),
                    })
        cases.append({
            "classes": classes, "inputs": inputs, "features": flat(x), "test": flat(test),
            "labels": labels.tolist(), "fits": fits,
        })
    save("logistic", cases)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    losses()
    optimizers()
    schedules()
    metric_cases()
    logistic()
