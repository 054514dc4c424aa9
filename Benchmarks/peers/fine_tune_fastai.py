# SPDX-License-Identifier: Apache-2.0
"""fastai's recipe for a folder of photos, on EfficientNet-Lite0, in a number of minutes.

    fine_tune_fastai.py --photos FOLDER --judge FOLDER --weights FILE --minutes 2 [--threads 2]

FOLDER has one folder per class. As fastai's documentation does it: a fifth of the photos validates, `Resize`,
`aug_transforms`, `fine_tune` with its own rates, body and head apart. An epoch of either phase is timed
first, on the clock of the minutes, and `fine_tune` gets as many epochs as then fit; at least one. Prints JSON:
accuracy of the photos in JUDGE, which nothing has seen, epochs, seconds.
"""

import argparse
import json
import time

START = time.time()


def lite0(path, classes):
    """Body and head; the head is fastai's own of pooled features, a dropout and a linear layer."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from fastai.vision.all import create_head
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, weights_only=True))

    class Body(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net.extract_features(x)
    net._fc = torch.nn.Identity()
    return torch.nn.Sequential(Body(), create_head(1280, classes))


def learner(options):
    import functools

    from fastai.vision import all as fastai
    photos = fastai.ImageDataLoaders.from_folder(
        options.photos, valid_pct=0.2, seed=options.seed, bs=32, num_workers=options.threads,
        item_tfms=fastai.Resize(256), batch_tfms=[
            *fastai.aug_transforms(size=224, min_scale=0.75),
            fastai.Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3)])
    net = lite0(options.weights, len(photos.vocab))
    fastai.apply_init(net[1], fastai.nn.init.kaiming_normal_)
    return fastai.Learner(
        photos, net, metrics=fastai.accuracy,
        splitter=lambda m: [fastai.params(m[0]), fastai.params(m[1])],
        opt_func=functools.partial(fastai.Adam))


def seconds(action):
    start = time.time()
    action()
    return time.time() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    import torch
    from fastai.vision import all as fastai
    torch.set_num_threads(options.threads)
    fastai.set_seed(options.seed)
    trial = learner(options)
    with trial.no_bar(), trial.no_logging():
        trial.freeze()
        frozen = seconds(lambda: trial.fit(1))
        trial.unfreeze()
        thawed = seconds(lambda: trial.fit(1))
    left = options.minutes * 60 - (time.time() - START) - frozen
    epochs = max(int(left / thawed), 1)
    fastai.set_seed(options.seed)
    final = learner(options)
    with final.no_bar(), final.no_logging():
        final.fine_tune(epochs)
        used = time.time() - START
        files = fastai.get_image_files(options.judge)
        scores, _ = final.get_preds(dl=final.dls.test_dl(files))
    names = [final.dls.vocab[row] for row in scores.argmax(dim=1)]
    right = sum(name == file.parent.name for name, file in zip(names, files))
    print(json.dumps({"accuracy": right / len(files), "photos": len(files), "epochs": epochs,
                      "seconds": round(used, 1)}))


if __name__ == "__main__":
    main()
