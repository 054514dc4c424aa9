# SPDX-License-Identifier: Apache-2.0
"""Runs the Python of Documentation/BatchNorm.md in the libraries it is for.

    python Tools/check_snippets.py [--thaw .build/release/thaw] [NAME...]

Needs keras 3, torch, torchvision, timm, fastai, lightning, h5py and safetensors. Photos are made up, weights too
(`weights=None` takes the place of the published ones: what is checked does not depend on them), and one epoch is enough.

A block of training runs twice: as it stands, when the frozen batch norms must keep their running statistics, and
without the line marked "# this line", when they must not: so a check that cannot fail is noticed. The two blocks
that load a repaired network are given what `thaw export --like` writes for a network whose statistics were
changed, and must end with the same answers as before the change.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).parent.parent / "Documentation" / "BatchNorm.md"

PHOTOS = """
import numpy, pathlib
from PIL import Image
numbers = numpy.random.default_rng(0)
for split in ("train", "valid"):
    for kind, name in enumerate(("ants", "bees")):
        folder = pathlib.Path("photos", split, name)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(8):
            pixels = numbers.integers(60 * kind, 60 * kind + 120, (64, 64, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
"""

TORCH_DATA = """
import torch
from torchvision import datasets, transforms
classes = 2
train = torch.utils.data.DataLoader(
    datasets.ImageFolder("photos/train", transforms.ToTensor()), batch_size=8, shuffle=True)
"""

KERAS_DATA = """
import numpy
classes = 2
numbers = numpy.random.default_rng(0)
import torch
def data():
    images = torch.tensor(numbers.uniform(0, 255, (8, 224, 224, 3)).astype("float32"))
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, torch.tensor([0, 1] * 4)), batch_size=8)
train, valid = data(), data()
"""

# Untrained networks have running means of 0 and variances of 1: have they stayed?
STAYED = {
    "torch": """
moved = max(float(b.abs().max()) for n, b in {model}.named_buffers() if n.endswith("running_mean"))
print("MOVED", moved)
""",
    "keras": """
import numpy
moved = max(float(numpy.abs(keras.ops.convert_to_numpy(v)).max())
            for l in body.layers for v in l.weights if v.name == "moving_mean")
print("MOVED", moved)
""",
}

TRAINING = {
    "keras-train": (KERAS_DATA, STAYED["keras"]),
    "pytorch-train": (TORCH_DATA, STAYED["torch"].format(model="model")),
    "fastai-train": ("", STAYED["torch"].format(model="learn.model[0]")),
    "timm-train": (TORCH_DATA, STAYED["torch"].format(model="model")),
    "lightning-train": (TORCH_DATA, STAYED["torch"].format(model="model")),
}

# A network of three classes is saved, its first statistics are changed, and Thaw writes the change back.
PYTORCH_BACK = (
    """
import numpy, torch, torchvision
torch.manual_seed(0)
model = torchvision.models.resnet18(num_classes=3).eval()
photo = torch.randn(2, 3, 224, 224)
wanted = model(photo)
good = {name: value.clone() for name, value in model.state_dict().items()}
torch.save(good, "good.pth")
model.bn1.running_var.fill_(4)
assert not torch.allclose(model(photo), wanted)
torch.save(model.state_dict(), "yours.pth")
thaw("export", "--model", "good.pth", "--card", "resnet18", "--output", "repaired.safetensors")
thaw("export", "--model", "repaired.safetensors", "--like", "yours.pth", "--output", "back.safetensors")
""",
    """
assert torch.equal(model(photo), wanted)
print("SAME")
""",
)

KERAS_BACK = (
    """
import keras, numpy
keras.utils.set_random_seed(0)
def build():
    inputs = keras.Input((224, 224, 3))
    body = keras.applications.MobileNetV2(include_top=False, pooling="avg", weights=None,
                                          input_shape=(224, 224, 3))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="answer")(body(inputs)))
