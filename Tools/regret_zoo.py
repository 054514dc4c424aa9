# SPDX-License-Identifier: Apache-2.0
"""Makes one network of the zoo of Tools/diagnosis_regret.py and measures what is true of it."""

import json
import shutil
import time

import torch

import regret_backbones as backbones
import regret_training as training
import regret_traps as traps


class Maker:
    """Networks of one backbone and collection; the healthy twins are trained once."""

    def __init__(self, work, case):
        self.work, self.case, self.twins = work, case, {}

    def make(self, name):
        """Trains, measures and writes; None when it is there."""
        trap = traps.TRAPS[name]
        identity = f"{self.case.collection.name}-{self.case.backbone.card}-{name}"
        folder = self.work / "networks" / identity
        if (folder / "network.json").exists():
            return None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.time()
        net = trap.make(self.case)
        seconds = round(time.time() - start, 1)
        torch.save(traps.state(net), folder / "checkpoint.pth")
        (folder / "classes.txt").write_text("\n".join(self.case.collection.classes) + "\n")
        record = self.describe(identity, name, trap, seconds)
        # What is judged is the file in a new network, as others load it.
        net = self.case.build()
        net.load_state_dict(torch.load(folder / "checkpoint.pth", weights_only=True))
        record["truth"] = self.truth(net, trap)
        (folder / "network.json").write_text(json.dumps(record, indent=1) + "\n")
        return record

    def describe(self, identity, name, trap, seconds):
        case = self.case
        parts = {part: trap.photos.get(part, part) for part in ("train", "unseen", "judge")}
        place = case.collection.folder.relative_to(self.work)
        return {
            "name": identity, "trap": name, "collection": case.collection.name,
            "backbone": case.backbone.name, "size": case.backbone.size,
            "card": case.backbone.card, "seed": case.seed, "healthy": trap.healthy,
            "twin": trap.twin,
            "checkpoint": f"networks/{identity}/checkpoint.pth",
            "class_names": f"networks/{identity}/classes.txt",
            "classes": case.collection.classes,
            "preprocessing": {
                "size": case.backbone.size, "interpolation": case.backbone.interpolation,
                "crop": 0.875, "mean": case.contract.mean, "std": case.contract.std,
                "scale": case.contract.scale},
            "photos": {part: str(place / folder) for part, folder in parts.items()},
            "description": (trap.make.__doc__ or "").strip().split("\n")[0],
            "seconds": seconds, "torch": torch.__version__}

    def truth(self, net, trap):
        """Accuracies under the card's preprocessing; `judge` are the photos nobody has seen."""
        case = self.case
        parts = {part: case.data(trap.photos.get(part, part)) for part in ("train", "judge")}
        unseen = case.data(trap.photos.get("unseen", "unseen"))
        result = {
            "train": training.accuracy(net, parts["train"], case.contract),
            "train_on_batches": training.accuracy_on_batches(net, parts["train"], case.contract),
            "judge": training.accuracy(net, parts["judge"], case.contract),
            "twin": self.twin(trap, parts["judge"])}
        # What a new head reaches, solved on the training or on the unseen photos.
        for key, photos in (("head_of_train", parts["train"]), ("head_of_unseen", unseen)):
            solved = training.solved_head(net, photos, case.contract)
            result[key] = training.accuracy(solved, parts["judge"], case.contract)
        return result

    def twin(self, trap, judge):
        if trap.twin not in self.twins:
            maker = traps.twin_whole if trap.twin == "whole" else traps.twin_head
            self.twins[trap.twin] = maker(self.case)
        return training.accuracy(self.twins[trap.twin], judge, self.case.contract)


def collect(work):
    """WORK/zoo.jsonl from the networks' own files, a line each."""
    records = [json.loads(path.read_text()) for path in sorted(work.glob("networks/*/network.json"))]
    (work / "zoo.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
