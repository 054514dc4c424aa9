// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

extension KeyHash {
  /// Adds what a node computes.
  mutating func add(_ operation: Operation) {
    switch operation {
    case .input(let channels): add("input", channels)
    case .convolution(let convolution): add(convolution)
    case .batchNormalization(let norm): add(norm)
    case .activation(let activation): add("activation", activation.keyName)
    case .layerNormalization(let norm):
      add("layer_normalization", norm.channels)
      add("epsilon", norm.epsilon)
    case .responseNormalization(let norm):
      add("response_normalization", norm.channels)
      add("epsilon", norm.epsilon)
    case .channelScale(let scale):
      add("channel_scale", scale.channels)
      add("name", scale.name)
      if let constant = scale.constant { add("constant", constant) }
    case .add: add("operation", "add")
    case .gate: add("operation", "gate")
    case .multiply: add("operation", "multiply")
    case .concatenate: add("operation", "concatenate")
    case .pooling(let kind, let window): add(kind, window)
    case .globalAveragePooling: add("operation", "global_average_pooling")
    case .globalMaximumPooling: add("operation", "global_maximum_pooling")
    case .adaptiveAveragePooling(let extent):
      add("adaptive_average_pooling", extent.height, extent.width)
    case .flatten: add("operation", "flatten")
    case .dropout(let probability): add("dropout", probability)
    case .stochasticDepth(let probability): add("stochastic_depth", probability)
    case .dense(let dense):
      add("dense", dense.inputs, dense.outputs)
      add("bias", dense.hasBias)
    case .tokens(let tokens): add(tokens)
    case .attention(let attention): add(attention)
    case .attentionPooling(let pooling):
      add("attention_pooling", pooling.channels, pooling.heads)
      add("projection", pooling.hasProjection)
    case .selectTokens(let selection):
      add("select_tokens", selection.first, selection.count ?? -1)
    }
  }

  private mutating func add(_ tokens: TokenSequence) {
    add("tokens", tokens.channels, tokens.grid.height, tokens.grid.width)
    add("class_token", tokens.hasClassToken)
    add("before", tokens.registers, tokens.positioned)
    add("resampling", tokens.resampling.rawValue)
    // Only what is new is added, so that keys of other networks stay what they were.
    if !tokens.hasPositions { add("positions", false) }
  }

  private mutating func add(_ attention: Attention) {
    add("attention", attention.channels, attention.heads)
    if attention.hasBiases { add("biases", true) }
    if let rotary = attention.rotary {
      add("rotary_prefix", rotary.prefix)
      add("rotary_base", rotary.base)
      add("rotary_rounded", rotary.isRounded)
    }
  }

  private mutating func add(_ convolution: Convolution2D) {
    add("convolution", convolution.inputs, convolution.outputs, convolution.groups)
    add("bias", convolution.hasBias)
    add("matrix", convolution.storesMatrix)
    add(convolution.window)
  }

  private mutating func add(_ norm: BatchNormalization) {
    add("batch_normalization", norm.channels)
    add("epsilon", norm.epsilon)
    add("momentum", norm.momentum)
    add("scale", norm.hasScale)
    add("shift", norm.hasShift)
    add("variance_correction", norm.runningVarianceCorrection.keyName)
  }

  private mutating func add(_ kind: PoolingKind, _ window: Window2D) {
    switch kind {
    case .maximum: add("pooling", "maximum")
    case .average(let includesPadding):
      add("pooling", includesPadding ? "average_with_padding" : "average")
    }
    add(window)
  }

  private mutating func add(_ window: Window2D) {
    add(
      "window", window.kernel.height, window.kernel.width, window.stride.height,
      window.stride.width, window.dilation.height, window.dilation.width)
    switch window.padding {
    case .explicit(let insets):
      add("padding", insets.top, insets.left, insets.bottom, insets.right)
    case .same: add("padding", "same")
    }
    add("rounds_up", window.roundsUp)
  }
}

extension Activation {
  /// Its name in keys, which no renaming of a case changes.
  fileprivate var keyName: String {
    switch self {
    case .relu: "relu"
    case .relu6: "relu6"
    case .silu: "silu"
    case .sigmoid: "sigmoid"
    case .gelu: "gelu"
    case .geluTanh: "gelu_tanh"
    case .quickGELU: "quick_gelu"
    case .hardSigmoid: "hard_sigmoid"
    case .hardSwish: "hard_swish"
    }
  }
}

extension VarianceCorrection {
  /// Its name in keys.
  fileprivate var keyName: String {
    switch self {
    case .bessel: "bessel"
    case .none: "none"
    case .besselTwice: "bessel_twice"
    }
  }
}
