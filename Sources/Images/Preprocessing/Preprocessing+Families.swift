// SPDX-License-Identifier: Apache-2.0

extension Preprocessing {
  /// VGG-style centring: 0 to 255, blue first, minus ImageNet's mean colour, not divided.
  ///
  /// For VGG16, VGG19 and ResNet v1 weights in Caffe's and Keras's tradition.
  /// - Source: Keras `imagenet_utils.preprocess_input(mode="caffe")`.
  package static func caffe(inputSize: Int = 224) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: 1, channelOrder: .bgr, mean: [103.939, 116.779, 123.68],
      std: [1, 1, 1])
  }

  /// 0 to 1, then ImageNet's mean and standard deviation. For torchvision's and most timm weights.
  ///
  /// - Source: torchvision's ImageNet transforms; Keras `mode="torch"`.
  package static func torch(
    inputSize: Int = 224, interpolation: Interpolation = .bilinear, cropFraction: Double = 0.875
  ) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: 1 / 255, mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225], interpolation: interpolation, cropFraction: cropFraction)
  }

  /// -1 to 1. For Inception, Xception, MobileNet and ResNet v2 weights from TensorFlow.
  ///
  /// - Source: Keras `mode="tf"`: x / 127.5 - 1.
  package static func tf(inputSize: Int = 224) -> Preprocessing {
    Preprocessing(inputSize: inputSize, scale: 1 / 127.5, mean: [1, 1, 1], std: [1, 1, 1])
  }

  /// (x - 127) / 128, bicubic, crop 0.875.
  ///
  /// - Source: TensorFlow's EfficientNet-Lite reference (MEAN_RGB 127, STDDEV_RGB 128).
  package static func efficientNetLite(inputSize: Int = 224) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: 1, mean: [127, 127, 127], std: [128, 128, 128],
      interpolation: .bicubic)
  }

  /// 0 to 255 as stored: what a network sees when preprocessing was forgotten.
  package static func raw(inputSize: Int = 224) -> Preprocessing {
    Preprocessing(inputSize: inputSize, scale: 1, mean: [0, 0, 0], std: [1, 1, 1])
  }

  /// 0 to 1 and nothing else.
  package static func unit(inputSize: Int = 224) -> Preprocessing {
    Preprocessing(inputSize: inputSize, scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1])
  }

  /// A contract under the name a diagnosis prints.
  package struct Candidate: Sendable, Hashable {
    /// For example `torch`.
    package let name: String
    /// Geometry as declared, numbers of the candidate.
    package let preprocessing: Preprocessing
  }

  /// What people feed a network by mistake: the usual contracts, with the geometry of `declared`.
  ///
  /// The first is `declared` itself under its family's name, or as `declared` when it is of no known
  /// family; the others differ from it in their numbers.
  package static func candidates(like declared: Preprocessing) -> [Candidate] {
    let usual: [(String, Preprocessing)] = [
      ("torch", .torch()), ("tf", .tf()), ("caffe", .caffe()),
      ("efficientnet-lite", .efficientNetLite()), ("unit", .unit()), ("raw", .raw()),
    ]
    let others = usual.map {
      Candidate(name: $0.0, preprocessing: declared.withValues(of: $0.1))
    }
    let own = others.first { $0.preprocessing == declared }
    return [own ?? Candidate(name: "declared", preprocessing: declared)]
      + others.filter { $0.preprocessing != declared }
  }
}
