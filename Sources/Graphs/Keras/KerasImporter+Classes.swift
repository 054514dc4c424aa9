// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

extension KerasImporter {
  /// Classes of layers that are translated, for messages.
  static let supported = [
    "Activation", "Add", "AveragePooling2D", "BatchNormalization", "CenterCrop", "Concatenate",
    "Conv2D", "Dense", "DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "LayerNormalization", "MaxPooling2D", "Multiply", "Normalization", "ReLU",
    "Rescaling", "Reshape", "Resizing", "SeparableConv2D", "Softmax", "ZeroPadding2D",
    "random augmentation", "models within the model",
  ]

  /// Layers that change photos in training alone.
  private static let augmenting: Set = [
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast",
    "RandomBrightness", "RandomHeight", "RandomWidth", "RandomShear", "RandomHue",
    "RandomSaturation", "RandomSharpness", "RandomGrayscale", "RandomPosterization",
    "RandomColorJitter", "RandomColorDegeneration", "RandomGaussianBlur", "RandomPerspective",
    "RandomErasing", "RandomInvert", "RandomElasticTransform", "RandAugment", "AugMix", "CutMix",
    "MixUp",
  ]

  /// Layers that do something in training alone, and have no counterpart.
  private static let trainingOnly: Set = [
    "ActivityRegularization", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Identity",
  ]

  /// Adds what a layer that is no model computes.
  mutating func result(
    of layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    if layer.isOperation(operands) { return try operation(layer, operands) }
    switch layer.className {
    case "Conv2D", "Convolution2D": return try convolution(layer, operands)
    case "DepthwiseConv2D": return try depthwise(layer, operands)
    case "SeparableConv2D": return try separable(layer, operands)
    case "Dense": return try dense(layer, operands)
    case "BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization":
      return try batchNormalization(layer, operands)
    case "LayerNormalization": return try layerNormalization(layer, operands)
    case "Activation", "ReLU", "Softmax": return try activation(layer, operands)
    case "Dropout", "SpatialDropout2D", "StochasticDepth", "FixedDropout":
      return try dropout(layer, operands)
    case "Add": return try sum(layer, operands)
    case "Multiply": return try product(layer, operands)
    case "Concatenate": return try concatenation(layer, operands)
    case "MaxPooling2D", "AveragePooling2D": return try pooling(layer, operands)
    case "GlobalAveragePooling2D":
      return try globalPooling(layer, operands, .globalAveragePooling)
    case "GlobalMaxPooling2D", "GlobalMaxPool2D":
      return try globalPooling(layer, operands, .globalMaximumPooling)
    case "Flatten": return .image(try flattened(try image(operands, layer), layer))
    case "Reshape": return try reshape(layer, operands)
    case "ZeroPadding2D": return try padded(layer, operands)
    case "Rescaling": return try rescaling(layer, operands)
    case "Normalization": return try normalization(layer, operands)
    case "Resizing", "CenterCrop": return try geometry(layer, operands)
    case "LayerScale": return try layerScale(layer, operands)
    case "CustomScaleLayer": return try scaledSum(layer, operands)
    case let name where KerasImporter.augmenting.contains(name):
      augmentations.append(name)
      return try only(operands, layer)
    case let name where KerasImporter.trainingOnly.contains(name):
      if name != "Identity" {
        notes.append("\(layer.displayed) works in training alone and is left out")
      }
      return try only(operands, layer)
    default: throw failure(layer, obstacle(layer))
    }
  }

  /// Why a layer cannot be translated, and what would be needed.
  private func obstacle(_ layer: KerasLayerDescription) -> String {
    switch layer.className {
    case "Lambda":
      return "it is Python code, which is never run from a file. If it scales or shifts pixels, put"
        + " Rescaling or Normalization in its place, in other cases layers of Keras's own; build"
        + " the model again, new.set_weights(old.get_weights()), and save that"
    case "RandomCrop":
      return "in inference it cuts the middle out. Put Resizing and CenterCrop in its place"
    case _ where !layer.isOfKeras:
      return "it is a class of its author's, whose code is not in the file. Build the model from"
        + " layers of Keras's own, new.set_weights(old.get_weights()), and save that, or export"
        + " the model to ONNX: model.export(\"model.onnx\", format=\"onnx\")"
    default:
      return "networks here have no such layer. Known are "
        + KerasImporter.supported.joined(separator: ", ")
    }
  }
}

extension KerasLayerDescription {
  /// Classes of Keras 3 that are functions and not layers.
  private static let operations: Set = [
    "TrueDivide", "Divide", "GetItem", "Negative", "Flip", "Mean", "Cast", "Relu", "Relu6", "Silu",
    "Sigmoid", "Gelu",
  ]
  /// Functions that share their names with layers.
  private static let ambiguous: Set = ["Add", "Subtract", "Multiply"]

  /// Whether it is a call of a function in the place of a layer: `x / 255.`.
  ///
  /// A `.keras` file says it by the module, an `.h5` by the class alone; then a layer takes a list of
  /// values, and a function has a number among its operands.
  func isOperation(_ operands: KerasOperands) -> Bool {
    if ["TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"].contains(className) { return true }
    if let module = json["module"]?.text { return module.contains(".ops") }
    return KerasLayerDescription.operations.contains(className)
      || KerasLayerDescription.ambiguous.contains(className) && operands.values.count == 1
  }
}