photo = numpy.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")
model = build()
for variable in model.layers[1].weights:  # numbers that tell each layer from the others
    if variable.name != "moving_variance":
        variable.assign(variable + 0.01 * numpy.random.default_rng(len(variable.shape)).normal(size=variable.shape))
wanted = keras.ops.convert_to_numpy(model(photo, training=False))
model.save("good.h5")
model.layers[1].get_layer("Conv_1_bn").moving_mean.assign(numpy.linspace(-3, 1, 1280))
assert not numpy.array_equal(keras.ops.convert_to_numpy(model(photo, training=False)), wanted)
model.save("yours.h5")
thaw("export", "--model", "good.h5", "--card", "mobilenet_v2_keras", "--output", "repaired.safetensors")
thaw("export", "--model", "repaired.safetensors", "--like", "yours.h5", "--output", "back.npz")
""",
    """
assert numpy.array_equal(keras.ops.convert_to_numpy(model(photo, training=False)), wanted)
again = keras.models.load_model("repaired.keras")
assert numpy.array_equal(keras.ops.convert_to_numpy(again(photo, training=False)), wanted)
print("SAME")
""",
)

BACK = {"pytorch-back": PYTORCH_BACK, "keras-back": KERAS_BACK}


def snippets():
    pattern = r"<!-- snippet: ([a-z-]+) -->\n```python\n(.*?)```"
    return dict(re.findall(pattern, PAGE.read_text(), re.S))


def quick(text):
    """The same with made-up weights and one epoch."""
    for pair in [('weights="imagenet"', "weights=None, input_shape=(224, 224, 3)"), ('weights="DEFAULT"', "weights=None"),
                 ("pretrained=True", "pretrained=False"), ("metrics=accuracy,", "metrics=accuracy, pretrained=False,"),
                 ("epochs=5", "epochs=1"), ("range(5)", "range(1)"), ("fit_one_cycle(5)", "fit_one_cycle(1)")]:
        text = text.replace(*pair)
    return text


def without_line(text):
    """The block without what its marked line does."""
    lines = []
    for line in text.splitlines():
        if line.rstrip().endswith("# this line"):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(indent + (")" if "cbs=" in line else "pass"))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def run(folder, text, program):
    prelude = f"""
import subprocess
def thaw(*arguments):
    subprocess.run([{str(program)!r}, *arguments, "--quiet"], check=True, stdout=subprocess.DEVNULL)
"""
    (folder / "snippet.py").write_text(prelude + text)
    environment = dict({"THAW_PRETRAINED": str(PAGE.parent.parent / "Pretrained")}, **os.environ, KERAS_BACKEND="torch")
    return subprocess.run([sys.executable, "snippet.py"], cwd=folder, env=environment, capture_output=True, text=True)


def moved(outcome):
    found = re.search(r"MOVED ([0-9.e+-]+)", outcome.stdout)
    # A network without running statistics that could move says nothing of them.
    return float(found.group(1)) if found else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--thaw", default=".build/release/thaw")
    options = parser.parse_args()
    program = pathlib.Path(options.thaw).absolute()
    found = snippets()
    known = TRAINING | BACK
    assert set(found) == set(known), f"the page has {sorted(found)}, this script knows {sorted(known)}"
    failed = False
    for name in options.names or known:
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            subprocess.run([sys.executable, "-c", PHOTOS], cwd=folder, check=True)
            before, after = known[name]
            outcome = run(folder, before + quick(found[name]) + after, program)
            if name in BACK:
                good = "SAME" in outcome.stdout
            else:
                good = moved(outcome) == 0
                if good:
                    trap = run(folder, before + quick(without_line(found[name])) + after, program)
                    good = (moved(trap) or 0) > 0
                    outcome = trap if not good else outcome
        print(f"{name}: {'as the page says' if good else 'NOT as the page says'}", flush=True)
        if not good:
            print(outcome.stdout[-2000:], outcome.stderr[-4000:])
        failed = failed or not good
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
