#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the cure that `thaw diagnose batchnorm` recommends the best one?

    Tools/diagnosis_regret.py make WORK --pretrained DIR --collection NAME=FOLDER:TRAIN,UNSEEN,JUDGE ...
                                   [--backbones lite0,mobilenet_v2] [--size 128] [--seed 1]
                                   [--only TRAP,...]
    Tools/diagnosis_regret.py judge WORK --thaw .build/release/thaw [--ways a,b,c] [--only WORD,...]
                                    [--sample COUNT]
    Tools/diagnosis_regret.py table WORK --thaw .build/release/thaw

`make` trains networks in PyTorch, from the real ImageNet weights in DIR (`thaw pretrained fetch`), that
fell into a trap of batch normalisation or merely resemble one that did, and measures what is true of
each on photos nobody has seen. FOLDER has one folder per class, or `train` and `valid` with one per
class; the numbers are photos of a class. WORK/networks/NAME gets `checkpoint.pth`, `classes.txt` and
`network.json`; what is there is not made again. Another seed needs collections of another name.

`judge` shows each network to the diagnosis with (a) the photos it was trained on, (b) photos it has not
seen, (c) both, and evaluates *every* fix on the judging photos. The regret is the accuracy of the best of
them, doing nothing included, less that of the recommended one, in points; where none was tried, a new
head that PyTorch solved stands in. A disease is to be found where it costs 3 points or more against the
healthy twin. Results go to WORK/results.jsonl, by network, way and program; a later call goes on. It
ends with the tables.

`make` needs torch, torchvision, pillow, efficientnet-lite-pytorch; `judge` and `table` Python alone.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import regret_judge

# PyTorch gives large buffers back to the system and asks for them again, at twice the time.
MALLOC = ("glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592"
          ":glibc.malloc.top_pad=268435456")


def zoo(options):
    """Makes the networks that are not there yet."""
    if os.environ.get("GLIBC_TUNABLES") != MALLOC:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *sys.argv])
    import torch

    import regret_backbones
    import regret_photos
    import regret_traps
    import regret_zoo
    torch.set_num_threads(options.threads)
    collections = [regret_photos.arrange(options.work, text, options.seed)
                   for text in options.collection]
    for name in options.backbones.split(","):
        backbone = regret_backbones.backbone(name, options.size, options.pretrained, options.work)
        for collection in collections:
            case = regret_traps.Case(backbone, collection, options.seed)
            maker = regret_zoo.Maker(options.work, case)
            for trap in options.only or regret_traps.TRAPS:
                start = time.time()
                record = maker.make(trap)
                if record:
                    print(f"{time.time() - start:5.1f} s", json.dumps(record["truth"]),
                          record["name"], flush=True)
    regret_zoo.collect(options.work)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    make = verbs.add_parser("make", help="train the networks")
    make.add_argument("work", type=pathlib.Path)
    make.add_argument("--pretrained", type=pathlib.Path, required=True)
    make.add_argument("--collection", action="append", required=True)
    make.add_argument("--backbones", default="lite0,mobilenet_v2")
    make.add_argument("--size", type=int, default=128, help="side of the input")
    make.add_argument("--seed", type=int, default=1, help="of the choice of photos and of training")
    make.add_argument("--threads", type=int, default=1)
    make.add_argument("--only", type=lambda text: text.split(","), help="traps")
    make.set_defaults(run=zoo)
    for name, run in (("judge", regret_judge.judge), ("table", regret_judge.table)):
        verb = verbs.add_parser(name)
        verb.add_argument("work", type=pathlib.Path)
        verb.add_argument("--thaw", type=pathlib.Path, default=pathlib.Path(".build/release/thaw"))
        verb.add_argument("--ways", type=lambda text: text.split(","), default=list("abc"))
        verb.add_argument("--only", type=lambda text: text.split(","),
                          help="networks whose name contains one of these")
        verb.add_argument("--sample", type=int, help="ask so many times, evenly over the traps")
        verb.add_argument("--threads", type=int, help="of every command")
        verb.add_argument("--option", action="append", default=[],
                          help="another option of the diagnosis (--option=--quick)")
        verb.add_argument("--every-fix", action="store_true",
                          help="with a program that cannot write all fixes at once: run it for each")
        verb.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
