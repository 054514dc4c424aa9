# SPDX-License-Identifier: Apache-2.0
"""Ten steps of data-parallel fine-tuning by Thaw and by PyTorch's DDP on gloo, two ranks each: the losses side by side.

    ddp_losses.py --photos FOLDER [--steps 10] [--learning-rate 0.005] [--tolerance 1e-4]

Both fine-tune all layers of EfficientNet-Lite0 from the same model file, that of a head which Thaw has trained for three
epochs: batch norms on their running statistics, SGD with momentum 0.9, no decay, no augmentation. A step is 32 photos,
16 a rank, the same in every step, so that an epoch is a step and `history.jsonl` has its loss, that before the update.
The photos are made 256 x 256 first, so that neither side resizes.

DDP computes in single precision as Thaw does, and once more in double precision, which says how much of a difference is
rounding, and whose. The last column is DDP with a momentum of 0.8: what a mistake of that size would look like. Exits with 1
when a loss of Thaw's differs by more than the tolerance from that in double precision. Needs torch, timm, safetensors and Pillow, Open MPI, `make setup-mpi`, and
THAW_PRETRAINED with the weights of efficientnet_lite0.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

THAW = pathlib.Path(__file__).resolve().parents[2] / ".build/release/thaw"
BATCH = 32
RECIPE = """backbone: efficientnet_lite0
head:
  dropout: 0
train:
  epochs: 3
fine_tune:
  solver: sgd
  momentum: 0.9
  weight_decay: 0
  weight_averaging: none
  batch: 32
  shards: 2
  epochs: {steps}
  freeze_to: 0
  learning_rate: {rate}
  schedule: constant
  augmentation: none
"""


def make_photos(source, target):
    """Half of a batch of each of two classes, 256 x 256."""
    from PIL import Image

    folders = sorted(folder for folder in source.iterdir() if folder.is_dir())[:2]
    for folder in folders:
        (target / folder.name).mkdir(parents=True)
        for number, photo in enumerate(sorted(folder.rglob("*.jpg"))[:BATCH // 2]):
            image = Image.open(photo).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
            # Without its colour profile, by which Thaw would convert the pixels.
            image.save(target / folder.name / f"{number:02}.png", icc_profile=None)


def losses_of_thaw(work, options):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    environment.pop("OPENBLAS_CORETYPE", None)

    def run(*words):
        subprocess.run([str(word) for word in words], check=True, env=environment, stdout=subprocess.DEVNULL)

    recipe = work / "recipe.yml"
    recipe.write_text(RECIPE.format(steps=options.steps, rate=options.learning_rate))
    run(THAW, "prepare", work / "photos", "--run", work / "run", "--recipe", recipe, "--valid", "0", "--threads", "1", "--quiet")
    run(THAW, "train", "--run", work / "run", "--threads", "1", "--quiet")
    run("mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", THAW, "fine-tune", "--run", work / "run",
        "--threads", "1", "--quiet")
    lines = (work / "run/history.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def rank(options):
    """One rank of DDP: prints the mean of both ranks' losses before each step."""
    import numpy
    import timm
    import torch
    import torch.distributed
    from PIL import Image
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    work = pathlib.Path(options.work)
    torch.distributed.init_process_group("gloo", init_method=f"file://{work}/meet-{options.momentum}-{options.double}", rank=options.rank, world_size=2)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=2, drop_rate=0.0)
    weights = load_file(work / "run/checkpoints/head.safetensors")
    known = model.state_dict()
    model.load_state_dict({name: weights[name] if name in weights else known[name] for name in known})
    missing = [name for name in known if name not in weights and not name.endswith("num_batches_tracked")]
    if missing:
        sys.exit(f"error: the model file has no {missing[0]}")
    precision = torch.float64 if options.double else torch.float32
    model = model.to(precision)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad = False
    network = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad],
                                lr=options.learning_rate, momentum=options.momentum)
    photos = sorted((work / "photos").rglob("*.png"))[options.rank::2]
    classes = sorted({photo.parent.name for photo in (work / "photos").rglob("*.png")})
    pixels = [numpy.asarray(Image.open(photo), dtype=numpy.float32)[16:240, 16:240] for photo in photos]
    images = (torch.from_numpy(numpy.stack(pixels)).permute(0, 3, 1, 2) - 127).to(precision) / 128
    labels = torch.tensor([classes.index(photo.parent.name) for photo in photos])
    losses = []
    for _ in range(options.steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        losses.append(mean.item() / 2)
        loss.backward()
        optimizer.step()
    if options.rank == 0:
        print(json.dumps(losses))
    torch.distributed.destroy_process_group()


def losses_of_ddp(work, options, momentum, *more):
    def start(number):
        return subprocess.Popen(
            [sys.executable, __file__, "--work", str(work), "--rank", str(number), "--momentum", str(momentum), "--steps",
             str(options.steps), "--learning-rate", str(options.learning_rate), *more],
            stdout=subprocess.PIPE, env=dict(os.environ, GLOO_SOCKET_IFNAME="lo"))

    ranks = [start(number) for number in range(2)]
    outputs = [process.communicate()[0] for process in ranks]
    if any(process.returncode for process in ranks):
        sys.exit("error: DDP failed")
    return json.loads(outputs[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=pathlib.Path, help="folder with two class folders of at least 16 JPEG photos")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--double", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--momentum", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        return rank(options)
    if options.photos is None:
        parser.error("give --photos FOLDER")
    with tempfile.TemporaryDirectory(prefix="thaw-losses.") as folder:
        work = pathlib.Path(folder)
        make_photos(options.photos, work / "photos")
        thaw = losses_of_thaw(work, options)
        ddp, other = (losses_of_ddp(work, options, momentum) for momentum in (0.9, 0.8))
        double = losses_of_ddp(work, options, 0.9, "--double")
    print(f"{'step':>4} {'thaw':>11} {'DDP':>11} {'DDP, double':>11} {'thaw off by':>11} {'DDP off by':>11} {'momentum 0.8':>12}")
    for step, (own, theirs, true, wrong) in enumerate(zip(thaw, ddp, double, other, strict=True)):
        print(f"{step + 1:4} {own:11.7f} {theirs:11.7f} {true:11.7f} {own - true:11.1e} {theirs - true:11.1e} {wrong:12.7f}")

    def apart(one, two):
        return max(abs(first - second) for first, second in zip(one, two))

    print(f"largest differences: thaw and double {apart(thaw, double):.1e} (allowed {options.tolerance:.0e}),"
          f" DDP and double {apart(ddp, double):.1e}, thaw and DDP {apart(thaw, ddp):.1e}")
    return int(apart(thaw, double) > options.tolerance)


if __name__ == "__main__":
    sys.exit(main())
