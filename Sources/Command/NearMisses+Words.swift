// SPDX-License-Identifier: Apache-2.0

extension NearMisses {
  /// By what others call it, the names an option may have here, the first that the command has being
  /// meant.
  static let names: [String: [String]] = [
    "lr": ["learning-rate"], "lr0": ["learning-rate"], "base-lr": ["learning-rate"],
    "rate": ["learning-rate"],
    "wd": ["weight-decay"], "l2": ["weight-decay"],
    "bs": ["batch"], "batch-size": ["batch"],
    "epoch": ["epochs"], "num-epochs": ["epochs"], "nb-epochs": ["epochs"],
    "optimizer": ["solver"], "optimiser": ["solver"], "opt": ["solver"],
    "scheduler": ["schedule"], "sched": ["schedule"], "lr-scheduler": ["schedule"],
    "warmup": ["warm-up"], "warmup-epochs": ["warm-up"],
    "smoothing": ["label-smoothing"], "clip-grad": ["gradient-clip"],
    "gradient-clipping": ["gradient-clip"], "ema": ["weight-averaging"],
    "accumulate": ["accumulation"], "grad-accum": ["accumulation"],
    "drop": ["dropout"], "early-stopping": ["patience"], "augment": ["augmentation"],
    "aug": ["augmentation"], "mixup": ["mixing"], "cutmix": ["mixing"],
    "class-weight": ["class-weights"],
    "imgsz": ["size"], "img-size": ["size"], "image-size": ["size"], "input-size": ["size"],
    "resolution": ["size"],
    "arch": ["backbone"], "network": ["backbone"], "pretrained": ["backbone"],
    "model": ["backbone"], "weights": ["model", "backbone"], "checkpoint": ["model"],
    "backbone": ["model"],
    "val": ["valid"], "validation": ["valid"], "val-split": ["valid"],
    "validation-split": ["valid"], "valid-split": ["valid"], "test-split": ["test"],
    "config": ["recipe"], "cfg": ["recipe"], "pipeline": ["recipe"],
    "out": ["output", "run"], "output-dir": ["output", "run"], "output": ["run"],
    "project": ["run"],
    "workers": ["threads"], "num-workers": ["threads"], "jobs": ["threads"], "cpus": ["threads"],
    "images": ["data"], "photos": ["data"], "dataset": ["data"], "source": ["data"],
    "classes": ["class-names"], "labels": ["class-names"], "topk": ["top"], "top-k": ["top"],
    "no-finetune": ["no-fine-tune"], "finetune": ["fine-tune"], "freeze": ["freeze-to"],
    "run": ["model"], "random-seed": ["seed"], "silent": ["quiet"],
  ]

  /// By what others call it, the command it is here.
  static let commandWords: [String: String] = [
    "eval": "evaluate", "test": "evaluate", "val": "evaluate", "validate": "evaluate",
    "infer": "predict", "inference": "predict", "classify": "predict", "detect": "predict",
    "tune": "fine-tune", "lr-find": "find-lr", "lrfind": "find-lr", "import": "pretrained",
    "download": "pretrained", "fetch": "pretrained", "models": "pretrained", "scan": "prepare",
    "split": "prepare", "learn": "fit", "init": "fit", "check": "doctor", "info": "doctor",
  ]
}
