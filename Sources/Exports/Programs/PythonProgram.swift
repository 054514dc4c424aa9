// SPDX-License-Identifier: Apache-2.0

/// The program that is written beside an ONNX file: what a photo goes through, in Python.
///
/// It knows nothing of the model but what the file says, so it is the same for every one.
enum PythonProgram {
  /// The whole text.
  static let text = imports + "\n" + photos + "\n\n" + model

  /// What it is, and what it needs.
  private static let imports = #"""
    # SPDX-License-Identifier: CC0-1.0
    """Classifies photos by the ONNX file that this lies beside, as `thaw predict` does.

        pip install numpy pillow onnxruntime
        python FILE photo.jpg ...      one line of JSON a photo
        python FILE --test             compares with the test vector that the file holds
        python FILE --test --report    the same, but states differences without judging them

    Written by `thaw export`; the README beside it says in words what it does. HEIC needs pillow-heif.
    """
    import hashlib
    import io
    import json
    import math
    import pathlib
    import sys

    import numpy
    import onnxruntime
    from PIL import Image, ImageCms, ImageOps

    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass

    """#
}
