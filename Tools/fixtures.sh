#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Rebuilds the fixtures that come from PyTorch, Keras, Pillow and scikit-learn. Needs a network the first
# time, for the Python environment in .venv-fixtures; tests never need it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${THAW_FIXTURES_PYTHON:-.venv-fixtures/bin/python}
if [ ! -x "$python" ]; then
  python3 -m venv .venv-fixtures
  .venv-fixtures/bin/pip install --quiet numpy pillow torch torchvision timm keras h5py safetensors \
    tensorflow-cpu tf_keras tf2onnx onnx onnxruntime onnxscript scikit-learn pillow-heif tifffile imagecodecs
fi
"$python" Tools/make_image_fixtures.py Tests/ImagesTests/Fixtures
"$python" Tools/make_format_fixtures.py Tests/ImagesTests/Fixtures
"$python" Tools/keras_preprocessing.py Tests/ImagesTests/Fixtures
"$python" Tools/checkpoint_fixtures.py
"$python" Tools/keras_fixtures.py
"$python" Tools/keras_names.py
"$python" Tools/keras_graphs.py Tests/BackbonesTests/Fixtures/keras
"$python" Tools/exported_graphs.py Tests/BackbonesTests/Fixtures/exported
"$python" Tools/parity_network.py Tests/ExecutionTests/Fixtures
"$python" Tools/parity_architectures.py Tests/BackbonesTests/Fixtures
"$python" Tools/parity_training.py Tests/BackbonesTests/Fixtures
"$python" Tools/parity_modern.py Tests/BackbonesTests/Fixtures
"$python" Tools/training_goldens.py
"$python" Tools/label_goldens.py
