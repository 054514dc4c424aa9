// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

// Thaw 0.1.0 hashed Swift's own description of an operation. Here it is spelt out, so that what was
// cached and trained then is recognised whatever types and modules are called today. Never to change.

extension Operation {
  /// What Thaw 0.1.0 hashed.
  var formerText: String {
    switch self {
    case .input(let channels): "input(channels: \(channels))"
    case .convolution(let layer): "convolution(\(layer.formerText))"
    case .batchNormalization(let norm): "batchNormalization(\(norm.formerText))"
    case .activation(let activation): "activation(Network.Activation.\(activation.rawValue))"
    case .layerNormalization(let norm):
      "layerNormalization(Network.LayerNormalization(channels: \(norm.channels), epsilon:"
        + " \(norm.epsilon)))"
    case .channelScale(let scale):
      "channelScale(Network.ChannelScale(channels: \(scale.channels), name:"
        + " \(String(reflecting: scale.name))))"
    case .add: "add"
    case .gate: "gate"
    case .concatenate: "concatenate"
    case .pooling(let kind, let window): "pooling(\(kind.formerText), \(window.formerText))"
    case .globalAveragePooling: "globalAveragePooling"
    case .globalMaximumPooling: "globalMaximumPooling"
    case .adaptiveAveragePooling(let extent): "adaptiveAveragePooling(\(extent))"
    case .flatten: "flatten"
    case .dropout(let probability): "dropout(probability: \(probability))"
    case .stochasticDepth(let probability): "stochasticDepth(probability: \(probability))"
    case .dense(let dense):
      "dense(Network.Dense(inputs: \(dense.inputs), outputs: \(dense.outputs), hasBias:"
        + " \(dense.hasBias)))"
    // Newer than that version: no key of it has them.
    case .tokens, .attention, .attentionPooling, .selectTokens, .responseNormalization, .multiply:
      "\(self)"
    }
  }
}

extension Convolution2D {
  fileprivate var formerText: String {
    "Network.Convolution2D(inputs: \(inputs), outputs: \(outputs), window: \(window.formerText),"
      + " groups: \(groups), hasBias: \(hasBias), storesMatrix: \(storesMatrix))"
  }
}

extension BatchNormalization {
  fileprivate var formerText: String {
    "Network.BatchNormalization(channels: \(channels), epsilon: \(epsilon), momentum: \(momentum),"
      + " hasScale: \(hasScale), hasShift: \(hasShift), runningVarianceCorrection:"
      + " Network.VarianceCorrection.\(runningVarianceCorrection.rawValue))"
  }
}

extension PoolingKind {
  fileprivate var formerText: String {
    switch self {
    case .maximum: "Network.PoolingKind.maximum"
    case .average(let includesPadding):
      "Network.PoolingKind.average(includesPadding: \(includesPadding))"
    }
  }
}

extension Window2D {
  fileprivate var formerText: String {
    "Network.Window2D(kernel: \(kernel), stride: \(stride), dilation: \(dilation), padding:"
      + " \(padding.formerText), roundsUp: \(roundsUp))"
  }
}

extension Padding {
  fileprivate var formerText: String {
    switch self {
    case .explicit(let insets):
      "Network.Padding.explicit(Network.EdgeInsets(top: \(insets.top), left: \(insets.left),"
        + " bottom: \(insets.bottom), right: \(insets.right)))"
    case .same: "Network.Padding.same"
    }
  }
}
