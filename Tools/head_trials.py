#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which heads on frozen features are better than logistic regression on the last layer's?

Usage: head_trials.py WEIGHTS FOLDER... [--work WORK] [--splits 5] [--limit N]

WEIGHTS are those of EfficientNet-Lite0 that `thaw pretrained fetch` leaves in Pretrained/. Each FOLDER holds one
sub-folder per class. For every split 75 % of the photos (at most N of them) train and 25 % judge; whatever a head has to
choose (strength, neighbours, share of the features) it chooses by cross-validation within its training photos, never by
those that judge. Prints a Markdown table a folder: mean accuracy over the splits, and how much it differs from the first
row, with the standard error of the difference. Needs torch, timm, scikit-learn; features are kept in WORK.
"""

import argparse
import hashlib
import pathlib
import sys
import warnings

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

warnings.filterwarnings("ignore", category=ConvergenceWarning)
warnings.filterwarnings("ignore", category=UserWarning)


def network(weights):
    """EfficientNet-Lite0 with the published weights, whose tensors come in timm's order."""
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), state.values())))
    return model.eval()


def prepared(path):
    """As the card says: short side to 256, the centre's 224, (x - 127) / 128."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([max(round(side * scale), 256) for side in image.size], Image.BICUBIC)
    left, top = ((side - 224) // 2 for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)


@torch.no_grad()
def features(model, paths):
    """One matrix a tap: means over positions behind every stage, their maxima, the last layer's, the 1000 logits."""
    taps, found = {}, {}

    def tap(name):
        def hook(_, __, output):
            taps[name] = torch.cat([output.mean((2, 3)), output.amax((2, 3))], 1)
        return hook

    for index, stage in enumerate(model.blocks):
        stage.register_forward_hook(tap(f"stage{index}"))
    for start in range(0, len(paths), 32):
        batch = torch.stack([prepared(path) for path in paths[start:start + 32]])
        maps = model.forward_features(batch)
        taps["last"] = maps.mean((2, 3))
        taps["lastmax"] = maps.amax((2, 3))
        taps["logits"] = model.classifier(taps["last"])
        for name, value in taps.items():
            found.setdefault(name, []).append(value.numpy().copy())
        print(f"\r{start + len(batch)} of {len(paths)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return {name: np.concatenate(parts) for name, parts in found.items()}


class Relevance:
    """Head2Toe's choice: the features of largest weight in a ridge regression on all of them."""

    def __init__(self, share):
        self.share = share

    def fit(self, x, y):
        ridge = RidgeClassifier(alpha=1e3).fit(x, y)
        scores = np.linalg.norm(np.atleast_2d(ridge.coef_), axis=0)
        self.kept = np.argsort(-scores)[: max(int(len(scores) * self.share), 10)]
        return self

    def transform(self, x):
        return x[:, self.kept]

    def fit_transform(self, x, y):
        return self.fit(x, y).transform(x)

    def get_params(self, deep=True):
        return {"share": self.share}

    def set_params(self, **values):
        self.share = values["share"]
        return self


def searched(steps, grid):
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(make_pipeline(*steps), grid, cv=folds, n_jobs=1)


def logistic(*before):
    return searched(
        [*before, StandardScaler(), LogisticRegression(max_iter=100, tol=1e-3)],
        {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1]})


def ridge(*before):
    return searched(
        [*before, StandardScaler(), RidgeClassifier()],
        {"ridgeclassifier__alpha": [1e1, 1e2, 1e3, 1e4, 1e5]})


def discriminant():
    """Linear discriminant analysis in the first principal components, with a shrunk covariance."""
    return searched(
        [StandardScaler(), PCA(100, random_state=0), LinearDiscriminantAnalysis(solver="lsqr")],
        {"lineardiscriminantanalysis__shrinkage": [0.05, 0.2, 0.5, 0.8]})


def neighbours():
    return searched(
        [Normalizer(), KNeighborsClassifier(weights="distance")],
        {"kneighborsclassifier__n_neighbors": [1, 3, 5, 9, 15]})


DEPTHS = [f"stage{index}" for index in range(7)]
HEADS = {
    "logistic regression, last layer": (["last"], lambda: logistic()),
    "the same without standardising": (["last"], lambda: searched(
        [LogisticRegression(max_iter=300, tol=1e-3)], {"logisticregression__C": [1e-2, 1e-1, 1, 10]})),
    "square roots of the features": (["last"], lambda: logistic(
        FunctionTransformer(lambda x: np.sign(x) * np.sqrt(np.abs(x))))),
    "ridge": (["last"], ridge),
    "LDA": (["last"], discriminant),
    "k nearest neighbours": (["last"], neighbours),
    "nearest class mean": (["last"], lambda: make_pipeline(Normalizer(), NearestCentroid())),
    "logistic, the 1000 logits": (["logits"], lambda: logistic()),
    "logistic, last layer and logits": (["last", "logits"], lambda: logistic()),
    "logistic, last layer's means and maxima": (["last", "lastmax"], lambda: logistic()),
    "logistic, stages 3 to 6 and last": (DEPTHS[3:] + ["last"], lambda: logistic()),
    "logistic, all depths": (DEPTHS + ["last"], lambda: logistic()),
    "ridge, all depths": (DEPTHS + ["last"], ridge),
    "LDA, all depths": (DEPTHS + ["last"], discriminant),
    "all depths, chosen (Head2Toe)": (DEPTHS + ["last"], lambda: searched(
        [StandardScaler(), Relevance(0.2), LogisticRegression(max_iter=100, tol=1e-3)],
        {"relevance__share": [0.1, 0.3], "logisticregression__C": [1e-3, 1e-2]})),
}


def cached(model, paths, work):
    key = hashlib.sha256("\n".join(map(str, paths)).encode()).hexdigest()[:16]
    file = work / f"{key}.npz"
    if not file.exists():
        np.savez(file, **features(model, paths))
    return dict(np.load(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("head-trials"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--limit", type=int, default=800)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = network(options.weights)
    for folder in options.folders:
        paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        names = sorted({path.parent.name for path in paths})
        labels = np.array([names.index(path.parent.name) for path in paths])
        taps = cached(model, paths, options.work)
        results = {name: [] for name in HEADS}
        train = min(options.limit, round(len(paths) * 0.75))
        splits = StratifiedShuffleSplit(options.splits, train_size=train, test_size=0.25, random_state=1)
        for seen, judged in splits.split(paths, labels):
            for name, (parts, head) in HEADS.items():
                x = np.concatenate([taps[part] for part in parts], 1)
                fitted = head().fit(x[seen], labels[seen])
                results[name].append((fitted.predict(x[judged]) == labels[judged]).mean())
                print(f"\r{folder.name}: {name}", end="\033[K", file=sys.stderr)
        print(f"\n| {folder.name}, {train} training photos | accuracy | difference |\n|---|---|---|")
        base = np.array(next(iter(results.values())))
        for name, found in results.items():
            gap = np.array(found) - base
            error = gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else float("nan")
            print(f"| {name} | {np.mean(found):.4f} | {gap.mean():+.4f} ± {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
